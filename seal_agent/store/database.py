"""The store's SQLite file: one connection per thread, one writer at a time, and errors in a sentence."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seal_agent import durable
from seal_agent.errors import StoreError


class Database:
    """Safe for threads and for several processes. A transaction that `write` has left is on disk.

    Every failure of SQLite is a StoreError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()

    @property
    def connection(self) -> sqlite3.Connection:
        """The running thread's connection."""
        db: sqlite3.Connection | None = getattr(self._local, "db", None)
        if db is None:
            with _as_store_errors():
                db = sqlite3.connect(self.path, timeout=30, isolation_level=None, factory=_Connection)
            db.execute("PRAGMA foreign_keys = ON")
            db.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten with zeros
            db.execute("PRAGMA synchronous = FULL")
            self._local.db = db
        return db

    def close(self) -> None:
        """Close the running thread's connection; the next use opens another."""
        db: sqlite3.Connection | None = getattr(self._local, "db", None)
        if db is not None:
            db.close()
            self._local.db = None

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction, undone if the block raises."""
        db = self.connection
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                sqlite3.Connection.rollback(db)
            raise


@contextmanager
def _as_store_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as err:
        raise StoreError(f"the adapter store {_reason(err)}; nothing was changed") from err


def _reason(err: sqlite3.Error) -> str:
    text = str(err)
    if "locked" in text or "busy" in text:
        return "is in use by other programs, which have not let go of it for 30 seconds; try again"
    if "full" in text:
        return "could not be written, since the disk is full; make room and try again"
    if "readonly" in text or "unable to open" in text:
        return f"cannot be written ({text}); set SEAL_HOME to a writable folder"
    if "not a database" in text:
        return f"holds no ledger ({text}); move that folder away, and `seal restore` brings a backup back"
    if "malformed" in text:
        return f"is damaged ({text}); `seal verify` says what is left, `seal restore` brings a backup back"
    return f"could not be read or written ({text})"


class _Cursor(sqlite3.Cursor):
    """A cursor whose errors are StoreErrors and whose statements are steps."""

    def execute(self, sql: str, parameters: Any = ()) -> _Cursor:
        with _as_store_errors():
            if durable.hook is not None and not sql.lstrip().upper().startswith(("SELECT", "PRAGMA")):
                durable.step(f"sql {' '.join(sql.split()[:3])}")
            return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any) -> _Cursor:
        with _as_store_errors():
            durable.step(f"sql {' '.join(sql.split()[:3])}")
            return super().executemany(sql, parameters)

    def fetchone(self) -> Any:
        with _as_store_errors():
            return super().fetchone()

    def fetchall(self) -> list[Any]:
        with _as_store_errors():
            return super().fetchall()

    def __next__(self) -> Any:
        with _as_store_errors():
            return super().__next__()


class _Connection(sqlite3.Connection):
    """A connection whose statements run through `_Cursor`."""

    def execute(self, sql: str, parameters: Any = ()) -> _Cursor:
        return self.cursor(_Cursor).execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any) -> _Cursor:
        return self.cursor(_Cursor).executemany(sql, parameters)
