"""A model with a recipe: learns passages, answers their questions, and notes what both cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from seal_agent.adaptation.lesson import Lesson, job_of, write_lessons
from seal_agent.answering.recall import Asked, closed_book
from seal_agent.answering.replies import reply_all
from seal_agent.base_model.model import BaseModel
from seal_agent.config import Recipe
from seal_agent.errors import TrainingError
from seal_agent.evaluation.passages import unit_id
from seal_agent.evaluation.retrieval import PassageSearch, with_passages
from seal_agent.generation.engine import Engine, resting
from seal_agent.generation.hf import HFEngine
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.outer_loop.policy import writer_of
from seal_agent.progress import Progress
from seal_agent.prompts import question_prompt, question_with_passage
from seal_agent.self_edits.diversity import NoteFigures, note_figures
from seal_agent.self_edits.parsing import notes_of
from seal_agent.training.full import train_full
from seal_agent.training.jobs import TrainJob
from seal_agent.training.train import train_each
from seal_agent.types import Context, content_hash

BeginStage = Callable[[str], Progress]
"""Called with the name of a stage as it begins; returns the callback for the stage's progress."""


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """An answer before it is graded."""

    question: str
    answer: str
    prompt_tokens: int
    recalled: str = ""
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class PassageRecord:
    """What was measured of one passage: seconds are its equal share of the batch that it was in."""

    unit: str
    title: str
    seconds_to_write: float
    seconds_to_train: float
    seconds_to_answer: float
    answers: tuple[AnswerRecord, ...] = ()
    notes: NoteFigures | None = None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Learnt:
    """The adapter of a passage, or None for the base model; why there is none; and what it cost.

    `model` is a copy of the base model whose weights were all trained, and answers in its place.
    """

    adapter: LoraAdapter | None
    seconds_to_write: float = 0.0
    seconds_to_train: float = 0.0
    notes: NoteFigures | None = None
    failure: str = ""
    model: BaseModel | None = None


class Contestant:
    """What is benchmarked: a base model, what answers, and a recipe.

    Args:
        together: Whether one adapter learns all passages of a call, not one each.
        corpus: The passages among which `retrieval` searches, and those that `in_context` may show together.
    """

    def __init__(
        self, base: BaseModel, engine: Engine, recipe: Recipe, *, corpus: Sequence[Context], together: bool = False
    ) -> None:
        self.base, self.engine, self.recipe, self.together = base, engine, recipe, together
        self.corpus = list(corpus)
        self.writer = writer_of(base, recipe.policy) if recipe.mode == "self_edit" else None
        self._search = PassageSearch(corpus) if recipe.mode == "retrieval" else None

    def measure(
        self, contexts: Sequence[Context], seed: int, begin: BeginStage, batch: Sequence[Context] = ()
    ) -> list[PassageRecord]:
        """Learn the passages and answer their questions; `batch` as for `learn`."""
        return self.ask(contexts, self.learn(contexts, seed, begin, batch), begin)

    # ------------------------------------------------------------ learning

    def learn(
        self, contexts: Sequence[Context], seed: int, begin: BeginStage, batch: Sequence[Context] = ()
    ) -> list[Learnt]:
        """Train as the recipe says; a passage whose training fails does not affect the others.

        Args:
            batch: The passages that notes are written about, where only some of them are learnt: what is drawn for a
                passage depends on those before it.
        """
        batch = batch or contexts
        if self.recipe.mode != "self_edit":
            return [Learnt(None)] * len(contexts)
        inner_loop = replace(self.recipe.inner_loop, seed=seed)
        started = time.perf_counter()
        config = self.recipe.self_edit
        progress = begin("writing self-edits")
        lessons = write_lessons(self.engine, self.base, batch, config, writer=self.writer, seed=seed, progress=progress)
        lessons = [lesson for context, lesson in zip(batch, lessons, strict=True) if context in contexts]
        written = time.perf_counter()
        jobs = [job_of(self.engine, self.base, lesson, inner_loop) for lesson in lessons]
        jobs = [replace(jobs[0], sequences=tuple(s for job in jobs for s in job.sequences))] if self.together else jobs
        results = self._train(jobs, begin)
        trained = time.perf_counter()
        results = results * len(contexts) if self.together else results
        writing, training = (written - started) / len(batch), (trained - written) / len(contexts)
        return [
            Learnt(
                result if isinstance(result, LoraAdapter) else None,
                writing,
                training,
                self._figures(lesson),
                result if isinstance(result, str) else "",
                result if isinstance(result, BaseModel) else None,
            )
            for result, lesson in zip(results, lessons, strict=True)
        ]

    def _train(self, jobs: Sequence[TrainJob], begin: BeginStage) -> list[LoraAdapter | BaseModel | str]:
        """The adapter of each job, or why there is none; with full finetuning, the copy that all passages share."""
        with resting(self.engine):
            if self.recipe.inner_loop.full and self.together:
                return [self._train_full(jobs[0], begin("training"))]
            results, _ = train_each(self.base, jobs, begin("training"))
        return [str(result) if isinstance(result, TrainingError) else result.adapter for result in results]

    def _train_full(self, job: TrainJob, progress: Progress) -> BaseModel | str:
        try:
            return train_full(self.base, job.sequences, job.config, progress).base
        except TrainingError as err:
            return str(err)

    def _figures(self, lesson: Lesson) -> NoteFigures:
        notes = [note for part in range(len(lesson.passages)) for note in self._notes_of(lesson, part)]
        return note_figures(notes, lambda text: len(self.base.tokens(text)))

    def _notes_of(self, lesson: Lesson, part: int) -> list[str]:
        edits = [edit for edit in lesson.self_edits if edit.part == part]
        return [" ".join(filter(None, (note.text, note.answer))) for note in notes_of(edits, lesson.title_of(part))]

    # ------------------------------------------------------------ answering

    def ask(self, contexts: Sequence[Context], learnt: Sequence[Learnt], begin: BeginStage) -> list[PassageRecord]:
        """The answers to every passage's questions, in one batch."""
        started = time.perf_counter()
        rows = [
            (number, self.asked(context, question.text, of_passage.adapter))
            for number, (context, of_passage) in enumerate(zip(contexts, learnt, strict=True))
            if not of_passage.failure
            for question in context.questions
        ]
        asked = [one for _, one in rows]
        trained = next((of_passage.model for of_passage in learnt if of_passage.model), None)
        base, engine = (trained, HFEngine(trained)) if trained else (self.base, self.engine)
        replies = reply_all(engine, base, asked, self.recipe.answer, progress=begin("answering"))
        seconds = (time.perf_counter() - started) / len(contexts)
        answers: list[list[AnswerRecord]] = [[] for _ in contexts]
        for (number, one), reply in zip(rows, replies, strict=True):
            tokens = len(self.base.encode(one.prompt))
            answers[number].append(AnswerRecord(one.question, reply.text, tokens, reply.recalled, reply.confidence))
        return [
            PassageRecord(
                unit_id(context),
                context.title,
                of_passage.seconds_to_write,
                of_passage.seconds_to_train,
                seconds,
                tuple(of_answers),
                of_passage.notes,
                of_passage.failure,
            )
            for context, of_passage, of_answers in zip(contexts, learnt, answers, strict=True)
        ]

    def asked(self, context: Context, question: str, adapter: LoraAdapter | None) -> Asked:
        """A question as the recipe puts it: closed-book, or with passages in the prompt."""
        tokens = self.recipe.answer.max_tokens
        if self._search:
            found = self._search.best(context.title, question, self.recipe.retrieval.passages)
            return with_passages(self.base, found, context.title, question, tokens)
        if self.recipe.mode == "in_context":
            shown = self.corpus if self.together else [context]  # nobody says which of them answers
            return with_passages(self.base, shown, context.title, question, tokens)
        return closed_book(context.title, question, adapter)


def prompt_hash(max_tokens: int) -> str:
    """Hash of how questions are put, with and without passages, and of the longest answer."""
    return content_hash(
        [question_prompt("T", "Q"), question_prompt("", "Q"), question_with_passage("T", "P", "Q"), max_tokens]
    )
