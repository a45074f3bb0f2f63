"""From a proposal to trained weights: asked before, trained, asked after. What comes of it is recorded elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pydantic import TypeAdapter

from seal_agent.adaptation.answering import answer_questions
from seal_agent.adaptation.gate import Decision
from seal_agent.adaptation.lesson import Lesson, job_of
from seal_agent.base_model.model import BaseModel
from seal_agent.config import InnerLoopConfig
from seal_agent.errors import InputError
from seal_agent.generation.engine import Engine
from seal_agent.grading.grader import Grader
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.targets import find_targets
from seal_agent.progress import StageClock
from seal_agent.training.retention.reference_text import protected_directions
from seal_agent.training.train import train
from seal_agent.types import Answer, Context, Proposal, Revision, Stage, TrainingSummary, content_hash

_SETTINGS: TypeAdapter[InnerLoopConfig] = TypeAdapter(InnerLoopConfig)


@dataclass(frozen=True, slots=True)
class TrainedProposal:
    """An adapter after its training, in memory only, and what its revision will say of it."""

    proposal: Proposal
    config: InnerLoopConfig
    adapter: LoraAdapter
    summary: TrainingSummary
    before: tuple[Answer, ...]
    after: tuple[Answer, ...]

    def revision(
        self,
        key: str,
        parent: str | None,
        folder: str,
        decision: Decision,
        metadata: tuple[tuple[str, str], ...],
        stages: tuple[Stage, ...],
    ) -> Revision:
        """`key` is the hash of what was committed and how, `folder` where the weights lie."""
        return Revision(
            id=content_hash([key, parent, folder])[:12],
            adapter=self.proposal.adapter,
            parent=parent,
            created=datetime.now(UTC).isoformat(timespec="milliseconds"),
            base=self.proposal.base,
            context=self.proposal.context,
            self_edits=self.proposal.self_edits,
            before=self.before,
            after=self.after,
            stages=stages,
            training=self.summary,
            accepted=decision.accepted,
            reason=decision.reason,
            metadata=metadata,
            self_tested=bool(self.proposal.self_test),
            passages=self.proposal.passages,
            settings=_SETTINGS.dump_json(self.config).decode(),
        )


@dataclass(frozen=True, slots=True)
class Trainer:
    """What every adaptation of one model has in common."""

    base: BaseModel
    engine: Engine
    grader: Grader

    def train(
        self,
        proposal: Proposal,
        config: InnerLoopConfig,
        start: LoraAdapter | None,
        earlier: Sequence[Revision],
        clock: StageClock,
    ) -> TrainedProposal:
        """Go on from `start`, which has learnt `earlier`, newest first. InputError where its shape is another."""
        check_shape(proposal.adapter, start, config, self.base)
        asked = replace(proposal.context, questions=proposal.context.questions or proposal.self_test)
        before = self._ask_all("ask before", asked, start, clock)
        if config.null_space:
            with clock.stage("protect the rest") as tell:
                protected_directions(self.engine, self.base, config, tell)
        with clock.stage("train") as tell:
            lesson = Lesson(proposal.context.title, proposal.passages, proposal.self_edits, proposal.self_test)
            replayed = [lesson_of(revision) for revision in earlier] if config.replay else []
            job = job_of(self.engine, self.base, lesson, config, start=start, earlier=replayed)
            (trained,) = train(self.base, [job], tell)
        after = self._ask_all("ask after", asked, trained.adapter, clock)
        return TrainedProposal(proposal, config, trained.adapter, trained.summary, before, after)

    def _ask_all(
        self, stage: str, context: Context, adapter: LoraAdapter | None, clock: StageClock
    ) -> tuple[Answer, ...]:
        if not context.questions:
            return ()
        with clock.stage(stage) as tell:
            (answers,) = answer_questions(self.engine, [context], self.grader, adapters=[adapter], progress=tell)
        return answers


def settings_of(revision: Revision) -> InnerLoopConfig | None:
    """What a revision was trained with; None where its ledger is older than that was kept."""
    return _SETTINGS.validate_json(revision.settings) if revision.settings else None


def lesson_of(revision: Revision) -> Lesson:
    """What a revision was trained on. Its self-test may be learnt now: later revisions have tests of their own."""
    return Lesson(revision.context.title, revision.passages or (revision.context.text,), revision.self_edits)


def check_shape(name: str, start: LoraAdapter | None, config: InnerLoopConfig, base: BaseModel) -> None:
    """An adapter that exists keeps its rank, alpha and target modules; InputError where others are asked for."""
    if start is None:
        return
    if (start.rank, start.alpha) != (config.rank, config.alpha):
        raise InputError(
            f"adapter {name!r} has rank {start.rank} and alpha {start.alpha:g}, but {config.rank} and {config.alpha:g} "
            "were asked for; keep its settings, or choose another adapter name"
        )
    if set(find_targets(base.module, config.targets)) != set(start.pairs):
        has = ", ".join(sorted({module.rpartition(".")[2] for module in start.pairs}))
        raise InputError(
            f"adapter {name!r} trains {has}, but targets {', '.join(config.targets)} were asked for; "
            "keep its settings, or choose another adapter name"
        )
