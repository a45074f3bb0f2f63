"""The state of a revision, and the revision that an adapter uses: read and changed inside a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from typing import cast

from seal_agent.store import chain
from seal_agent.store.entries import revision_of
from seal_agent.types import RevisionState


def active_of(db: sqlite3.Connection, adapter: str) -> str | None:
    """Id of the revision in use; None where the adapter is unknown or rolled back to the base."""
    row = db.execute("SELECT revision FROM active WHERE adapter = ?", (adapter,)).fetchone()
    return row[0] if row else None


def set_active(db: sqlite3.Connection, adapter: str, revision: str | None) -> None:
    """Point an adapter at one of its revisions, or at the base model (None)."""
    db.execute("INSERT OR REPLACE INTO active VALUES (?, ?)", (adapter, revision))
    chain.append(db, "used", adapter, revision or "")


def state_of(db: sqlite3.Connection, revision: str) -> RevisionState | None:
    """The state of a revision; None where there is no such revision."""
    row = db.execute("SELECT id, body, state FROM revisions WHERE id = ?", (revision,)).fetchone()
    if row is None:
        return None
    return cast("RevisionState", row[2]) if row[2] else revision_of(*row).status


def parent_of(db: sqlite3.Connection, revision: str) -> str | None:
    """Id of the revision that one goes on from; None for the base model, or where there is no such revision."""
    row = db.execute("SELECT parent FROM revisions WHERE id = ?", (revision,)).fetchone()
    return row[0] if row else None


def lineage_of(db: sqlite3.Connection, adapter: str) -> Iterator[str]:
    """Ids of the revision in use and its ancestors, newest first."""
    revision = active_of(db, adapter)
    while revision is not None:
        yield revision
        revision = parent_of(db, revision)


def set_states(db: sqlite3.Connection, adapter: str, states: Mapping[str, RevisionState]) -> None:
    """Change the states of revisions of one adapter, by their ids."""
    for revision, state in states.items():
        db.execute("UPDATE revisions SET state = ? WHERE id = ?", (state, revision))
        chain.append(db, state, adapter, revision)
