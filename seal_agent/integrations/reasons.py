"""What clients may be told of an error: all but where the store lies."""

from __future__ import annotations

from pathlib import Path

from seal_agent.errors import SealError


def without_paths(error: SealError, home: Path) -> str:
    """What an error says, with "the store" in place of the store's folder."""
    text = str(error)
    for folder in sorted({str(home), str(home.resolve())}, key=len, reverse=True):
        text = text.replace(folder, "the store")
    return text
