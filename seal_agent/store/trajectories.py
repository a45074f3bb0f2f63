"""Trajectories in the ledger: a table beside the revisions, whose changes are links of the same chain."""

from __future__ import annotations

import secrets
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
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
CREATE TABLE IF NOT EXISTS trained (
    adapter TEXT NOT NULL,
    id TEXT NOT NULL,
    revision TEXT NOT NULL,
    PRIMARY KEY (adapter, id, revision)
);
"""
"""`learnt` is the last revision that learnt a trajectory; `trained` has every one that saw it, refused ones too."""
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


def put(
    database: Database, adapter: str, id_: str, outcome: str, body: str, keep: Callable[[str], bool] = lambda _: False
) -> str:
    """Store a trajectory, or what is new about one; returns the body that is there now.

    Args:
        keep: Whether the body that is there already stays.
    """
    with database.write() as db:
        row = db.execute("SELECT body FROM trajectories WHERE adapter = ? AND id = ?", (adapter, id_)).fetchone()
        if row and (row[0] == body or keep(row[0])):
            return str(row[0])
        salt, now = secrets.token_hex(16), datetime.now(UTC).isoformat(timespec="milliseconds")
        db.execute(
            "INSERT INTO trajectories VALUES (?, ?, ?, ?, '', ?, ?) ON CONFLICT (adapter, id) DO UPDATE SET "
            "outcome = excluded.outcome, body = excluded.body, salt = excluded.salt",
            (adapter, id_, now, outcome, body, salt),
        )
        chain.append(db, STORED, adapter, id_, chain.digest_of(salt, body))
    return body


def rows(database: Database, adapter: str) -> list[StoredTrajectory]:
    """The trajectories of an adapter, oldest first."""
    query = "SELECT id, created, outcome, learnt, body FROM trajectories WHERE adapter = ? ORDER BY created, rowid"
    return [StoredTrajectory(*row) for row in database.connection.execute(query, (adapter,))]


def mark_trained(database: Database, adapter: str, ids: Sequence[str], revision: str, learnt: bool) -> None:
    """Write down that a revision was trained on some trajectories, and whether they count as learnt."""
    with database.write() as db:
        mark(db, adapter, ids, revision, learnt)


def mark(db: sqlite3.Connection, adapter: str, ids: Sequence[str], revision: str, learnt: bool) -> None:
    """As `mark_trained`, inside a transaction."""
    for row in ((revision, adapter, id_) for id_ in ids):
        db.execute("INSERT OR IGNORE INTO trained (revision, adapter, id) VALUES (?, ?, ?)", row)
        if learnt:
            db.execute("UPDATE trajectories SET learnt = ? WHERE adapter = ? AND id = ?", row)


def trained(database: Database, adapter: str) -> dict[str, set[str]]:
    """The revisions that were trained on each trajectory, by its id."""
    return _trained(database.connection, adapter)


def sharing(database: Database, adapter: str, revision: str) -> set[str]:
    """The revisions that were trained on a trajectory on which this one was; itself among them if it was on any."""
    return {other for revisions in trained(database, adapter).values() if revision in revisions for other in revisions}


def release(db: sqlite3.Connection, adapter: str, forgotten: str, gone: Collection[str]) -> None:
    """Before revisions are erased, inside their transaction: what they learnt, but the forgotten one did not, can be
    learnt again."""
    for id_, revisions in _trained(db, adapter).items():
        if forgotten in revisions:
            continue
        for revision in revisions & set(gone):
            row = (adapter, id_, revision)
            db.execute("DELETE FROM trained WHERE adapter = ? AND id = ? AND revision = ?", row)
            db.execute("UPDATE trajectories SET learnt = '' WHERE adapter = ? AND id = ? AND learnt = ?", row)


def drop(database: Database, adapter: str, ids: Sequence[str]) -> None:
    """Delete some trajectories; the chain keeps their ids."""
    with database.write() as db:
        _drop(db, adapter, ids)


def follow(db: sqlite3.Connection, adapter: str, gone: Mapping[str, str | None]) -> None:
    """After revisions were forgotten, inside their transaction: what became another revision was learnt by that now;
    the trajectories of the others are deleted with them."""
    before = _trained(db, adapter)
    for revision, became in gone.items():
        if became:
            row = (became, adapter, revision)
            db.execute("UPDATE trajectories SET learnt = ? WHERE adapter = ? AND learnt = ?", row)
            db.execute("UPDATE OR REPLACE trained SET revision = ? WHERE adapter = ? AND revision = ?", row)
            continue
        _drop(db, adapter, [id_ for id_, revisions in before.items() if revision in revisions])
        db.execute("DELETE FROM trained WHERE adapter = ? AND revision = ?", (adapter, revision))


def drop_all(db: sqlite3.Connection, adapter: str) -> None:
    """Delete all trajectories of an adapter, inside a transaction."""
    _drop(db, adapter, [id_ for (id_,) in db.execute("SELECT id FROM trajectories WHERE adapter = ?", (adapter,))])
    db.execute("DELETE FROM trained WHERE adapter = ?", (adapter,))


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


def _trained(db: sqlite3.Connection, adapter: str) -> dict[str, set[str]]:
    """As `trained`. Ledgers from before that table was there say only which revision learnt a trajectory last."""
    query = (
        "SELECT id, revision FROM trained WHERE adapter = ? "
        "UNION SELECT id, learnt FROM trajectories WHERE adapter = ? AND learnt != ''"
    )
    found: dict[str, set[str]] = defaultdict(set)
    for id_, revision in db.execute(query, (adapter, adapter)).fetchall():
        found[id_].add(revision)
    return found


def _drop(db: sqlite3.Connection, adapter: str, ids: Sequence[str]) -> None:
    for id_ in ids:
        if db.execute("DELETE FROM trajectories WHERE adapter = ? AND id = ?", (adapter, id_)).rowcount:
            chain.append(db, DROPPED, adapter, id_)
