"""Trajectories in the ledger: a table beside the revisions, whose changes are links of the same chain."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from seal_agent.store import chain
from seal_agent.store.database import Database

SCHEMA = """
CREATE TABLE IF NOT EXISTS trajectories (
    adapter TEXT NOT NULL,
    id TEXT NOT NULL,
    created TEXT NOT NULL,
    outcome TEXT NOT NULL,
    learnt TEXT NOT NULL,
    body TEXT NOT NULL,
    salt TEXT NOT NULL,
    PRIMARY KEY (adapter, id)
);
"""
STORED, DROPPED = "trajectory", "trajectory forgotten"
"""Events of the chain."""


@dataclass(frozen=True, slots=True)
class StoredTrajectory:
    """A row: `learnt` is the revision that learnt it, "" where none has; `body` is JSON."""

    id: str
    created: str
    outcome: str
    learnt: str
    body: str


def put(database: Database, adapter: str, id_: str, outcome: str, body: str) -> bool:
    """Store a trajectory, or what is new about one. False where this very row is there already."""
    with database.write() as db:
        row = db.execute("SELECT body FROM trajectories WHERE adapter = ? AND id = ?", (adapter, id_)).fetchone()
        if row and row[0] == body:
            return False
        salt, now = secrets.token_hex(16), datetime.now(UTC).isoformat(timespec="milliseconds")
        db.execute(
            "INSERT INTO trajectories VALUES (?, ?, ?, ?, '', ?, ?) ON CONFLICT (adapter, id) DO UPDATE SET "
            "outcome = excluded.outcome, body = excluded.body, salt = excluded.salt",
            (adapter, id_, now, outcome, body, salt),
        )
        chain.append(db, STORED, adapter, id_, chain.digest_of(salt, body))
    return True


def rows(database: Database, adapter: str) -> list[StoredTrajectory]:
    """The trajectories of an adapter, oldest first."""
    query = "SELECT id, created, outcome, learnt, body FROM trajectories WHERE adapter = ? ORDER BY created, rowid"
    return [StoredTrajectory(*row) for row in database.connection.execute(query, (adapter,))]


def mark_learnt(database: Database, adapter: str, ids: Sequence[str], revision: str) -> None:
    """Write down which revision learnt some trajectories."""
    with database.write() as db:
        pairs = [(revision, adapter, id_) for id_ in ids]
        db.executemany("UPDATE trajectories SET learnt = ? WHERE adapter = ? AND id = ?", pairs)


def drop(database: Database, adapter: str, ids: Sequence[str]) -> None:
    """Delete some trajectories; the chain keeps their ids."""
    with database.write() as db:
        _drop(db, adapter, ids)


def follow(db: sqlite3.Connection, adapter: str, gone: Mapping[str, str | None]) -> None:
    """After revisions were forgotten, inside their transaction: what became another revision was learnt by that now;
    the trajectories of the others are deleted with them."""
    for revision, became in gone.items():
        if became:
            change = "UPDATE trajectories SET learnt = ? WHERE adapter = ? AND learnt = ?"
            db.execute(change, (became, adapter, revision))
            continue
        query = "SELECT id FROM trajectories WHERE adapter = ? AND learnt = ?"
        _drop(db, adapter, [id_ for (id_,) in db.execute(query, (adapter, revision)).fetchall()])


def drop_all(db: sqlite3.Connection, adapter: str) -> None:
    """Delete all trajectories of an adapter, inside a transaction."""
    _drop(db, adapter, [id_ for (id_,) in db.execute("SELECT id FROM trajectories WHERE adapter = ?", (adapter,))])


def problems(db: sqlite3.Connection, links: Sequence[chain.Link]) -> list[str]:
    """What is wrong with the trajectories of a store, in sentences."""
    expected: dict[tuple[str, str], str] = {}
    for link in links:
        if link.event == STORED:
            expected[link.adapter, link.revision] = link.digest
        elif link.event == DROPPED:
            expected.pop((link.adapter, link.revision), None)
    found = []
    for adapter, id_, body, salt in db.execute("SELECT adapter, id, body, salt FROM trajectories"):
        if expected.pop((adapter, id_), "") != chain.digest_of(salt, body):
            found.append(f"trajectory {id_} of {adapter!r} was changed")
    vanished = [
        f"trajectory {id_} of {adapter!r} has vanished without having been forgotten" for adapter, id_ in expected
    ]
    return found + vanished


def _drop(db: sqlite3.Connection, adapter: str, ids: Sequence[str]) -> None:
    for id_ in ids:
        if db.execute("DELETE FROM trajectories WHERE adapter = ? AND id = ?", (adapter, id_)).rowcount:
            chain.append(db, DROPPED, adapter, id_)
