"""Budgets: how much an adapter or the whole store may take, kept in the ledger and so the same for every process."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import TypeAdapter

from seal_agent.config import Limits
from seal_agent.errors import BudgetError
from seal_agent.store import schema
from seal_agent.store.ledger import Ledger
from seal_agent.store.names import check_name

STORE, EACH = schema.WHOLE_STORE, "each adapter"
"""Scopes that no adapter can be called: all together, and every adapter that has no limits of its own."""

_LIMITS: TypeAdapter[Limits] = TypeAdapter(Limits)
_WHAT = {
    "adaptations": "{:g} adaptations an hour",
    "seconds": "{:g} seconds of training an hour",
    "tokens": "{:g} tokens an hour",
    "megabytes": "{:g} MB on disk",
}


@dataclass
class Run:
    """A training in progress; `tokens`, and its `share` of the seconds, are written down when it ends."""

    share: float
    tokens: int = 0


def set_limits(ledger: Ledger, scope: str, limits: Limits) -> None:
    """Set the limits of an adapter by its name, of `EACH` adapter, or of the whole `STORE`; without any, remove them.

    Raises InputError for what cannot name an adapter.
    """
    with ledger.database.write() as db:
        db.execute("DELETE FROM limits WHERE scope = ?", (_checked(scope),))
        if limits != Limits():
            db.execute("INSERT INTO limits VALUES (?, ?)", (scope, _LIMITS.dump_json(limits).decode()))


def limits_of(ledger: Ledger, scope: str) -> Limits:
    """The limits of a scope; none where none were set. Raises InputError as `set_limits`."""
    return _limits(ledger.database.connection, _checked(scope)) or Limits()


def _checked(scope: str) -> str:
    return scope if scope in (STORE, EACH) else check_name(scope)


def check(ledger: Ledger, adapter: str) -> None:
    """Raises BudgetError where another training of this adapter would break a limit."""
    _check(ledger, ledger.database.connection, adapter, _WHAT)


def check_room(ledger: Ledger, adapter: str) -> None:
    """Raises BudgetError where the adapter, or the store, may take no more of the disk."""
    _check(ledger, ledger.database.connection, adapter, ("megabytes",))


@contextmanager
def spend(ledger: Ledger, adapters: Sequence[str], *, refuse: bool = True) -> Iterator[list[Run]]:
    """Count trainings from now on, one for each adapter, so that others see them while they run.

    Raises BudgetError before anything is done or counted, unless they may not be refused.
    """
    runs, started = [Run(share=1 / len(adapters)) for _ in adapters], time.monotonic()
    numbers = []
    with ledger.database.write() as db:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        for adapter in adapters:
            if refuse:
                _check(ledger, db, adapter, _WHAT)
            row = (adapter, now, os.getpid())
            numbers.append(db.execute("INSERT INTO runs (adapter, started, process) VALUES (?, ?, ?)", row).lastrowid)
    try:
        yield runs
    finally:
        with ledger.database.write() as db:
            seconds = time.monotonic() - started
            for run, number in zip(runs, numbers, strict=True):
                spent = (seconds * run.share, run.tokens, number)
                db.execute("UPDATE runs SET seconds = ?, tokens = ? WHERE id = ?", spent)
            old = (datetime.now(UTC) - timedelta(days=1)).isoformat()
            db.execute("DELETE FROM runs WHERE started < ?", (old,))


def _check(ledger: Ledger, db: sqlite3.Connection, adapter: str, what: Collection[str]) -> None:
    own = _limits(db, adapter) or _limits(db, EACH)
    for scope, limits in ((adapter, own), (None, _limits(db, STORE))):
        if limits is None:
            continue
        used = _used(ledger, db, scope)
        for name in what:
            most = getattr(limits, name)
            if most is not None and used[name] >= most:
                whose = f"adapter {scope!r}" if scope else "this store"
                fix = "forget something" if name == "megabytes" else "wait"
                raise BudgetError(
                    f"{whose} may take {_WHAT[name].format(most)}, and has; {fix}, or raise it by `seal budget`"
                )


def _limits(db: sqlite3.Connection, scope: str) -> Limits | None:
    row = db.execute("SELECT body FROM limits WHERE scope = ?", (scope,)).fetchone()
    limits = _LIMITS.validate_json(row[0]) if row else Limits()
    return limits if limits != Limits() else None


def _used(ledger: Ledger, db: sqlite3.Connection, adapter: str | None) -> dict[str, float]:
    """What was used within the last hour, by the names of Limits; of all adapters where None."""
    now = datetime.now(UTC)
    query, values = (
        "SELECT started, process, seconds, tokens FROM runs WHERE started > ?",
        [(now - timedelta(hours=1)).isoformat()],
    )
    if adapter is not None:
        query, values = f"{query} AND adapter = ?", [*values, adapter]
    rows = db.execute(query, values).fetchall()
    return {
        "adaptations": len(rows),
        "seconds": sum(_seconds(now, *row[:3]) for row in rows),
        "tokens": sum(row[3] or 0 for row in rows),
        "megabytes": _bytes(ledger, db, adapter) / 1e6,
    }


def _seconds(now: datetime, started: str, process: int, seconds: float | None) -> float:
    """Seconds of a training that ended, so far of one that runs, and none of one whose process was killed."""
    if seconds is not None:
        return seconds
    return (now - datetime.fromisoformat(started)).total_seconds() if _lives(process) else 0.0


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _bytes(ledger: Ledger, db: sqlite3.Connection, adapter: str | None) -> int:
    query = "SELECT DISTINCT folder FROM revisions" + ("" if adapter is None else " WHERE adapter = ?")
    folders = db.execute(query, () if adapter is None else (adapter,)).fetchall()
    return sum(_bytes_in(ledger.adapters_folder / name) for (name,) in folders)


def _bytes_in(folder: Path) -> int:
    total = 0
    with suppress(FileNotFoundError):  # it may be forgotten meanwhile
        for file in folder.iterdir():
            total += file.stat().st_size if file.is_file() else 0
    return total
