"""From a proposal to trained weights: ask, train, ask again. The caller records the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pydantic import TypeAdapter

from seal_agent.adaptation.gate.judgement import Judgement
from seal_agent.adaptation.gate.superseded import superseded
from seal_agent.adaptation.lesson import Lesson, job_of
from seal_agent.answering.questions import GradedReply, reply_to_questions
from seal_agent.answering.reader import has_reader, reader_of
from seal_agent.base_model.model import BaseModel
from seal_agent.config import InnerLoopConfig, SelfEditConfig
from seal_agent.errors import InputError, TrainingError
from seal_agent.generation.engine import Engine, resting
from seal_agent.grading.grader import Grader
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.coverage import left_out
from seal_agent.lora.targets import find_targets
from seal_agent.lora.text_layers import text_layers
from seal_agent.progress import StageClock
from seal_agent.self_edits.formats.evidence import EVIDENCE
from seal_agent.self_edits.formats.sentence_qa import SENTENCE_QA
from seal_agent.self_edits.question_words import describe_languages
from seal_agent.text.languages import language_of
from seal_agent.training.jobs import TrainJob, check_makes_adapter
from seal_agent.training.retention.reference_text import protected_directions
from seal_agent.training.train import train_each
from seal_agent.types import Answer, Context, Proposal, Question, Revision, Stage, TrainingSummary, content_hash

_SETTINGS: TypeAdapter[InnerLoopConfig] = TypeAdapter(InnerLoopConfig)
_NOTE_SETTINGS: TypeAdapter[SelfEditConfig] = TypeAdapter(SelfEditConfig)


@dataclass(frozen=True, slots=True)
class TrainedProposal:
    """A trained adapter, in memory only, and what its revision will say about it."""

    proposal: Proposal
    config: InnerLoopConfig
    adapter: LoraAdapter
    summary: TrainingSummary
    replies_before: tuple[GradedReply, ...]
    replies_after: tuple[GradedReply, ...]
    base_settings: tuple[tuple[str, str], ...] = ()
    not_trained: str = ""

    @property
    def before(self) -> tuple[Answer, ...]:
        return tuple(reply.answer for reply in self.replies_before)

    @property
    def after(self) -> tuple[Answer, ...]:
        return tuple(reply.answer for reply in self.replies_after)

    @property
    def asked(self) -> Context:
        """The context with the questions that were asked: those given, or the self-test."""
        return asked_of(self.proposal)

    def revision(
        self,
        key: str,
        parent: str | None,
        folder: str,
        judgement: Judgement,
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
            accepted=judgement.state == "active",
            reason=judgement.reason,
            metadata=metadata,
            self_tested=bool(self.proposal.self_test),
            passages=self.proposal.passages,
            settings=settings_json(self.config),
            base_settings=self.base_settings,
            sources=self.proposal.sources,
            languages=describe_languages(
                map(language_of, self.proposal.passages),
                asked=any(edit.format in (EVIDENCE, SENTENCE_QA.name) for edit in self.proposal.self_edits),
            ),
            not_trained=self.not_trained,
            state=judgement.state,
            checks=judgement.checks,
            share=judgement.share,
            earlier=judgement.earlier,
            earlier_titles=judgement.earlier_titles,
            guard=judgement.guard,
            recipe=self.proposal.recipe,
            note_settings=self.proposal.note_settings,
        )


@dataclass(frozen=True, slots=True)
class Work:
    """A proposal to train on, and what it is trained from.

    `start` is the adapter to continue, None for a new one. `earlier` are the revisions that it has learned, newest
    first: their lessons are replayed.
    """

    proposal: Proposal
    start: LoraAdapter | None
    earlier: tuple[Revision, ...] = ()

    @property
    def asked(self) -> Context:
        """The context with the questions that are asked: those given, or the self-test."""
        return asked_of(self.proposal)


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

        Raises InputError where `config` does not fit the shape of `start`, TrainingError where the loss is not finite.
        """
        (trained,) = self.train_each([Work(proposal, start, tuple(earlier))], config, clock)
        if isinstance(trained, TrainingError):
            raise trained
        return trained

    def train_each(
        self, works: Sequence[Work], config: InnerLoopConfig, clock: StageClock
    ) -> list[TrainedProposal | TrainingError]:
        """Train an adapter on each of several proposals, side by side in one bank; ask all of them in one batch.

        A training that fails yields its error in its place. Raises InputError as `train` does, before anything is
        trained.
        """
        for work in works:
            check_settings(work.proposal.adapter, work.start, config, self.base)
        before = self._ask_all("ask before", works, [work.start for work in works], clock)
        if config.null_space or config.shrink:
            with clock.stage("protect the rest") as report:
                protected_directions(self.base, config, report)
        with clock.stage("train") as report:
            jobs = [self._job(work, config) for work in works]
            with resting(self.engine):
                results, _ = train_each(self.base, jobs, report)
        trained = [result for result in results if not isinstance(result, TrainingError)]
        if trained and not has_reader(self.base):
            with clock.stage("learn to read") as report:
                reader_of(self.base, report)
        learned = [work for work, result in zip(works, results, strict=True) if not isinstance(result, TrainingError)]
        after = iter(self._ask_all("ask after", learned, [result.adapter for result in trained], clock))
        settings, not_trained = self.base.settings, left_out(self.base.module) or ""
        return [
            result
            if isinstance(result, TrainingError)
            else TrainedProposal(
                work.proposal, config, result.adapter, result.summary, asked, next(after), settings, not_trained
            )
            for work, result, asked in zip(works, results, before, strict=True)
        ]

    def asked_again(self, trained: TrainedProposal, clock: StageClock) -> TrainedProposal:
        """A training whose weights were changed, with what they answer now."""
        work = Work(trained.proposal, None)
        (replies,) = self._ask_all("ask again", [work], [trained.adapter], clock)
        return replace(trained, replies_after=replies)

    def _job(self, work: Work, config: InnerLoopConfig) -> TrainJob:
        lesson = lesson_of(work.proposal, held_out=work.proposal.self_test)
        replayed = _replayed(work) if config.replay else []
        return job_of(self.engine, self.base, lesson, config, start=work.start, earlier=replayed)

    def _ask_all(
        self, stage: str, works: Sequence[Work], adapters: Sequence[LoraAdapter | None], clock: StageClock
    ) -> list[tuple[GradedReply, ...]]:
        contexts = [work.asked for work in works]
        if not any(context.questions for context in contexts):
            return [()] * len(works)
        with clock.stage(stage) as report:
            return reply_to_questions(self.engine, self.base, contexts, self.grader, adapters, report)


def _replayed(work: Work) -> list[Lesson]:
    """The lessons of earlier revisions, each with its questions that a newer text answers otherwise.

    An imported revision has none: its context only says where it came from.
    """
    newer = [work.proposal.context, *(revision.context for revision in work.earlier)]
    return [
        replace(
            lesson_of(revision),
            corrected=tuple(superseded([a.question for a in revision.after], revision.context.title, newer[: age + 1])),
        )
        for age, revision in enumerate(work.earlier)
        if revision.passages or revision.self_edits
    ]


def asked_of(proposal: Proposal) -> Context:
    """The context of a proposal with the questions given, or with its self-test."""
    return replace(proposal.context, questions=proposal.context.questions or proposal.self_test)


def settings_json(config: InnerLoopConfig) -> str:
    """Settings as JSON text, as revisions and folders keep them."""
    return _SETTINGS.dump_json(config).decode()


def settings_of(revision: Revision) -> InnerLoopConfig | None:
    """The settings a revision was trained with; None in ledgers that did not keep them yet."""
    return _SETTINGS.validate_json(revision.settings) if revision.settings else None


def note_settings_json(config: SelfEditConfig) -> str:
    """As `settings_json`, of how notes are written."""
    return _NOTE_SETTINGS.dump_json(config).decode()


def note_settings_of(revision: Revision) -> SelfEditConfig | None:
    """The settings a revision's notes were written with; None where they are not kept."""
    return _NOTE_SETTINGS.validate_json(revision.note_settings) if revision.note_settings else None


def lesson_of(source: Proposal | Revision, held_out: tuple[Question, ...] = ()) -> Lesson:
    """What a proposal teaches, or a revision was trained on.

    A revision's self-test may be trained on too: later revisions have tests of their own.
    """
    titles = tuple(passage.title for passage in source.sources)
    passages = source.passages or (source.context.text,)
    images = source.context.images
    pictures = tuple(images[s.picture - 1] if s.picture else None for s in source.sources) if images else ()
    return Lesson(source.context.title, passages, source.self_edits, held_out, titles, pictures)


def check_settings(name: str, start: LoraAdapter | None, config: InnerLoopConfig, base: BaseModel) -> None:
    """Raises InputError for settings that train no adapter, targets that the model lacks, and another shape.

    Args:
        start: The adapter that is to be continued, whose rank, alpha and targets stay; None for a new one.
    """
    check_makes_adapter(config)
    targets = set(find_targets(base.module, config.targets))
    if start is None:
        return
    if (start.rank, start.alpha) != (config.rank, config.alpha):
        raise InputError(
            f"adapter {name!r} has rank {start.rank} and alpha {start.alpha:g}, but {config.rank} and {config.alpha:g} "
            "were asked for; keep its settings, or choose another adapter name"
        )
    # Adapters of earlier versions may have layers of the output head, which are no longer selected.
    if targets != start.pairs.keys() - text_layers(base.module).in_head:
        has = ", ".join(sorted({module.rpartition(".")[2] for module in start.pairs}))
        raise InputError(
            f"adapter {name!r} trains {has}, but targets {', '.join(config.targets)} were asked for; "
            "keep its settings, or choose another adapter name"
        )
