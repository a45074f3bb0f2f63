"""The ledger: one SQLite file that says what was learnt when, and which revision of an adapter is active."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from filelock import FileLock

from seal_agent.errors import AdapterError, StoreError
from seal_agent.store import chain, erasing, queue, schema, states, trajectories
from seal_agent.store.database import Database
from seal_agent.store.entries import Entry, check_usable, damaged, revision_of, to_json
from seal_agent.store.locks import locked
from seal_agent.store.names import check_name
from seal_agent.types import Forgotten, Revision, content_hash


class Ledger:
    """Safe for threads and for several processes: SQLite in WAL mode, one connection per thread."""

    def __init__(self, home: Path) -> None:
        self.path = home / "ledger.sqlite"
        self.database = Database(self.path)
        try:
            home.mkdir(parents=True, exist_ok=True)
            # SQLite's busy time-out does not cover the change to WAL, which stays with the file once it is made.
            with FileLock(home / "ledger.lock"):
                schema.prepare(self._db)
        except OSError as err:
            raise StoreError(
                f"the adapter store in {home} cannot be opened ({err}); set SEAL_HOME to a writable folder"
            ) from err
        except StoreError as err:
            raise StoreError(f"{home} cannot be opened: {err}") from err

    def record(
        self,
        revision: Revision,
        proposal: str,
        folder: str,
        *,
        onto: str | Literal["any"] | None = "any",
        learnt: Sequence[str] = (),
    ) -> Revision:
        """Write a revision down and, if it was accepted, make it the active one, in one transaction.

        What happened while it was trained counts: where its parent was revoked, it is revoked too. One that was revoked
        stays as it is, and what is learnt again in its place has an id of its own. One that somebody took into use
        stays in use, whatever the new verdict.

        Args:
            learnt: Ids of the trajectories that it was trained on.
            onto: The revision that must be active for that, None for the base model. If another is, somebody rolled
                back meanwhile: the revision is kept, says so, and is not made active.

        Returns the revision as it was written.
        """
        with self._write() as db:
            revision = replace(revision, id=_unrevoked(db, revision.id))
            in_use = revision.id in states.lineage_of(db, revision.adapter)
            if in_use and not revision.accepted:
                trajectories.mark(db, revision.adapter, learnt, revision.id, learnt=True)
                return self.get(revision.id)
            if revision.parent and states.state_of(db, revision.parent) == "revoked":
                why = f"{revision.reason}; revoked, as {revision.parent} was, which it goes on from"
                revision = replace(revision, reason=why, state="revoked", accepted=False)
            now = states.active_of(db, revision.adapter)
            moved = onto not in ("any", now)
            if revision.accepted and moved and not in_use:
                why = f"{revision.reason}; not in use, since the adapter went to {now or 'the base model'} meanwhile"
                revision = replace(revision, reason=why)
            self._insert(db, Entry(revision, proposal, folder))
            if revision.accepted and not moved:
                states.set_active(db, revision.adapter, revision.id)
            is_learnt = revision.accepted or revision.status == "quarantined"
            trajectories.mark(db, revision.adapter, learnt, revision.id, is_learnt)
        return revision

    def activate(self, adapter: str, revision: str | None, onto: str | Literal["any"] | None = "any") -> bool:
        """Point an adapter at one of its revisions, or at the base model (None); whether that was done.

        It is not where another revision than `onto` is active, or where the new one is none that may be.
        """
        with self._write() as db:
            usable = revision is None or states.state_of(db, revision) == "active"
            if done := usable and onto in ("any", states.active_of(db, adapter)):
                states.set_active(db, adapter, revision)
        return done

    def active(self, adapter: str) -> str | None:
        """Id of the revision in use; None where the adapter is unknown or rolled back to the base."""
        return states.active_of(self._db, adapter)

    def get(self, revision: str) -> Revision:
        """A revision by its id. Raises AdapterError."""
        return self.entry(revision).revision

    def folder(self, revision: str) -> str:
        """Name of the folder with a revision's weights. Raises AdapterError."""
        return self.entry(revision).folder

    def entry(self, revision: str) -> Entry:
        """All that is kept of a revision. Raises AdapterError where there is none, or where it was forgotten."""
        query = "SELECT id, body, state, proposal, folder FROM revisions WHERE id = ?"
        row = self._db.execute(query, (revision,)).fetchone()
        if row is None:
            raise AdapterError(erasing.why_missing(self._db, revision))
        return Entry(revision_of(*row[:3]), row[3], row[4])

    def adapter_of(self, revision: str) -> str | None:
        """The adapter of a revision, also of one that was forgotten; None where there was none."""
        query = "SELECT adapter FROM revisions WHERE id = ?1 UNION ALL SELECT adapter FROM forgotten WHERE id = ?1"
        row = self._db.execute(query, (revision,)).fetchone()
        return row[0] if row else None

    def is_used(self) -> bool:
        """Whether anything was ever written into this ledger."""
        names = self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return any(self._db.execute(f'SELECT 1 FROM "{name}" LIMIT 1').fetchone() for (name,) in names)

    def exists(self, revision: str) -> bool:
        """Whether there is such a revision, and nobody has forgotten it. Takes microseconds."""
        return self._db.execute("SELECT 1 FROM revisions WHERE id = ?", (revision,)).fetchone() is not None

    def free_id(self, revision: str) -> str:
        """The id under which a revision would be recorded: another where that one was revoked."""
        return _unrevoked(self._db, revision)

    def was_forgotten(self, revision: str) -> bool:
        """Whether a revision was forgotten with nothing learnt in its place, and not learnt or imported again since."""
        query = "SELECT 1 FROM forgotten WHERE id = ? AND became IS NULL AND id NOT IN (SELECT id FROM revisions)"
        return self._db.execute(query, (revision,)).fetchone() is not None

    def count_forgotten(self) -> int:
        """How many revisions were ever forgotten, of all adapters: a number that changes when one is."""
        return int(self._db.execute("SELECT COUNT(*) FROM forgotten").fetchone()[0])

    def find(self, adapter: str, proposal: str) -> list[Revision]:
        """Revisions that came of one proposal, newest first."""
        which = "adapter = ? AND proposal = ? ORDER BY created DESC, rowid DESC"
        query = f"SELECT id, body, state FROM revisions WHERE {which}"
        return [revision_of(*row) for row in self._db.execute(query, (adapter, proposal))]

    def history(self, adapter: str) -> list[Revision]:
        """All revisions of an adapter, oldest first, taken-back ones included. Raises StoreError for a damaged one."""
        query = "SELECT id, body, state FROM revisions WHERE adapter = ? ORDER BY created, rowid"
        return [revision_of(*row) for row in self._db.execute(query, (adapter,))]

    def with_damaged(self, adapter: str) -> list[Revision]:
        """As `history`, with what is left of revisions that are damaged."""
        query = (
            "SELECT id, body, state, adapter, parent, created FROM revisions WHERE adapter = ? ORDER BY created, rowid"
        )
        found = []
        for id_, body, state, *columns in self._db.execute(query, (adapter,)).fetchall():
            try:
                found.append(revision_of(id_, body, state))
            except StoreError:
                found.append(damaged(id_, *columns))
        return found

    def lineage(self, adapter: str) -> list[Revision]:
        """The active revision and its ancestors, newest first: what the adapter knows."""
        active = self.active(adapter)
        return [self.get(active), *self.ancestors(active)] if active else []

    def in_use(self, adapter: str) -> Revision | None:
        """The active revision; None for the base model."""
        active = self.active(adapter)
        return self.get(active) if active else None

    def lineage_ids(self, adapter: str) -> list[str]:
        """Ids of the active revision and its ancestors, newest first, damaged ones included."""
        return list(states.lineage_of(self._db, adapter))

    def ancestors(self, revision: str) -> list[Revision]:
        """What a revision was learned on top of, newest first."""
        found = [self.get(revision)]
        while found[-1].parent is not None:
            found.append(self.get(found[-1].parent))
        return found[1:]

    def is_known(self, adapter: str) -> bool:
        """Whether an adapter has learned anything, forgotten things included, or has trajectories to learn."""
        tables = ("revisions", "forgotten", "trajectories")
        query = " UNION ".join(f"SELECT 1 FROM {table} WHERE adapter = ?" for table in tables)
        return self._db.execute(query, (adapter,) * len(tables)).fetchone() is not None

    def check_known(self, adapter: str) -> None:
        """Raises InputError for a bad name, AdapterError for an adapter that has learnt nothing yet."""
        check_name(adapter)
        if not self.is_known(adapter):
            known = ", ".join(self.with_unused()) or "none yet"
            raise AdapterError(f"there is no adapter {adapter!r} in {self.path.parent}; known: {known}")

    def rollback(self, adapter: str, to: str | None = None) -> Revision | None:
        """Make the parent (or the revision `to`, or "base") active; returns it, None for the base. AdapterError."""
        self.check_known(adapter)
        with self._write() as db:  # waits for no training: that one sees when it records what became of its parent
            target = self._rollback_target(adapter, to)
            states.set_active(db, adapter, target.id if target else None)
        return target

    def _rollback_target(self, adapter: str, to: str | None) -> Revision | None:
        if to == "base":
            return None
        if to is not None:
            target = self.get(to)
            if target.adapter != adapter:
                raise AdapterError(f"revision {to} belongs to adapter {target.adapter!r}, not to {adapter!r}")
            check_usable(target)
            return target
        active = self.active(adapter)
        if active is None:
            raise AdapterError(f"adapter {adapter!r} is at the base model already; there is nothing to roll back")
        parent = states.parent_of(self._db, active)
        if parent is None:
            return None
        check_usable(self.get(parent))
        return self.get(parent)

    # ------------------------------------------------------------ forgetting

    def unqueue(self, revisions: Collection[str]) -> None:
        """Delete lessons in the queue with the text of one of these revisions, which have learnt it."""
        for adapter in {self.adapter_of(revision) for revision in revisions} - {None}:
            for revision in self.with_damaged(str(adapter)):
                if revision.id in revisions:
                    queue.delete_text(self.database, revision.adapter, revision.context.text)

    def erase(
        self,
        adapter: str,
        gone: Mapping[str, str | None],
        instead: Sequence[Entry],
        forgotten: str | None = None,
    ) -> list[Revision]:
        """In one transaction: write `instead` down, and leave of `gone` its ids.

        What happened since `instead` was trained counts: what takes the place of a revoked revision, or goes on from
        one, is revoked too. The adapter goes from a revision that is gone to what was learnt in its place, or else in
        that of its nearest ancestor, or to the nearest that stays.

        Args:
            gone: Says of each id what was learnt in its place, if anything. Other revisions must not be born of them.
            instead: Oldest first.
            forgotten: The one that somebody wants forgotten. Trajectories that others learnt, but it did not, stay, to
                be learnt again.

        Returns the revisions of `instead` as they were written.
        """
        written: dict[str, Revision] = {}  # by the ids that they had before
        with self._write() as db:
            replaced = {became: old for old, became in gone.items() if became}
            for entry in instead:
                new = entry.revision
                old, parent = replaced.get(new.id), written.get(new.parent or "")
                revision = replace(new, id=_unrevoked(db, new.id), parent=parent.id if parent else new.parent)
                if "revoked" in (states.state_of(db, each) for each in (old, revision.parent) if each):
                    why = f"{revision.reason}; revoked, as what it was learnt in the place of or goes on from"
                    revision = replace(revision, reason=why, state="revoked", accepted=False)
                self._insert(db, replace(entry, revision=revision))
                written[new.id] = revision
            gone = {old: written[became].id if became in written else became for old, became in gone.items()}
            self._leave(db, adapter, gone)
            erasing.erase(db, adapter, gone)
            if forgotten is not None:
                trajectories.release(db, adapter, forgotten, [id_ for id_, became in gone.items() if became is None])
            trajectories.follow(db, adapter, gone)
        return list(written.values())

    @staticmethod
    def _leave(db: sqlite3.Connection, adapter: str, gone: Mapping[str, str | None]) -> None:
        """Point an adapter whose revision in use is gone at what is there in its place."""
        for revision in states.lineage_of(db, adapter):
            if (now := gone.get(revision, revision)) is not None:
                break
        else:
            now = None
        if now != states.active_of(db, adapter):
            states.set_active(db, adapter, now)

    def delete(self, adapter: str) -> None:
        """Delete an adapter and all its revisions, leaving their ids and dates among the forgotten, in one go."""
        with self._write() as db:
            trajectories.drop_all(db, adapter)
            erasing.delete(db, adapter)

    def scrub(self) -> None:
        """Leave no copy of what was erased in the database and its log. StoreError where others do not let go of it."""
        erasing.scrub(self._db, self.path)

    def forgotten(self, adapter: str) -> list[Forgotten]:
        """What was erased of an adapter, oldest first."""
        query = "SELECT * FROM forgotten WHERE adapter = ? ORDER BY created, rowid"
        return [Forgotten(*row) for row in self._db.execute(query, (adapter,))]

    def folders(self) -> set[str]:
        """Names of all folders that hold a revision's weights, of every adapter."""
        return {folder for (folder,) in self._db.execute("SELECT DISTINCT folder FROM revisions")}

    @property
    def adapters_folder(self) -> Path:
        return self.path.parent / "adapters"

    # ------------------------------------------------------------ identities of base models

    def adopt_base(self, identity: str, former: str) -> None:
        """Give revisions that name a base model by its former identity the present one. Done once for each.

        The weights on disk keep the former identity in their metadata, so both are accepted: `former_identities`.
        """
        if former in self.former_identities(identity):
            return
        with self._write() as db:
            adapters = db.execute("SELECT DISTINCT adapter FROM revisions").fetchall()
            for revision in (each for (adapter,) in adapters for each in self.with_damaged(adapter)):
                if revision.base == former:  # a damaged one has none
                    body = to_json(replace(revision, base=identity))
                    db.execute("UPDATE revisions SET body = ? WHERE id = ?", (body, revision.id))
                    chain.record(db, revision.id, revision.adapter, body, event=chain.REWRITTEN)
            db.execute("UPDATE lessons SET base = ? WHERE base = ?", (identity, former))
            db.execute("INSERT OR REPLACE INTO identities VALUES (?, ?)", (former, identity))

    def former_identities(self, identity: str) -> frozenset[str]:
        """Identities that this base model had before, and that adapters in the store still carry."""
        rows = self._db.execute("SELECT former FROM identities WHERE identity = ?", (identity,))
        return frozenset(former for (former,) in rows)

    # ------------------------------------------------------------ namespaces

    def claim(self, adapter: str, namespace: Sequence[str], name: str) -> None:
        """Write down that an adapter, by its full name, is a namespace's `name`."""
        if self._db.execute("SELECT 1 FROM namespaces WHERE adapter = ?", (adapter,)).fetchone() is None:
            with self._write() as db:
                row = (adapter, json.dumps(list(namespace)), name)
                db.execute("INSERT OR IGNORE INTO namespaces VALUES (?, ?, ?)", row)

    def claimed(self, namespace: Sequence[str]) -> dict[str, str]:
        """The adapters of a namespace: their own names, and those in the whole store."""
        query = "SELECT name, adapter FROM namespaces WHERE namespace = ? ORDER BY name"
        return dict(self._db.execute(query, (json.dumps(list(namespace)),)))

    # ------------------------------------------------------------ locks

    @contextmanager
    def only_writer_of_folders(self, wait: bool = True) -> Iterator[None]:
        """From saving weights to writing their revision down nobody may think that they are not used.

        Raises StoreError where another holds it and one does not want to `wait`.
        """
        with locked(self.path.parent / "adapters.lock", wait):
            yield

    @contextmanager
    def only_writer_of(self, adapter: str) -> Iterator[None]:
        """One training of an adapter at a time, among all threads and processes that share this home.

        A rollback does not wait for it.
        """
        with locked(self.path.parent / "locks" / f"{adapter}.lock"):
            yield

    def adapters(self) -> dict[str, str | None]:
        """Every adapter's active revision, by name; None is the base model."""
        return dict(self._db.execute("SELECT adapter, revision FROM active ORDER BY adapter"))

    def with_unused(self) -> dict[str, str | None]:
        """As `adapters`, with those of which no revision was ever in use, such as imported ones."""
        return dict(sorted({**dict.fromkeys(self.names()), **self.adapters()}.items()))

    def names(self) -> list[str]:
        """Every adapter that has revisions, in use or not, sorted."""
        return [name for (name,) in self._db.execute("SELECT DISTINCT adapter FROM revisions ORDER BY adapter")]

    # ------------------------------------------------------------ connections

    @property
    def _db(self) -> sqlite3.Connection:
        return self.database.connection

    def _write(self) -> AbstractContextManager[sqlite3.Connection]:
        return self.database.write()

    @staticmethod
    def _insert(db: sqlite3.Connection, entry: Entry) -> None:
        new, body = entry.revision, to_json(entry.revision)
        row = (new.id, new.adapter, new.parent, entry.proposal, entry.folder, new.created, body, new.status)
        columns = "id, adapter, parent, proposal, folder, created, body, state"
        kept = ", ".join(f"{column} = excluded.{column}" for column in columns.split(", ")[1:])
        db.execute(
            f"INSERT INTO revisions ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET {kept}",
            row,
        )
        chain.record(db, new.id, new.adapter, body, event="recorded")


def _unrevoked(db: sqlite3.Connection, revision: str) -> str:
    """The id under which something is recorded: another where that id was revoked, which stays as it is."""
    while states.state_of(db, revision) == "revoked":
        revision = content_hash([revision, "learnt again"])[:12]
    return revision
