"""Files that are whole or not there."""

from __future__ import annotations

from pathlib import Path

from seal_agent import durable


def write_atomically(path: Path, data: bytes) -> None:
    """Write a draft beside the file, flush it to disk and rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    durable.write(draft, data)
    draft.replace(path)
