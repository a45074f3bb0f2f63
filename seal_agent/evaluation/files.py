"""Files that are whole or not there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from seal_agent import durable


def write_atomically(path: Path, data: bytes) -> None:
    """Write a draft beside the file, flush it to disk and rename it."""
    write_atomically_together({path: data})


def write_atomically_together(files: Mapping[Path, bytes]) -> None:
    """Write the drafts of all files first, then rename them: a full disk leaves all of them as they were."""
    drafts = {path: path.with_name(f".{path.name}.draft") for path in files}
    for path, data in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        durable.write(drafts[path], data)
    for path, draft in drafts.items():
        draft.replace(path)
