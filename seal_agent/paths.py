"""Where the project keeps files: the adapter store and the cache."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def cache_home() -> Path:
    """$SEAL_CACHE, or seal-agent under $XDG_CACHE_HOME, or ~/.cache/seal-agent."""
    if chosen := os.environ.get("SEAL_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "seal-agent"


def default_home() -> Path:
    """$SEAL_HOME, or seal-agent under $XDG_DATA_HOME, or ~/.local/share/seal-agent."""
    if chosen := os.environ.get("SEAL_HOME"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "seal-agent"


def keep_in_cache(path: Path, write: Callable[[Path], object]) -> None:
    """Put a file or folder into the cache, whole or not at all.

    On a full disk, or in a folder that belongs to others, nothing is kept: what is cached can be made again.

    Args:
        path: Where it belongs; what lies there is replaced.
        write: Makes it at the path of a draft. May raise OSError.
    """
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".draft-", dir=path.parent) as place:
            draft = Path(place) / path.name
            write(draft)
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            os.replace(draft, path)
