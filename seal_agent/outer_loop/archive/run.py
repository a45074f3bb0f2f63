"""A run on disk: a folder with a manifest and a SQLite ledger that holds every finished piece of work once.

What the ledger holds is not done again. Each piece is written in one transaction, so a run that is killed at any moment
continues after the last finished piece.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout
from pydantic import TypeAdapter

from seal_agent.config import recorded_settings
from seal_agent.errors import InputError, StoreError
from seal_agent.types import content_hash

MANIFEST, LEDGER, LOCK = "manifest.json", "ledger.sqlite", "run.lock"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS work (
    key TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    round INTEGER NOT NULL,
    body TEXT NOT NULL,
    seconds REAL NOT NULL
);
"""
Value = TypeVar("Value")


class Run:
    """One run's folder, locked by one process at a time.

    Raises InputError where the folder is in use or belongs to a run with another config, naming the differences;
    StoreError where it cannot be written.

    Args:
        folder: Created where it does not exist.
        config: Everything that decides the run's results; must be the same each time the folder is opened.
        facts: Further entries of a new manifest; those of an existing one stay.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        self.folder = folder
        self._lock = FileLock(folder / LOCK)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout as err:
            raise InputError(f"another process is working on the run in {folder}; wait for it or stop it") from err
        except OSError as err:
            raise StoreError(f"the run folder {folder} cannot be written ({err}); choose another --run") from err
        self._db = _open_ledger(folder)
        self._write_lock = threading.Lock()
        self.manifest = self._open_manifest(json.loads(json.dumps(config)), facts)

    def close(self) -> None:
        """Close the ledger and release the folder's lock."""
        self._db.close()
        self._lock.release()

    def find(self, key: str, value_type: type[Value]) -> Value | None:
        """The value recorded under a key; None where there is none."""
        row = self._db.execute("SELECT body FROM work WHERE key = ?", (key,)).fetchone()
        return TypeAdapter(value_type).validate_json(row[0]) if row else None

    def record(
        self, key: str, kind: str, round_: int, value: object, seconds: float = 0.0, again: bool = False
    ) -> None:
        """Record a finished piece of work.

        Args:
            key: Content hash of everything that decides the value.
            kind: The stage that the piece belongs to.
            round_: The round that the piece belongs to.
            value: A dataclass, stored as JSON.
            seconds: Duration of the work; no part of `digest`.
            again: Replace a value recorded under the same key; otherwise that one stays.
        """
        body = TypeAdapter(type(value)).dump_json(value).decode()
        with self._write_lock:
            self._db.execute(
                f"INSERT OR {'REPLACE' if again else 'IGNORE'} INTO work VALUES (?, ?, ?, ?, ?)",
                (key, kind, round_, body, seconds),
            )
            self._db.commit()

    def amend(self, key: str, value: object) -> None:
        """Replace the value recorded under a key; its place, its round and its seconds stay."""
        body = TypeAdapter(type(value)).dump_json(value).decode()
        with self._write_lock:
            self._db.execute("UPDATE work SET body = ? WHERE key = ?", (body, key))
            self._db.commit()

    def recorded(
        self,
        kind: str,
        round_: int,
        facts: Any,
        value_type: type[Value],
        do: Callable[[], Value],
        redo: Callable[[Value], bool] = lambda _: False,
    ) -> Value:
        """The value that the ledger holds for these facts; else the result of `do`, which is then recorded.

        Args:
            kind: The stage, as the ledger names it.
            round_: The round that the piece belongs to.
            facts: Everything that decides the value, as JSON; its hash is the key.
            value_type: The dataclass of the value.
            do: Makes the value.
            redo: Whether a recorded value must be made again.
        """
        key = content_hash([kind, facts])
        recorded = self.find(key, value_type)
        if recorded is not None and not redo(recorded):
            return recorded
        started = time.perf_counter()
        value = do()
        self.record(key, kind, round_, value, time.perf_counter() - started, again=recorded is not None)
        return value

    def counts(self) -> dict[tuple[int, str], int]:
        """Number of finished pieces by (round, kind)."""
        rows = self._db.execute("SELECT round, kind, COUNT(*) FROM work GROUP BY round, kind")
        return {(round_, kind): count for round_, kind, count in rows}

    def seconds(self) -> dict[tuple[int, str], float]:
        """Seconds that the finished pieces took, by (round, kind)."""
        rows = self._db.execute("SELECT round, kind, SUM(seconds) FROM work GROUP BY round, kind")
        return {(round_, kind): seconds for round_, kind, seconds in rows}

    def pieces(self, kind: str, value_type: type[Value]) -> list[tuple[Value, float]]:
        """The finished pieces of a kind, in the order in which they were recorded, with their seconds."""
        rows = self._db.execute("SELECT body, seconds FROM work WHERE kind = ? ORDER BY rowid", (kind,))
        return [(TypeAdapter(value_type).validate_json(body), seconds) for body, seconds in rows]

    def digest(self) -> str:
        """Hash of the ledger without the seconds: equal for two runs with equal results."""
        rows = self._db.execute("SELECT key, kind, round, body FROM work ORDER BY key")
        return content_hash([list(row) for row in rows])

    def _open_manifest(self, config: dict[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
        """The folder's manifest, written now where there is none. Raises InputError where its config differs.

        Settings that came later and are off make no difference, whether the manifest has them or not.
        """
        path = self.folder / MANIFEST
        if path.is_file():
            manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            begun = recorded_settings(manifest["config"])
            if differences := list(_differences(begun, recorded_settings(config))):
                raise InputError(
                    f"the run in {self.folder} was begun with other settings: {'; '.join(differences)}; "
                    "give the same ones again, or choose another --run"
                )
            return manifest
        manifest = {"config": config, "begun": datetime.now(UTC).isoformat(timespec="seconds"), **facts}
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        draft.replace(path)
        return manifest


def _open_ledger(folder: Path) -> sqlite3.Connection:
    try:
        db = sqlite3.connect(folder / LEDGER, timeout=30, check_same_thread=False)
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(_SCHEMA)
    except sqlite3.Error as err:
        raise StoreError(f"the ledger in {folder} cannot be opened ({err}); choose another --run") from err
    return db


def _differences(old: Any, new: Any, name: str = "") -> Any:
    """Yield each difference between two configs, as "epochs was 10, is 3"."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _differences(old.get(key), new.get(key), f"{name}.{key}" if name else key)
    elif old != new:
        yield f"{name} was {_short(old)}, is {_short(new)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"
