"""From a proposal to trained weights: ask, train, ask again. The caller records the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pydantic import TypeAdapter

from seal_agent.adaptation.gate import Decision
from seal_agent.adaptation.lesson import Lesson, job_of
from seal_agent.answering.questions import answer_questions
from seal_agent.answering.reader import has_reader, reader_of
from seal_agent.base_model.model import BaseModel
from seal_agent.config import InnerLoopConfig
from seal_agent.errors import InputError
from seal_agent.generation.engine import Engine, resting
from seal_agent.grading.grader import Grader
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.coverage import left_out
from seal_agent.lora.targets import find_targets
from seal_agent.progress import StageClock
from seal_agent.self_edits.formats.evidence import EVIDENCE
from seal_agent.self_edits.formats.sentence_qa import SENTENCE_QA
from seal_agent.self_edits.question_words import describe_languages
from seal_agent.text.languages import language_of
from seal_agent.training.retention.reference_text import protected_directions
from seal_agent.training.train import train
from seal_agent.types import Answer, Context, Proposal, Question, Revision, Stage, TrainingSummary, content_hash

_SETTINGS: TypeAdapter[InnerLoopConfig] = TypeAdapter(InnerLoopConfig)


@dataclass(frozen=True, slots=True)
class TrainedProposal:
    """A trained adapter, in memory only, and what its revision will say about it."""

    proposal: Proposal
    config: InnerLoopConfig
    adapter: LoraAdapter
    summary: TrainingSummary
    before: tuple[Answer, ...]
    after: tuple[Answer, ...]
    base_settings: tuple[tuple[str, str], ...] = ()
    not_trained: str = ""

    def revision(
        self,
        key: str,
        parent: str | None,
        folder: str,
        decision: Decision,
        metadata: tuple[tuple[str, str], ...],
        stages: tuple[Stage, ...],
    ) -> Revision:
        """The revision of this training. `key` hashes what was committed and how; `folder` holds the weights."""
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
            base_settings=self.base_settings,
            sources=self.proposal.sources,
            languages=describe_languages(
                map(language_of, self.proposal.passages),
                asked=any(edit.format in (EVIDENCE, SENTENCE_QA.name) for edit in self.proposal.self_edits),
            ),
            not_trained=self.not_trained,
        )


@dataclass(frozen=True, slots=True)
class Trainer:
    """Trains adapters of one base model, and asks them before and after."""

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
        """Train on a proposal, continuing from `start`.

        Args:
            start: The adapter to continue from; None for a new one.
            earlier: The revisions that `start` has learned, newest first. Their lessons are replayed.

        Raises InputError where `config` does not fit the shape of `start`.
        """
        check_shape(proposal.adapter, start, config, self.base)
        context = replace(proposal.context, questions=proposal.context.questions or proposal.self_test)
        before = self._ask_all("ask before", context, start, clock)
        if config.null_space:
            with clock.stage("protect the rest") as report:
                protected_directions(self.base, config, report)
        with clock.stage("train") as report:
            lesson = lesson_of(proposal, held_out=proposal.self_test)
            replayed = [lesson_of(revision) for revision in earlier] if config.replay else []
            job = job_of(self.engine, self.base, lesson, config, start=start, earlier=replayed)
            with resting(self.engine):
                (trained,) = train(self.base, [job], report)
        if not has_reader(self.base):
            with clock.stage("learn to read") as report:
                reader_of(self.base, report)
        after = self._ask_all("ask after", context, trained.adapter, clock)
        settings, not_trained = self.base.settings, left_out(self.base.module) or ""
        return TrainedProposal(proposal, config, trained.adapter, trained.summary, before, after, settings, not_trained)

    def _ask_all(
        self, stage: str, context: Context, adapter: LoraAdapter | None, clock: StageClock
    ) -> tuple[Answer, ...]:
        if not context.questions:
            return ()
        with clock.stage(stage) as report:
            (answers,) = answer_questions(
                self.engine, self.base, [context], self.grader, adapters=[adapter], progress=report
            )
        return answers


def settings_of(revision: Revision) -> InnerLoopConfig | None:
    """The settings a revision was trained with; None in ledgers that did not keep them yet."""
    return _SETTINGS.validate_json(revision.settings) if revision.settings else None


def lesson_of(source: Proposal | Revision, held_out: tuple[Question, ...] = ()) -> Lesson:
    """What a proposal teaches, or a revision was trained on.

    A revision's self-test may be trained on too: later revisions have tests of their own.
    """
    titles = tuple(passage.title for passage in source.sources)
    passages = source.passages or (source.context.text,)
    return Lesson(source.context.title, passages, source.self_edits, held_out, titles)


def check_shape(name: str, start: LoraAdapter | None, config: InnerLoopConfig, base: BaseModel) -> None:
    """Raises InputError where `config` asks for another rank, alpha or other targets than an existing adapter has."""
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
