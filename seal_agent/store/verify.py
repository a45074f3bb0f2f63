"""Checks a whole store: database, chain, revisions, folders. Says what is wrong and how to mend it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from seal_agent.errors import AdapterError, StoreError
from seal_agent.lora.peft_files import read_peft
from seal_agent.store import chain, files, trajectories
from seal_agent.store.chain import Link
from seal_agent.store.cleaning import unused
from seal_agent.store.ledger import Ledger
from seal_agent.types import RevisionState


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong with a store, and what to do about it."""

    what: str
    fix: str


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
    """Check everything; changes nothing. Raises StoreError where the database cannot be read at all."""
    db = ledger.database.connection
    (sound,) = db.execute("PRAGMA integrity_check").fetchone()
    links = chain.links(db)
    rows = db.execute("SELECT id, adapter, parent, body, salt, state, folder FROM revisions").fetchall()
    problems = [] if sound == "ok" else [Problem(f"the database is damaged: {sound}", "seal restore a backup")]
    problems += _chain_problems(links)
    problems += _revision_problems(links, rows)
    problems += _active_problems(ledger, links)
    problems += [Problem(what, "seal restore a backup") for what in trajectories.problems(db, links)]
    for folder in sorted({row[6] for row in rows}):
        problems += _folder_problems(ledger, folder, [row[0] for row in rows if row[6] == folder])
    for path in unused(ledger.adapters_folder, ledger.folders()):
        problems.append(Problem(f"no revision uses the folder {path.name}", "the next use deletes it"))
    return Report(len(rows), len(links), links[-1].hash if links else chain.START, tuple(problems))


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


def _revision_problems(links: list[Link], rows: list[tuple[str, ...]]) -> Iterator[Problem]:
    states = set(get_args(RevisionState))
    digests = {link.revision: link.digest for link in links if link.event in chain.RECORDED}
    state_of = {link.revision: link.event for link in links if link.event in states}
    erased = {link.revision for link in links if link.event in chain.ERASED}
    known = {row[0] for row in rows}
    for revision, adapter, parent, body, salt, state, _ in rows:
        if digests.get(revision) != chain.digest_of(salt, body):
            yield Problem(f"revision {revision} of {adapter!r} was changed", "seal restore a backup, or seal forget it")
        if revision in state_of and state_of[revision] != state:
            yield Problem(f"revision {revision} is {state}, but was made {state_of[revision]}", "seal restore a backup")
        if parent and parent not in known:
            yield Problem(f"revision {revision} has lost its parent {parent}", "seal restore a backup")
    for lost in digests.keys() - known - erased:
        yield Problem(f"revision {lost} has vanished without having been forgotten", "seal restore a backup")


def _active_problems(ledger: Ledger, links: list[Link]) -> Iterator[Problem]:
    used = {link.adapter: link.revision or None for link in links if link.event in ("used", "deleted")}
    for adapter, revision in ledger.adapters().items():
        if used.get(adapter) != revision:
            yield Problem(
                f"adapter {adapter!r} points at {revision}, but was last set to {used.get(adapter)}",
                f"seal rollback --adapter {adapter} --to {used.get(adapter) or 'base'}",
            )


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
