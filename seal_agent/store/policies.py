"""Policies that a store knows of: which texts each was finetuned on, and which of those were forgotten since.

A policy is a folder of `seal train`. Its metadata holds a hash of every text whose self-edits it learnt, so that the
store can flag it when such a text is forgotten. The store itself keeps no hash of what was forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seal_agent import durable
from seal_agent.types import content_hash

if TYPE_CHECKING:
    from seal_agent.store.ledger import Ledger

METADATA = "seal_policy.json"
"""The file in a policy's folder that says what it was finetuned on."""
POLICIES, LAST = "policy", "last"
"""The folder of a run's policies, and the file in it that names the last one."""
CONTEXTS, FORGOTTEN = "contexts", "forgotten"
"""Keys of the metadata: hashes of texts, and the dates on which one of them was forgotten."""


def text_hash(text: str) -> str:
    """Hash of a text's words, 32 hex digits; the same however the words are spaced."""
    return content_hash(text.split())[:32]


def metadata_of(folder: Path) -> dict[str, Any] | None:
    """The metadata in a policy's folder; None where there is none. Raises ValueError where it is damaged."""
    try:
        found: dict[str, Any] = json.loads((folder / METADATA).read_text(encoding="utf-8"))
    except OSError:
        return None
    return found


def write_metadata(folder: Path, metadata: dict[str, Any]) -> None:
    """Write a policy's metadata, whole or not at all."""
    draft = folder.parent / f".{folder.name}.draft"  # beside the folder, which may hold nothing else
    durable.write(draft, (json.dumps(metadata, indent=1) + "\n").encode())
    durable.rename(draft, folder / METADATA)
    durable.flush(folder)


def register_policies(ledger: Ledger, folder: Path) -> None:
    """Remember a run's folder, or a policy's, so that its policies are flagged when one of their texts is forgotten."""
    place = (str(folder.resolve()),)
    if ledger.database.connection.execute("SELECT 1 FROM policies WHERE folder = ?", place).fetchone() is None:
        with ledger.database.write() as db:
            db.execute("INSERT OR IGNORE INTO policies VALUES (?)", place)


def flag_policies(ledger: Ledger, texts: Iterable[str]) -> list[Path]:
    """Flag every known policy that was finetuned on one of the texts; returns their folders.

    Policies on folders that are gone, damaged or not writable are passed over.
    """
    gone = {text_hash(text) for text in texts}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    flagged = []
    rows = ledger.database.connection.execute("SELECT folder FROM policies").fetchall()
    for folder in (policy for (known,) in rows for policy in _policies_in(Path(known))):
        try:
            metadata = metadata_of(folder)
            if metadata and gone & set(metadata.get(CONTEXTS, ())):
                write_metadata(folder, metadata | {FORGOTTEN: [*metadata.get(FORGOTTEN, ()), now]})
                flagged.append(folder)
        except (OSError, ValueError):
            continue
    return flagged


def flagged_policies(run: Path) -> dict[str, list[str]]:
    """The flagged policies of a run's folder, or of a policy's: the dates on which texts of theirs were forgotten."""
    found = {}
    for folder in _policies_in(run):
        try:
            dates = (metadata_of(folder) or {}).get(FORGOTTEN)
        except ValueError:
            continue
        if dates:
            found[folder.name] = list(dates)
    return found


def _policies_in(folder: Path) -> Iterator[Path]:
    """The policies below a run's folder, or the folder itself if it is one."""
    places = [folder, *(sorted((folder / POLICIES).iterdir()) if (folder / POLICIES).is_dir() else [])]
    return (place for place in places if (place / METADATA).is_file())
