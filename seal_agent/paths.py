"""Where the project keeps files: the adapter store and the cache."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


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
