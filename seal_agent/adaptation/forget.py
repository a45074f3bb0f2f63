"""Forgetting: retrain what was learned after a text without it, then erase every trace of the text.

Take base model → r1 → r2 → r3, and r2 is to be forgotten. The weights of r1 never saw its text, so r3 is trained again
from r1, with its own notes and settings, and replaces r3. Nothing is erased before that is done, and the ledger changes
in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from seal_agent.adaptation.adapt import TrainedProposal, Trainer, settings_of
from seal_agent.adaptation.gate.decision import change
from seal_agent.adaptation.gate.judgement import Judgement
from seal_agent.adaptation.gate.scaling import scaled
from seal_agent.adaptation.repeats import content_of
from seal_agent.config import InnerLoopConfig
from seal_agent.errors import AdapterError, StoreError
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import StageClock, StageProgress
from seal_agent.store import files as files
from seal_agent.store import trajectories
from seal_agent.store.cleaning import delete_unused
from seal_agent.store.entries import Entry, is_damaged
from seal_agent.store.ledger import Ledger
from seal_agent.store.policies import flag_policies
from seal_agent.types import Check, Proposal, Revision

RETRAINED = "retrained_without"
"""Metadata key of a retrained revision: the ids of what was forgotten, separated by commas."""


NOT_CHECKED = "learnt again after something was forgotten: by the settings of then, and not checked again"


@dataclass(frozen=True, slots=True)
class ForgetPlan:
    """What forgetting a revision takes: which revisions are erased, and which of those are trained again."""

    target: Revision
    erased: tuple[str, ...]
    """Every revision of the same text and all descendants, whose weights know it too. Oldest first."""
    kept: tuple[Revision, ...]
    """The part of the active lineage that never saw the text, newest first. Training starts from the first."""
    again: tuple[Revision, ...]
    """What the active adapter learned after the text, oldest first."""


@dataclass(frozen=True, slots=True)
class Retrained:
    """A revision that is to be erased, and its training without the forgotten text."""

    old: Revision
    trained: TrainedProposal
    clock: StageClock


def plan_forget(ledger: Ledger, revision_id: str, adapter: str | None = None) -> ForgetPlan:
    """Plan how to forget a revision. Changes nothing.

    Raises AdapterError where it is unknown, was forgotten before, or does not belong to `adapter`, StoreError where
    what was learned after it is damaged and cannot be trained again.
    """
    owner = ledger.adapter_of(revision_id)
    history = ledger.with_damaged(owner) if owner else []
    known = {revision.id: revision for revision in history}
    target = known.get(revision_id) or ledger.get(revision_id)  # which says why there is none
    if adapter not in (None, target.adapter):
        raise AdapterError(f"adapter {adapter!r} has no revision {revision_id!r}; `seal history` lists those it has")
    lineage = [known.get(id_) or ledger.get(id_) for id_ in ledger.lineage_ids(target.adapter)]
    # A text learned twice, or refused by a gate before it was kept, would survive in the other revision.
    same_text = {revision.id for revision in history if content_of(revision.context) == content_of(target.context)}
    same_text |= trajectories.sharing(ledger.database, target.adapter, target.id)  # an action learnt twice survives too
    erased = _with_descendants(same_text, history)
    again = tuple(revision for revision in reversed(lineage) if revision.id in erased - same_text)
    if unreadable := [revision.id for revision in again if is_damaged(revision)]:
        raise StoreError(
            f"revision {unreadable[-1]} is damaged in the ledger, so that it cannot be trained again; "
            f"`seal forget {unreadable[-1]}` first"
        )
    return ForgetPlan(
        target,
        tuple(revision.id for revision in history if revision.id in erased),
        tuple(revision for revision in lineage if revision.id not in erased),
        again,
    )


def _with_descendants(revisions: set[str], history: Sequence[Revision]) -> set[str]:
    tree = set(revisions)
    while children := {revision.id for revision in history if revision.parent in tree} - tree:
        tree |= children
    return tree


# ---------------------------------------------------------------- retraining


def retrain(
    trainer: Trainer,
    plan: ForgetPlan,
    load: Callable[[str], LoraAdapter],
    default: InnerLoopConfig,
    progress: StageProgress | None = None,
) -> list[Retrained]:
    """Train the revisions of `plan.again` one after the other; the results stay in memory.

    Args:
        load: Gives the weights of a revision by its id.
        default: Settings for revisions that did not keep theirs.

    Raises AdapterError where a revision was trained on another base model.
    """
    for old in plan.again:
        if not trainer.base.is_same_as(old.base):
            raise AdapterError(
                f"revision {old.id} has to be trained again, on the base model it was made for; load that"
            )
    earlier, retrained = list(plan.kept), list[Retrained]()
    start = load(earlier[0].id) if earlier and plan.again else None
    for number, old in enumerate(plan.again, 1):
        clock = StageClock(_numbered(progress, number, len(plan.again)))
        config = settings_of(old) or _shaped_as(load(old.id), default)
        trained = trainer.train(_proposal_of(old), config, start, earlier, clock)
        if old.share < 1:  # the gate kept no more of it
            trained = trainer.asked_again(replace(trained, adapter=scaled(start, trained.adapter, old.share)), clock)
        retrained.append(Retrained(old, trained, clock))
        start, earlier = trained.adapter, [old, *earlier]
    return retrained


def _proposal_of(revision: Revision) -> Proposal:
    """The proposal that was committed then, with its self-test held out again."""
    test = tuple(answer.question for answer in revision.before) if revision.self_tested else ()
    passages = revision.passages or (revision.context.text,)
    return Proposal(
        revision.adapter,
        revision.context,
        passages,
        revision.self_edits,
        revision.parent,
        revision.base,
        test,
        sources=revision.sources,
        recipe=revision.recipe,
        note_settings=revision.note_settings,
    )


def _shaped_as(adapter: LoraAdapter, config: InnerLoopConfig) -> InnerLoopConfig:
    layers = sorted({name.rpartition(".")[2] for name in adapter.pairs})
    return replace(config, rank=adapter.rank, alpha=adapter.alpha, targets=tuple(layers))


def _numbered(progress: StageProgress | None, number: int, total: int) -> StageProgress | None:
    """Stage names that tell several trainings apart: "train 2/3"."""
    if progress is None or total == 1:
        return progress
    return lambda stage, done, steps: progress(f"{stage} {number}/{total}", done, steps)


# ---------------------------------------------------------------- erasing


def record_forget(ledger: Ledger, plan: ForgetPlan, again: Sequence[Retrained], base_name: str) -> list[Revision]:
    """Save what was retrained, then switch the ledger in one transaction. Call `clean_up` afterwards.

    Returns the new revisions, oldest first; those in whose place or before which something was revoked meanwhile are
    revoked too.
    """
    with ledger.only_writer_of_folders():
        parent = plan.kept[0].id if plan.kept else None
        entries: list[Entry] = []
        for retrained in again:
            entries.append(_saved(ledger, plan, retrained, parent, base_name))
            parent = entries[-1].revision.id
        flag_policies(ledger, _texts(plan.target))  # first: a kill may leave a flag too many, never too few
        ledger.unqueue(plan.erased)
        became = {retrained.old.id: entry.revision.id for retrained, entry in zip(again, entries, strict=True)}
        gone = {revision: became.get(revision) for revision in plan.erased}
        return ledger.erase(plan.target.adapter, gone, entries, forgotten=plan.target.id)


def _texts(revision: Revision) -> list[str]:
    """What a revision learnt, as a whole and part by part: a policy of `seal train --agent` learnt single lessons."""
    return [revision.context.text, *revision.context.text.split("\n\n")]


def clean_up(ledger: Ledger) -> None:
    """Delete weights that no revision uses, including those a killed process left, and old pages of the database.

    Raises StoreError where something cannot be deleted; the next call tries again.
    """
    try:
        with ledger.only_writer_of_folders():
            delete_unused(ledger)
    except OSError as err:
        raise StoreError(
            f"it is forgotten, but weights in {ledger.adapters_folder} could not be deleted ({err}); delete the "
            "folders there whose names begin with .gone-"
        ) from err
    finally:
        ledger.scrub()


def finish(ledger: Ledger, revision: str) -> bool:
    """Whether a revision was forgotten, and not learnt again since; what a killed process left of it is deleted now.

    Raises StoreError where something cannot be deleted.
    """
    gone = ledger.was_forgotten(revision)
    if gone:
        clean_up(ledger)
    return gone


def erase(ledger: Ledger, revision: str) -> Revision | None:
    """Forget a revision after which nothing must be retrained, without a model.

    Returns the revision now active, None for the base model. Raises AdapterError.
    """
    adapter = plan_forget(ledger, revision).target.adapter
    with ledger.only_writer_of(adapter):
        plan = plan_forget(ledger, revision)
        if plan.again:
            raise AdapterError(f"{len(plan.again)} revisions after {revision} have to be trained again; load the model")
        record_forget(ledger, plan, (), "")
        clean_up(ledger)
    return ledger.in_use(adapter)


def delete_adapter(ledger: Ledger, adapter: str) -> list[str]:
    """Delete an adapter, all its revisions, their texts and weights; returns the ids of the revisions.

    Raises StoreError where all is done but a file could not be deleted.
    """
    with ledger.only_writer_of(adapter):
        history = ledger.with_damaged(adapter)
        flag_policies(ledger, [text for revision in history for text in _texts(revision)])
        ledger.delete(adapter)
        clean_up(ledger)
    return [revision.id for revision in history]


def _saved(ledger: Ledger, plan: ForgetPlan, retrained: Retrained, parent: str | None, base_name: str) -> Entry:
    """No gate is asked again: what was kept stays kept, as much of it as then, and what was refused stays refused."""
    trained, key = retrained.trained, ledger.entry(retrained.old.id).proposal
    with retrained.clock.stage("save"):
        folder = files.save(
            trained.adapter, base_name, retrained.old.base, ledger.adapters_folder, retrained.old.settings
        )
    reason = f"learnt again without {plan.target.id}: {change(trained.before, trained.after)}"
    checks = (Check("gate", None, NOT_CHECKED),)
    judgement = Judgement(retrained.old.status, reason, checks, retrained.old.share)
    facts = dict(retrained.old.metadata)
    facts[RETRAINED] = ",".join([*filter(None, [facts.get(RETRAINED)]), plan.target.id])
    metadata = tuple(sorted(facts.items()))
    return Entry(trained.revision(key, parent, folder, judgement, metadata, retrained.clock.stages), key, folder)
