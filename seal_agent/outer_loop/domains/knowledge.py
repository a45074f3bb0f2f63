"""Knowledge incorporation as a domain of the outer loop: passages, notes about them, closed-book questions."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, zip_longest
from typing import Any

from seal_agent.adaptation.lesson import Lesson, job_of
from seal_agent.adaptation.self_test import write_self_tests
from seal_agent.answering.questions import answer_questions, ask_closed_book
from seal_agent.config import PLAIN_ANSWERS, SelfEditConfig
from seal_agent.errors import InputError, TrainingError
from seal_agent.generation.engine import resting
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.outer_loop.selection import leaked_words
from seal_agent.outer_loop.units import (
    Case,
    CaseAnswers,
    CaseResult,
    TrialResult,
    Unit,
    UnitResult,
    Worker,
    save_adapter,
)
from seal_agent.progress import Progress
from seal_agent.self_edits.checking import check_self_edits_batch
from seal_agent.self_edits.formats.registry import check_format, is_model_written
from seal_agent.self_edits.writing import passages_of, write_self_edits_batch
from seal_agent.training.jobs import TrainJob
from seal_agent.training.train import train_each
from seal_agent.types import Answer, Context, Question, SelfEdit, content_hash

SAMPLING_TEMPERATURE = 0.7  # for answers whose agreement is measured; not tuned
OWN_QUESTIONS = 4  # limit per passage, for rewards from the model's own questions; not tuned


@dataclass(frozen=True, slots=True)
class Passage:
    """A text with its title, cut into parts that fit the model's window."""

    title: str
    parts: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n\n".join(self.parts)


_Query = tuple[Case[Passage], LoraAdapter | None]
"""A case, and the adapter to ask about it; None for the base model."""


@dataclass(frozen=True)
class KnowledgeDomain:
    """Passages with questions.

    Raises InputError where there are no passages, or for a format that no policy can learn to write.
    """

    contexts: tuple[Context, ...]
    self_edit: SelfEditConfig
    others: tuple[Context, ...] = ()
    """Passages on unrelated topics, for the guard set."""

    def __post_init__(self) -> None:
        if not self.contexts:
            raise InputError("there are no passages to train on; give a file with at least one")
        for name in self.self_edit.formats:
            check_format(name)
            if not is_model_written(name):
                raise InputError(
                    f"the format {name!r} is not one text that the model writes, so no policy can learn to write it; "
                    "use implications, implications-long, rewrite, self-qa or the path of a .txt file"
                )

    @property
    def formats(self) -> tuple[str, ...]:
        return self.self_edit.formats

    def settings(self) -> dict[str, Any]:
        """The domain and a hash of its passages and questions."""
        return {
            "domain": "knowledge",
            "data": content_hash([asdict(context) for context in (*self.contexts, *self.others)]),
        }

    def items(self, count: int, skip: int, seed: int) -> list[Context]:
        """Passages in the seed's order; beyond the last, from the first again."""
        shuffled = random.Random(seed).sample(self.contexts, len(self.contexts))
        return [shuffled[(skip + i) % len(shuffled)] for i in range(min(count, len(shuffled)))]

    def guard(self, count: int, seed: int) -> tuple[Context, ...]:
        """The questions of up to `count` of `others`, without their texts."""
        return tuple(
            Context("", context.title, context.questions)
            for context in random.Random(seed).sample(self.others, min(count, len(self.others)))
        )

    def cases(self, worker: Worker, items: Sequence[Context], seed: int) -> tuple[Case[Passage], ...]:
        """Split each passage's questions at random: half select and half report; an odd one selects."""
        cases = []
        for context in items:
            parts = passages_of(worker.base, context.text, self.self_edit.max_context_tokens)
            questions = random.Random(f"{seed} {context.text}").sample(context.questions, len(context.questions))
            half = (len(questions) + 1) // 2
            passage = Passage(context.title, tuple(parts))
            cases.append(Case(passage, context.title, tuple(questions[:half]), tuple(questions[half:])))
        return tuple(cases)

    def text_of(self, case: Case[Passage]) -> str:
        """The whole text, its parts joined."""
        return case.item.text

    def own_questions(
        self, worker: Worker, cases: Sequence[Case[Passage]], seed: int
    ) -> tuple[tuple[Question, ...], ...]:
        """The model's self-test of each passage, of which only the questions are used."""
        sources = [(case.item.title, case.item.parts) for case in cases]
        return tuple(write_self_tests(worker.engine, sources, OWN_QUESTIONS, seed=seed))

    def propose(
        self,
        worker: Worker,
        cases: Sequence[Case[Passage]],
        count: int,
        *,
        writer: LoraAdapter | None,
        seed: int,
        progress: Progress | None = None,
    ) -> tuple[tuple[SelfEdit, ...], ...]:
        """Write `count` self-edits for each passage, in each format in turn, checked as the config says."""
        config = replace(self.self_edit, per_format=-(-count // len(self.self_edit.formats)))
        sources = [(case.item.title, case.item.parts) for case in cases]
        written = write_self_edits_batch(worker.engine, sources, config, writer=writer, seed=seed, progress=progress)
        checked = check_self_edits_batch(worker.engine, sources, written, config.verify)
        return tuple(tuple(_interleave(edits, config.formats, count)) for edits in checked)

    def rejected(self, case: Case[Passage], edit: SelfEdit) -> str:
        """Why a self-edit may not be kept: it shares a long run of words with a question but not with the passage."""
        shared = leaked_words(edit, case.item.text, (*case.selecting, *case.reporting))
        return f"shares “{shared}” with a question" if shared else ""

    @staticmethod
    def evaluate(unit: Unit[Passage], worker: Worker) -> UnitResult:
        """Train all adapters of a unit in one bank, and ask all questions in one batch."""
        jobs = [_job(unit, case.item, trial.edit, trial.seed, worker) for case in unit.cases for trial in case.trials]
        with resting(worker.engine):
            results, _ = train_each(worker.base, jobs) if jobs else ([], None)
        remaining = iter(results)
        cases = [(case, [next(remaining) for _ in case.trials]) for case in unit.cases]
        queries = [
            (case, adapter)
            for case, trained in cases
            for adapter in (
                None,
                *(None if isinstance(result, TrainingError) else result.adapter for result in trained),
            )
        ]
        all_answers = iter(_ask(unit, queries, worker))
        case_results = []
        for case, trained in cases:
            baseline, *answers = [next(all_answers) for _ in (None, *trained)]
            trial_results = tuple(
                TrialResult(trial, None, str(result))
                if isinstance(result, TrainingError)
                else TrialResult(trial, trial_answers, adapter=save_adapter(result.adapter, worker))
                for trial, result, trial_answers in zip(case.trials, trained, answers, strict=True)
            )
            case_results.append(CaseResult(baseline, trial_results))
        return UnitResult(unit.key, tuple(case_results))


def _interleave(edits: Sequence[SelfEdit], formats: Sequence[str], count: int) -> list[SelfEdit]:
    """The first self-edit of each format, then the second of each, up to `count`; a format's take all parts in turn."""
    by_format = []
    for name in formats:
        written = [edit for edit in edits if edit.format == name]
        parts = sorted({edit.part for edit in written})
        by_format.append(_alternating([[edit for edit in written if edit.part == part] for part in parts]))
    return _alternating(by_format)[:count]


def _alternating(lists: Sequence[Sequence[SelfEdit]]) -> list[SelfEdit]:
    """The first of each list, then the second of each."""
    return [edit for edit in chain.from_iterable(zip_longest(*lists)) if edit]


def _job(unit: Unit[Passage], passage: Passage, edit: SelfEdit | None, seed: int, worker: Worker) -> TrainJob:
    config = replace(unit.inner_loop, seed=seed)
    lesson = Lesson(passage.title, passage.parts, (edit,) if edit else ())
    return job_of(worker.engine, worker.base, lesson, config)


def _ask(unit: Unit[Passage], queries: Sequence[_Query], worker: Worker) -> list[CaseAnswers]:
    """All answers to each query, in order: to the case's questions, the guard questions and the own questions."""
    contexts = [
        (context, adapter)
        for case, adapter in queries
        for context in (Context("", case.title, case.selecting), Context("", case.title, case.reporting), *unit.guard)
    ]
    answers = answer_questions(
        worker.engine,
        worker.base,
        [context for context, _ in contexts],
        worker.grader,
        adapters=[adapter for _, adapter in contexts],
        config=PLAIN_ANSWERS,
    )
    samples = _samples(unit, queries, worker)
    contexts_per_query = 2 + len(unit.guard)
    rows = [answers[i : i + contexts_per_query] for i in range(0, len(answers), contexts_per_query)]
    return [_case_answers(row, own) for row, own in zip(rows, samples, strict=True)]


def _case_answers(row: Sequence[tuple[Answer, ...]], samples: tuple[tuple[str, ...], ...]) -> CaseAnswers:
    selecting, reporting, *guard = row
    return CaseAnswers(selecting, reporting, tuple(chain.from_iterable(guard)), samples)


def _samples(unit: Unit[Passage], queries: Sequence[_Query], worker: Worker) -> list[tuple[tuple[str, ...], ...]]:
    """`unit.samples` sampled answers to each own question, for each query."""
    prompts = [
        (case.title, question.text, adapter)
        for case, adapter in queries
        for question in case.own
        for _ in range(unit.samples)
    ]
    sampling = replace(PLAIN_ANSWERS.sampling(), temperature=SAMPLING_TEMPERATURE)
    completions = iter(ask_closed_book(worker.engine, prompts, sampling))
    return [tuple(tuple(next(completions) for _ in range(unit.samples)) for _ in case.own) for case, _ in queries]
