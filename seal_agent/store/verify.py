"""Checks a whole store: database, chain, revisions, folders. Says what is wrong and how to mend it."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, get_args

from seal_agent.errors import AdapterError, StoreError
from seal_agent.lora.peft_files import read_peft
from seal_agent.store import chain, files, trajectories
from seal_agent.store.chain import Link
from seal_agent.store.cleaning import unused
from seal_agent.store.entries import from_json
from seal_agent.store.ledger import Ledger
from seal_agent.types import Revision, RevisionState


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong with a store, and what to do about it."""

    what: str
    fix: str
    passing: bool = False
    """It goes by itself, and a backup does not have it."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was checked, and what is wrong. `head` is the chain's last hash: note it, to see later that nothing changed.

    A chain that was cut short or replaced as a whole has another head.
    """

    revisions: int
    links: int
    head: str
    problems: tuple[Problem, ...]


def verify(ledger: Ledger) -> Report:
    """Check everything; changes nothing. Raises StoreError where the database cannot be read at all.

    All is read at one moment, in which nobody saves weights; trainings go on.
    """
    with ledger.only_writer_of_folders():
        seen = _read(ledger)
    return _report(ledger, seen)


def verify_locked(ledger: Ledger) -> Report:
    """As `verify`; the caller holds `only_writer_of_folders`."""
    return _report(ledger, _read(ledger))


@dataclass(frozen=True)
class _Seen:
    """What a store holds at one moment."""

    sound: str
    links: list[Link]
    rows: list[_Row]
    active: Mapping[str, str | None]
    of_trajectories: list[str]
    stray: list[Path]


def _read(ledger: Ledger) -> _Seen:
    db = ledger.database.connection
    with _snapshot(db):
        (sound,) = db.execute("PRAGMA integrity_check").fetchone()
        links = chain.links(db)
        return _Seen(
            sound,
            links,
            [_Row(*row) for row in db.execute(_Row.QUERY)],
            ledger.adapters(),
            trajectories.problems(db, links),
            unused(ledger.adapters_folder, ledger.folders()),
        )


def _report(ledger: Ledger, seen: _Seen) -> Report:
    sound, links, rows = seen.sound, seen.links, seen.rows
    problems = [] if sound == "ok" else [Problem(f"the database is damaged: {sound}", "seal restore a backup")]
    problems += _chain_problems(links)
    digests = _recorded(links)
    problems += _revision_problems(links, rows, digests)
    problems += _active_problems(seen.active, links, {row.id: row.status for row in rows if row.holds(digests)})
    problems += [Problem(what, "seal restore a backup") for what in seen.of_trajectories]
    for folder in sorted({row.folder for row in rows}):
        found = [*_folder_problems(ledger, folder, [row.id for row in rows if row.folder == folder])]
        if found and folder in ledger.folders():  # else it was forgotten meanwhile
            problems += found
    for path in seen.stray:
        problems.append(Problem(f"no revision uses the folder {path.name}", "the next use deletes it", passing=True))
    return Report(len(rows), len(links), links[-1].hash if links else chain.START, tuple(problems))


@contextmanager
def _snapshot(db: sqlite3.Connection) -> Iterator[None]:
    """What is read inside is of one moment, whatever others write."""
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("ROLLBACK")


@dataclass(frozen=True)
class _Row:
    """A row of the table of revisions."""

    QUERY: ClassVar[str] = "SELECT id, adapter, parent, body, salt, state, folder, created FROM revisions"

    id: str
    adapter: str
    parent: str | None
    body: str
    salt: str
    state: str
    folder: str
    created: str

    def holds(self, digests: Mapping[str, str]) -> bool:
        """Whether body and folder are those that were recorded; of another body nothing can be said."""
        before_folders = chain.digest_of(self.salt, self.body)
        return digests.get(self.id) in (chain.digest_of(self.salt, self.body, self.folder), before_folders)

    @functools.cached_property
    def said(self) -> Revision:
        """The body, read once."""
        return from_json(self.body)

    @property
    def status(self) -> str:
        """Its state now; ledgers from before there were states have it in the body only."""
        return self.state or self.said.status

    def contradictions(self) -> Iterator[str]:
        """What stands beside the body and is not as the body says."""
        for name in ("id", "adapter", "parent", "created"):
            if getattr(self, name) != getattr(self.said, name):
                yield f"its {name} is {getattr(self, name)}, but was {getattr(self.said, name)}"


def _chain_problems(links: list[Link]) -> Iterator[Problem]:
    previous = chain.START
    for number, link in enumerate(links, 1):
        if (link.number, link.previous, link.hash) != (number, previous, link.expected_hash):
            yield Problem(
                f"the ledger was changed at entry {link.number} ({link.event} {link.revision} of {link.adapter!r})",
                "restore a backup from before; entries after it cannot be trusted",
            )
            return
        previous = link.hash


def _revision_problems(links: list[Link], rows: list[_Row], digests: Mapping[str, str]) -> Iterator[Problem]:
    made = _states(links)
    known = {row.id for row in rows}
    for row in rows:
        if not row.holds(digests):
            fix = "seal restore a backup, or seal forget it"
            yield Problem(f"revision {row.id} of {row.adapter!r} was changed", fix)
            continue
        if row.status != (before := made.get(row.id) or row.said.status):
            yield Problem(f"revision {row.id} is {row.status}, but was made {before}", "seal restore a backup")
        for what in row.contradictions():
            yield Problem(f"revision {row.id} was changed: {what}", "seal restore a backup")
        if row.parent and row.parent not in known:
            yield Problem(f"revision {row.id} has lost its parent {row.parent}", "seal restore a backup")
    for lost in digests.keys() - known:
        yield Problem(f"revision {lost} has vanished without having been forgotten", "seal restore a backup")


def _recorded(links: list[Link]) -> dict[str, str]:
    """The digest of each revision that must be there: recorded, and not erased since."""
    digests = dict[str, str]()
    for link in links:
        if link.event in chain.RECORDED:
            digests[link.revision] = link.digest
        elif link.event in chain.ERASED:
            digests.pop(link.revision, None)
    return digests


def _states(links: list[Link]) -> dict[str, str]:
    """The state that each revision was given last; one that was recorded anew has that of its body."""
    states, made = set(get_args(RevisionState)), dict[str, str]()
    for link in links:
        if link.event in states:
            made[link.revision] = link.event
        elif link.event in chain.RECORDED and link.event != chain.REWRITTEN:
            made.pop(link.revision, None)
    return made


def _active_problems(
    active: Mapping[str, str | None], links: list[Link], statuses: Mapping[str, str]
) -> Iterator[Problem]:
    used = {link.adapter: link.revision or None for link in links if link.event in ("used", "deleted")}
    for adapter in {**used, **active}:
        now, last = active.get(adapter), used.get(adapter)
        back = f"seal rollback --adapter {adapter} --to"
        if now != last:
            yield Problem(
                f"adapter {adapter!r} points at {now}, but was last set to {last}", f"{back} {last or 'base'}"
            )
        elif now and statuses.get(now) not in ("active", None):
            yield Problem(f"adapter {adapter!r} uses {now}, which is {statuses[now]}", f"{back} base")


def _folder_problems(ledger: Ledger, folder: str, revisions: list[str]) -> Iterator[Problem]:
    path, users = ledger.adapters_folder / folder, ", ".join(revisions)
    fix = f"seal restore a backup, or seal forget {revisions[0]} and adapt again"
    wrong = files.flaws(path)
    for flaw in wrong:
        yield Problem(f"the weights of {users} are damaged: {flaw}", fix)
    if not wrong:
        try:
            read_peft(path)
        except (AdapterError, StoreError) as err:
            yield Problem(f"the weights of {users} cannot be used: {err}", fix)
