"""The tables of the ledger, and how older ledgers become newer ones. No revision is ever lost on the way."""

from __future__ import annotations

import sqlite3

from seal_agent.errors import StoreError
from seal_agent.store import chain, queue, trajectories

VERSION = 3
"""SQLite's user_version; 0 is a ledger from before there was a chain, or a new file; 1 has no trajectories; up to 2 the
scope of the whole store's limits is a name that an adapter can have."""
WHOLE_STORE = "whole store"
"""The scope of limits on all adapters together."""

_TABLES = """
CREATE TABLE IF NOT EXISTS revisions (
    id TEXT PRIMARY KEY,
    adapter TEXT NOT NULL,
    parent TEXT,
    proposal TEXT NOT NULL,
    folder TEXT NOT NULL,
    created TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS by_adapter ON revisions (adapter, created);
CREATE INDEX IF NOT EXISTS by_proposal ON revisions (adapter, proposal);
CREATE TABLE IF NOT EXISTS active (adapter TEXT PRIMARY KEY, revision TEXT REFERENCES revisions (id));
CREATE TABLE IF NOT EXISTS forgotten (
    id TEXT PRIMARY KEY,
    adapter TEXT NOT NULL,
    created TEXT NOT NULL,
    forgotten TEXT NOT NULL,
    became TEXT
);
CREATE TABLE IF NOT EXISTS identities (former TEXT PRIMARY KEY, identity TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS chain (
    number INTEGER PRIMARY KEY,
    time TEXT NOT NULL,
    event TEXT NOT NULL,
    adapter TEXT NOT NULL,
    revision TEXT NOT NULL,
    digest TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS namespaces (adapter TEXT PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS limits (scope TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS policies (folder TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    adapter TEXT NOT NULL,
    started TEXT NOT NULL,
    process INTEGER NOT NULL,
    seconds REAL,
    tokens INTEGER
);
"""
_COLUMNS = """
ALTER TABLE revisions ADD COLUMN state TEXT NOT NULL DEFAULT '';
ALTER TABLE revisions ADD COLUMN salt TEXT NOT NULL DEFAULT '';
"""


def prepare(db: sqlite3.Connection) -> None:
    """Make the tables, or those that an older ledger lacks. The caller holds the lock of the ledger.

    Raises StoreError for a ledger that a newer version wrote.
    """
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise StoreError("this adapter store was written by a newer seal-agent; install that version to open it")
    if db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":  # a new file, or a restored one
        db.execute("PRAGMA journal_mode = WAL")
    for statement in _statements(_TABLES + queue.SCHEMA + trajectories.SCHEMA):
        db.execute(statement)
    if version == 0:
        _migrate(db)
    elif version < VERSION:  # the new tables are made; versions that would not forget what is in them must not open it
        _upgrade(db)


def _upgrade(db: sqlite3.Connection) -> None:
    """From 1 or 2, in one transaction."""
    db.execute("BEGIN IMMEDIATE")
    try:
        db.execute("UPDATE OR IGNORE limits SET scope = ? WHERE scope = 'store'", (WHOLE_STORE,))
        db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.rollback()
        raise


def _migrate(db: sqlite3.Connection) -> None:
    """From 0: give every revision a state and a link of the chain, in one transaction."""
    db.execute("BEGIN IMMEDIATE")
    try:
        for statement in _statements(_COLUMNS):
            db.execute(statement)
        rows = db.execute("SELECT id, adapter, body FROM revisions ORDER BY created, rowid").fetchall()
        for revision, adapter, body in rows:
            chain.record(db, revision, adapter, body, event="migrated")
        for adapter, used in db.execute("SELECT adapter, revision FROM active").fetchall():
            chain.append(db, "used", adapter, used or "")
        db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.rollback()
        raise


def _statements(script: str) -> list[str]:
    return [statement for statement in script.split(";") if statement.strip()]
