"""What a killed process leaves: weights that no revision uses, erased text in old pages, half a restored backup."""

from __future__ import annotations

import re
import shutil
import time
from contextlib import suppress
from pathlib import Path

from seal_agent import durable
from seal_agent.errors import StoreError
from seal_agent.store.ledger import Ledger

RESTORING = ".restore-"
"""How the folder begins into which a backup is unpacked, in the home of the store."""
ABANDONED = 3600.0
"""Seconds after which nobody unpacks a backup any more; not tuned."""
_OURS = re.compile(r"[0-9a-f]{64}|\.(draft|gone)-.*")


def delete_unused(ledger: Ledger) -> None:
    """Delete the folders that no revision uses. The caller holds `only_writer_of_folders`. Raises OSError."""
    used = ledger.folders()
    for folder in unused(ledger.adapters_folder, used):
        # A folder is renamed before it is deleted: under its own name it is whole, or not there.
        gone = folder if folder.name.startswith(".") else folder.with_name(f".gone-{folder.name}")
        if gone != folder:
            durable.rename(folder, gone)
        durable.step(f"rmtree {gone.name[:12]}")
        shutil.rmtree(gone)


def collect(ledger: Ledger) -> None:
    """Delete what a killed process left, if nobody is saving an adapter now; what cannot be deleted stays."""
    folder = ledger.adapters_folder
    if folder.is_dir() and unused(folder, ledger.folders()):
        with suppress(OSError, StoreError), ledger.only_writer_of_folders(wait=False):
            delete_unused(ledger)
            ledger.scrub()  # where a `forget` was killed, its text may be left too
    for half in ledger.path.parent.glob(f"{RESTORING}*"):
        with suppress(OSError):
            if time.time() - half.stat().st_mtime > ABANDONED:
                shutil.rmtree(half)


def unused(parent: Path, used: set[str]) -> list[Path]:
    """Our folders that are not in use."""
    if not parent.is_dir():
        return []
    return [path for path in parent.iterdir() if path.name not in used and _OURS.fullmatch(path.name)]
