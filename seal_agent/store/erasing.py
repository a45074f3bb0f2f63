"""What erasing does to the tables: revisions go, their ids and dates stay, and no copy of them is left on disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from seal_agent.errors import StoreError
from seal_agent.store import chain
from seal_agent.types import Forgotten


def erase(db: sqlite3.Connection, adapter: str, gone: Mapping[str, str | None]) -> None:
    """Leave of these revisions their ids, and what was learnt in their place; inside a transaction."""
    now = _now()
    for revision, became in gone.items():
        chain.append(db, "forgotten", adapter, revision)
        db.execute(
            "INSERT OR REPLACE INTO forgotten SELECT id, adapter, created, ?, ? FROM revisions WHERE id = ?",
            (now, became, revision),
        )
        db.execute("DELETE FROM revisions WHERE id = ?", (revision,))


def delete(db: sqlite3.Connection, adapter: str) -> None:
    """Delete an adapter and all its revisions; inside a transaction."""
    db.execute("DELETE FROM active WHERE adapter = ?", (adapter,))
    for (revision,) in db.execute("SELECT id FROM revisions WHERE adapter = ?", (adapter,)).fetchall():
        chain.append(db, "forgotten", adapter, revision)
    kept = "SELECT id, adapter, created, ?, NULL FROM revisions WHERE adapter = ?"
    db.execute(f"INSERT OR REPLACE INTO forgotten {kept}", (_now(), adapter))
    for table in ("revisions", "lessons", "namespaces"):
        db.execute(f"DELETE FROM {table} WHERE adapter = ?", (adapter,))
    db.execute("UPDATE runs SET adapter = '' WHERE adapter = ?", (adapter,))  # what the store's limits count
    chain.append(db, "deleted", adapter, "")


def why_missing(db: sqlite3.Connection, revision: str) -> str:
    """Why there is no such revision, and what to do instead."""
    row = db.execute("SELECT * FROM forgotten WHERE id = ?", (revision,)).fetchone()
    if row is None:
        return f"there is no revision {revision!r}; `seal history` lists them"
    gone = Forgotten(*row)
    instead = f"use {gone.became}, which learnt the rest again" if gone.became else "`seal history` lists the others"
    return f"revision {revision!r} was forgotten on {gone.forgotten[:10]}; {instead}"


def scrub(db: sqlite3.Connection, path: Path) -> None:
    """Leave no copy of what was erased in the database and its log. Raises StoreError."""
    try:
        db.execute("PRAGMA temp_store = MEMORY")
        db.execute("VACUUM")  # a page that was once divided may hold an old copy of a row
        (busy, *_) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except StoreError as err:
        raise _not_scrubbed(path, str(err)) from err
    if busy:
        raise _not_scrubbed(path, "its log is being read")


def _not_scrubbed(path: Path, why: str) -> StoreError:
    return StoreError(
        f"it is forgotten, but a copy may be left in {path} and its -wal file ({why}); "
        "end the other programs that use this store, and the log is emptied when the last of them ends"
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
