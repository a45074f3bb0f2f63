"""The hash chain: every change of the ledger, each with the hash of the one before.

A row that was changed, removed or slipped in breaks the chain from there on. What a revision holds, and which folder
has its weights, enters as a salted digest; the salt goes with the revision, so that nothing about a forgotten text can
be told from the chain.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime

from seal_agent.types import content_hash

START = "0" * 64
REWRITTEN = "rewritten"
"""The event of a revision whose body names its base model by another identity; its state stays."""
RECORDED = ("recorded", "migrated", REWRITTEN, "imported")
"""Events that set what a revision holds."""
ERASED = ("forgotten", "deleted")


@dataclass(frozen=True, slots=True)
class Link:
    """One change: what happened to which revision of which adapter, and when."""

    number: int
    time: str
    event: str
    adapter: str
    revision: str
    digest: str
    previous: str
    hash: str

    @property
    def expected_hash(self) -> str:
        return _hash(self.number, self.time, self.event, self.adapter, self.revision, self.digest, self.previous)


def append(db: sqlite3.Connection, event: str, adapter: str, revision: str, digest: str = "") -> None:
    """Add a link, inside a transaction."""
    last = db.execute("SELECT number, hash FROM chain ORDER BY number DESC LIMIT 1").fetchone()
    number, previous = (last[0] + 1, last[1]) if last else (1, START)
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    facts = (number, time, event, adapter, revision, digest, previous)
    db.execute("INSERT INTO chain VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*facts, _hash(*facts)))


def record(db: sqlite3.Connection, revision: str, adapter: str, body: str, event: str) -> None:
    """Add a link with the digest of a revision's body and folder, under a new salt. Its row must be there."""
    salt = secrets.token_hex(16)
    db.execute("UPDATE revisions SET salt = ? WHERE id = ?", (salt, revision))
    (folder,) = db.execute("SELECT folder FROM revisions WHERE id = ?", (revision,)).fetchone()
    append(db, event, adapter, revision, digest_of(salt, body, folder))


def digest_of(salt: str, body: str, folder: str = "") -> str:
    """The digest by which the chain knows a body: a trajectory's, or a revision's and the folder of its weights.

    Chains from before have digests of revisions without their folder.
    """
    return hashlib.sha256("\n".join(filter(None, (salt, body, folder))).encode()).hexdigest()


def links(db: sqlite3.Connection) -> list[Link]:
    """All links, oldest first."""
    return [Link(*row) for row in db.execute("SELECT * FROM chain ORDER BY number")]


def _hash(*facts: object) -> str:
    return content_hash(list(facts))
