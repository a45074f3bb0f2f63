"""Forgetting: what was learnt after a text is learnt again without it, and then every trace of the text is erased.

The base model → r1 → r2 → r3, and r2 is to be forgotten: the weights of r1 never saw its text, so what r3 learnt is
trained again from there, with the notes and settings of then, and takes the place of r3. Nothing is erased before that
is done, and what the ledger says changes in one transaction.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from seal_agent.adaptation.adapt import TrainedProposal, Trainer, settings_of
from seal_agent.adaptation.gate import Decision, KeepAll
from seal_agent.config import InnerLoopConfig
from seal_agent.errors import AdapterError, StoreError
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import StageClock, StageProgress
from seal_agent.store import files as files
from seal_agent.store.ledger import Entry, Ledger
from seal_agent.types import Proposal, Revision

RETRAINED = "retrained_without"
"""Metadata of a revision that was trained again: ids of what was forgotten, with commas between them."""

_OURS = re.compile(r"[0-9a-f]{64}|\.(draft|gone)-.*")


@dataclass(frozen=True, slots=True)
class ForgetPlan:
    """What forgetting a revision comes to: which ones are erased, and which of those are learnt again."""

    target: Revision
    erased: tuple[str, ...]
    """Every revision of the same text, and all that came after one: their weights know it too. Oldest first."""
    kept: tuple[Revision, ...]
    """The part of the active lineage that never saw the text, newest first; training starts from the first."""
    again: tuple[Revision, ...]
    """What the active adapter learnt after the text, oldest first."""


@dataclass(frozen=True, slots=True)
class Retrained:
    """A revision that is to be erased, and what came of learning the same without the forgotten text."""

    old: Revision
    trained: TrainedProposal
    clock: StageClock


def plan_forget(ledger: Ledger, revision: str, adapter: str | None = None) -> ForgetPlan:
    """What is to be done to forget a revision. Changes nothing.

    Raises AdapterError where it is unknown, was forgotten before, or belongs to another adapter than the one given.
    """
    target = ledger.get(revision)
    if adapter not in (None, target.adapter):
        raise AdapterError(f"adapter {adapter!r} has no revision {revision!r}; `seal history` lists those it has")
    history, lineage = ledger.history(target.adapter), ledger.lineage(target.adapter)
    # A text learnt twice, or refused by a gate before it was kept, would survive in the other revision.
    same = {one.id for one in history if _words(one) == _words(target)}
    erased = _with_descendants(same, history)
    return ForgetPlan(
        target,
        tuple(one.id for one in history if one.id in erased),
        tuple(one for one in lineage if one.id not in erased),
        tuple(one for one in reversed(lineage) if one.id in erased - same),
    )


def _words(revision: Revision) -> list[str]:
    return revision.context.text.split()


def _with_descendants(revisions: set[str], history: Sequence[Revision]) -> set[str]:
    known = set(revisions)
    while more := {one.id for one in history if one.parent in known} - known:
        known |= more
    return known


# ---------------------------------------------------------------- learning again


def retrain(
    trainer: Trainer,
    plan: ForgetPlan,
    load: Callable[[str], LoraAdapter],
    default: InnerLoopConfig,
    progress: StageProgress | None = None,
) -> list[Retrained]:
    """Train what a plan says is to be learnt again, one after the other; all of it stays in memory.

    `load` gives a revision's weights. `default` are the settings for revisions that did not keep theirs. Raises
    AdapterError where one was trained on another base model.
    """
    for old in plan.again:
        if old.base != trainer.base.identity:
            raise AdapterError(
                f"revision {old.id} has to be trained again, on the base model it was made for; load that"
            )
    earlier, done = list(plan.kept), list[Retrained]()
    start = load(earlier[0].id) if earlier and plan.again else None
    for number, old in enumerate(plan.again, 1):
        clock = StageClock(_numbered(progress, number, len(plan.again)))
        config = settings_of(old) or _shaped_as(load(old.id), default)
        trained = trainer.train(_proposal_of(old), config, start, earlier, clock)
        done.append(Retrained(old, trained, clock))
        start, earlier = trained.adapter, [old, *earlier]
    return done


def _proposal_of(revision: Revision) -> Proposal:
    """What was committed then; its self-test is held out again."""
    test = tuple(answer.question for answer in revision.before) if revision.self_tested else ()
    passages = revision.passages or (revision.context.text,)
    return Proposal(
        revision.adapter, revision.context, passages, revision.self_edits, revision.parent, revision.base, test
    )


def _shaped_as(adapter: LoraAdapter, config: InnerLoopConfig) -> InnerLoopConfig:
    layers = sorted({name.rpartition(".")[2] for name in adapter.pairs})
    return replace(config, rank=adapter.rank, alpha=adapter.alpha, targets=tuple(layers))


def _numbered(progress: StageProgress | None, number: int, total: int) -> StageProgress | None:
    """Stages of several trainings told apart: "train 2/3"."""
    if progress is None or total == 1:
        return progress
    return lambda stage, done, of: progress(f"{stage} {number}/{total}", done, of)


# ---------------------------------------------------------------- erasing


def record_forget(ledger: Ledger, plan: ForgetPlan, again: Sequence[Retrained], base_name: str) -> list[Revision]:
    """Save what was learnt again, and then switch the ledger in one transaction. `clean_up` is to follow.

    Returns the new revisions, oldest first.
    """
    with ledger.only_writer_of_folders():
        parent = plan.kept[0].id if plan.kept else None
        entries: list[Entry] = []
        for one in again:
            entries.append(_saved(ledger, plan, one, parent, base_name))
            parent = entries[-1].revision.id
        became = {one.old.id: entry.revision.id for one, entry in zip(again, entries, strict=True)}
        ledger.erase(plan.target.adapter, {gone: became.get(gone) for gone in plan.erased}, entries, parent)
    return [entry.revision for entry in entries]


def clean_up(ledger: Ledger) -> None:
    """Delete the weights that no revision uses, those that a killed process left too, and what the database remembers.

    Raises StoreError where something cannot be deleted; the next time it is tried again.
    """
    try:
        with ledger.only_writer_of_folders():
            _delete_unused(ledger.adapters_folder, ledger.folders())
    except OSError as err:
        raise StoreError(
            f"it is forgotten, but weights in {ledger.adapters_folder} could not be deleted ({err}); delete the "
            "folders there whose names begin with .gone-"
        ) from err
    finally:
        ledger.scrub()


def _delete_unused(parent: Path, used: set[str]) -> None:
    """A folder is renamed first: under its own name it is whole, or not there."""
    for folder in parent.iterdir() if parent.is_dir() else ():
        if folder.name in used or not _OURS.fullmatch(folder.name):
            continue
        gone = folder if folder.name.startswith(".") else folder.with_name(f".gone-{folder.name}")
        os.rename(folder, gone)
        shutil.rmtree(gone)


def erase(ledger: Ledger, revision: str) -> Revision | None:
    """Forget a revision after which nothing has to be learnt again: no model is needed.

    Returns the revision now active, None for the base model. Raises AdapterError.
    """
    adapter = ledger.get(revision).adapter
    with ledger.only_writer_of(adapter):
        plan = plan_forget(ledger, revision)
        if plan.again:
            raise AdapterError(f"{len(plan.again)} revisions after {revision} have to be trained again; load the model")
        record_forget(ledger, plan, (), "")
        clean_up(ledger)
    return plan.kept[0] if plan.kept else None


def _saved(ledger: Ledger, plan: ForgetPlan, one: Retrained, parent: str | None, base_name: str) -> Entry:
    """Not gated again: what was kept stays kept, and what was refused and chosen all the same stays refused."""
    trained, key = one.trained, ledger.entry(one.old.id).proposal
    with one.clock.stage("save"):
        folder = files.save(trained.adapter, base_name, one.old.base, ledger.adapters_folder)
    change = KeepAll().decide(trained.before, trained.after).reason
    decision = Decision(one.old.accepted, f"learnt again without {plan.target.id}: {change}")
    facts = dict(one.old.metadata)
    facts[RETRAINED] = ",".join([*filter(None, [facts.get(RETRAINED)]), plan.target.id])
    metadata = tuple(sorted(facts.items()))
    return Entry(trained.revision(key, parent, folder, decision, metadata, one.clock.stages), key, folder)
