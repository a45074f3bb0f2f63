"""Lessons that wait to be learnt: a table beside the ledger's, so that they outlive the process that queued them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from seal_agent.store.database import Database
from seal_agent.text.inflection import composed

SCHEMA = """
CREATE TABLE IF NOT EXISTS lessons (
    ticket INTEGER PRIMARY KEY AUTOINCREMENT,
    owner TEXT NOT NULL,
    base TEXT NOT NULL,
    adapter TEXT NOT NULL,
    queued TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    text TEXT NOT NULL,
    body TEXT NOT NULL
);
"""
MAX_ATTEMPTS = 3  # of a lesson during which the process ended, a lesson that exhausts the memory say; not tuned


@dataclass(frozen=True, slots=True)
class Lesson:
    """A lesson in the queue. `body` is the caller's, `queued` an ISO time as in Revision.created."""

    ticket: int
    adapter: str
    queued: str
    attempts: int
    body: str


class LessonQueue:
    """One owner's lessons. Those of an owner whose process has ended can be taken over.

    An owner holds a file lock as long as its process lives; the system releases it however the process ends.

    Args:
        database: The store's.
        base: Identity of the base model. Lessons for others are left alone.
    """

    def __init__(self, database: Database, base: str) -> None:
        self._database, self._base = database, base
        self._folder = database.path.parent / "learners"
        self._owner = uuid.uuid4().hex
        self._alive: FileLock | None = None

    def add(self, adapter: str, text: str, body: str) -> Lesson:
        """Queue a lesson. It is on disk when this returns.

        Args:
            text: What is to be learnt. If a revision with this text is forgotten, the lesson is deleted too.
            body: Given back unchanged.
        """
        self._show_alive()
        queued = datetime.now(UTC).isoformat(timespec="milliseconds")
        row = (self._owner, self._base, adapter, queued, 0, text, body)
        columns = "owner, base, adapter, queued, attempts, text, body"
        with self._database.write() as db:
            ticket = db.execute(f"INSERT INTO lessons ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", row).lastrowid
        assert ticket is not None
        return Lesson(ticket, adapter, queued, 0, body)

    def take_over(self) -> list[Lesson]:
        """Make the lessons of owners whose processes have ended this owner's. Returns them, oldest first."""
        ended = set(
            self._database.connection.execute("SELECT DISTINCT owner FROM lessons WHERE base = ?", (self._base,))
        )
        owners = {owner for (owner,) in ended} | {path.stem for path in self._folder.glob("[0-9a-f]*.lock")}
        lessons = [lesson for owner in owners - {self._owner} for lesson in self._take_over_from(owner)]
        return sorted(lessons, key=lambda lesson: lesson.ticket)

    def _take_over_from(self, owner: str) -> list[Lesson]:
        """An owner's lessons; none if its process lives."""
        self._show_alive()
        try:
            with FileLock(self._lock_path(owner)).acquire(timeout=0), self._database.write() as db:
                query = "SELECT ticket, adapter, queued, attempts, body FROM lessons WHERE owner = ? AND base = ?"
                rows = db.execute(query, (owner, self._base)).fetchall()
                change = "UPDATE lessons SET owner = ? WHERE owner = ? AND base = ?"
                db.execute(change, (self._owner, owner, self._base))
        except Timeout:
            return []
        with suppress(OSError):
            self._lock_path(owner).unlink(missing_ok=True)
        return [Lesson(*row) for row in rows]

    def begin(self, lesson: Lesson) -> bool:
        """Count an attempt. False if the lesson is no longer there, since its text was forgotten."""
        with self._database.write() as db:
            query = "UPDATE lessons SET attempts = attempts + 1 WHERE ticket = ?"
            return db.execute(query, (lesson.ticket,)).rowcount == 1

    def postpone(self, lesson: Lesson) -> None:
        """Take back the attempt that `begin` counted: it failed for now, and the process goes on."""
        with self._database.write() as db:
            db.execute("UPDATE lessons SET attempts = attempts - 1 WHERE ticket = ?", (lesson.ticket,))

    def remove(self, lesson: Lesson) -> None:
        """Delete a lesson that was learnt, or that cannot be."""
        with self._database.write() as db:
            db.execute("DELETE FROM lessons WHERE ticket = ?", (lesson.ticket,))

    def __len__(self) -> int:
        """Lessons of all owners for this base model."""
        query = "SELECT COUNT(*) FROM lessons WHERE base = ?"
        return int(self._database.connection.execute(query, (self._base,)).fetchone()[0])

    @contextmanager
    def only_learner_of(self, adapter: str) -> Iterator[None]:
        """One lesson of an adapter at a time, from looking whether it is known to recording it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._folder / f"of-{adapter}.lock"):
            yield

    def _show_alive(self) -> None:
        """Hold this owner's lock until the process ends."""
        if self._alive is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._lock_path(self._owner), thread_local=False)
            lock.acquire()
            self._alive = lock

    def _lock_path(self, owner: str) -> Path:
        return self._folder / f"{owner}.lock"


def delete_text(database: Database, adapter: str, text: str) -> None:
    """Delete an adapter's lessons that hold this text, white space and the composition of accents aside."""
    with database.write() as db:
        rows = db.execute("SELECT ticket, text FROM lessons WHERE adapter = ?", (adapter,)).fetchall()
        same = [(ticket,) for ticket, queued in rows if _words(queued) == _words(text)]
        db.executemany("DELETE FROM lessons WHERE ticket = ?", same)


def _words(text: str) -> list[str]:
    return composed(text).split()
