"""Writes that survive a crash: files and folders are flushed to disk and renamed into place.

Every step is announced to `hook`, by which tests stop the process, fill the disk or press Ctrl-C at each of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

hook: Callable[[str], None] | None = None
"""Called before each step that changes the disk, with its name; None outside of tests."""


def step(name: str) -> None:
    """Announce a step that changes the disk."""
    if hook is not None:
        hook(name)


def write(path: Path, content: bytes) -> None:
    """Write a file, which is on disk when this returns. Its mode follows the umask."""
    step(f"create {path.name}")
    with open(path, "wb") as file:
        half = len(content) // 2
        file.write(content[:half])
        if hook is not None:
            file.flush()
        step(f"write {path.name}")
        file.write(content[half:])
        file.flush()
        step(f"fsync {path.name}")
        os.fsync(file.fileno())


def flush(path: Path) -> None:
    """fsync a file or folder; folders cannot be opened for that on Windows."""
    if path.is_dir() and os.name == "nt":
        return
    step(f"fsync {path.name}")
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def rename(old: Path, new: Path) -> None:
    """Rename a file or folder. Call `flush` on the folder around it afterwards."""
    step(f"rename {new.name}")
    os.rename(old, new)
