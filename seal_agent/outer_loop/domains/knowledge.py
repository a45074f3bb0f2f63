"""Knowledge incorporation as a domain of the outer loop: passages, notes about them, closed-book questions."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice, zip_longest
from typing import Any

from seal_agent.adaptation.answering import answer_questions, ask_closed_book
from seal_agent.adaptation.lesson import Lesson, job_of
from seal_agent.adaptation.self_test import write_self_tests
from seal_agent.config import AnswerConfig, SelfEditConfig
from seal_agent.errors import InputError, TrainingError
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.outer_loop.selection import leaks
from seal_agent.outer_loop.units import Asked, Case, CaseResult, Evaluated, Tried, Unit, Worker, kept
from seal_agent.progress import Progress
from seal_agent.self_edits.checking import check_self_edits_of
from seal_agent.self_edits.formats.registry import check_format, is_model_written
from seal_agent.self_edits.writing import passages_of, write_self_edits_for
from seal_agent.training.jobs import TrainJob
from seal_agent.training.train import train_each
from seal_agent.types import Answer, Context, Question, SelfEdit, content_hash

SAMPLING_TEMPERATURE = 0.7  # our choice: of answers whose agreement is measured
OWN_QUESTIONS = 4  # our choice: at most, per passage, where the model is judged by its own


@dataclass(frozen=True, slots=True)
class Passage:
    """A text and its title, cut into the parts that fit the model's window."""

    title: str
    parts: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n\n".join(self.parts)


@dataclass(frozen=True)
class KnowledgeDomain:
    """Passages with questions. Raises InputError where there are none, or for formats that no policy can write."""

    contexts: tuple[Context, ...]
    self_edit: SelfEditConfig
    others: tuple[Context, ...] = ()
    """Passages about other things, for the guard set."""

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
        return {"domain": "knowledge", "data": content_hash([asdict(c) for c in (*self.contexts, *self.others)])}

    def items(self, count: int, skip: int, seed: int) -> list[Context]:
        """Passages in the seed's order."""
        shuffled = random.Random(seed).sample(self.contexts, len(self.contexts))
        return [shuffled[(skip + i) % len(shuffled)] for i in range(min(count, len(shuffled)))]

    def guard(self, count: int, seed: int) -> tuple[Context, ...]:
        """Questions about `others`."""
        return tuple(
            Context("", context.title, context.questions)
            for context in random.Random(seed).sample(self.others, min(count, len(self.others)))
        )

    def cases(self, worker: Worker, items: Sequence[Context], seed: int) -> tuple[Case[Passage], ...]:
        """Half of each passage's questions select, the others report; the odd one selects."""
        cases = []
        for item in items:
            parts = passages_of(worker.base, item.text, self.self_edit.max_context_tokens)
            order = random.Random(f"{seed} {item.text}").sample(item.questions, len(item.questions))
            half = (len(order) + 1) // 2
            cases.append(Case(Passage(item.title, tuple(parts)), item.title, tuple(order[:half]), tuple(order[half:])))
        return tuple(cases)

    def own_questions(
        self, worker: Worker, cases: Sequence[Case[Passage]], seed: int
    ) -> tuple[tuple[Question, ...], ...]:
        """The model's self-test of each passage; nobody's answers to it count."""
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
        """The formats in turn until there are `count`, checked as the config says."""
        config = replace(self.self_edit, per_format=-(-count // len(self.self_edit.formats)))
        sources = [(case.item.title, case.item.parts) for case in cases]
        written = write_self_edits_for(worker.engine, sources, config, writer=writer, seed=seed, progress=progress)
        checked = check_self_edits_of(worker.engine, sources, written, config.verify)
        return tuple(tuple(_in_turn(of_case, config.formats, count)) for of_case in checked)

    def rejected(self, case: Case[Passage], edit: SelfEdit) -> str:
        """A long run of words of a question, which the passage does not have."""
        shared = leaks(edit, case.item.text, (*case.selecting, *case.reporting))
        return f"shares “{shared}” with a question" if shared else ""

    @staticmethod
    def evaluate(unit: Unit[Passage], worker: Worker) -> Evaluated:
        """All adapters of a unit in one bank, all their questions in one batch."""
        jobs = [_job(unit, case.item, trial.edit, trial.seed, worker) for case in unit.cases for trial in case.trials]
        results, _ = train_each(worker.base, jobs) if jobs else ([], None)
        outcomes = iter(results)
        cases = [(case, [next(outcomes) for _ in case.trials]) for case in unit.cases]
        asked = [
            (case, adapter)
            for case, trained in cases
            for adapter in (None, *(None if isinstance(t, TrainingError) else t.adapter for t in trained))
        ]
        said = iter(_ask(unit, asked, worker))
        found = []
        for case, trained in cases:
            baseline, *answers = [next(said) for _ in (None, *trained)]
            tried = tuple(
                Tried(trial, None, str(one))
                if isinstance(one, TrainingError)
                else Tried(trial, answer, adapter=kept(one.adapter, worker))
                for trial, one, answer in zip(case.trials, trained, answers, strict=True)
            )
            found.append(CaseResult(baseline, tried))
        return Evaluated(unit.key, tuple(found))


def _in_turn(edits: Sequence[SelfEdit], formats: Sequence[str], count: int) -> list[SelfEdit]:
    """The first of each format, then the second of each, up to `count`."""
    rows = [[edit for edit in edits if edit.format == name] for name in formats]
    return list(islice((edit for edit in chain.from_iterable(zip_longest(*rows)) if edit), count))


def _job(unit: Unit[Passage], passage: Passage, edit: SelfEdit | None, seed: int, worker: Worker) -> TrainJob:
    config = replace(unit.inner_loop, seed=seed)
    lesson = Lesson(passage.title, passage.parts, (edit,) if edit else ())
    return job_of(worker.engine, worker.base, lesson, config)


def _ask(unit: Unit[Passage], asked: Sequence[tuple[Case[Passage], LoraAdapter | None]], worker: Worker) -> list[Asked]:
    """Everything that is asked of each of these adapters, in the order of the adapters."""
    contexts = [
        (context, adapter)
        for case, adapter in asked
        for context in (Context("", case.title, case.selecting), Context("", case.title, case.reporting), *unit.guard)
    ]
    every, using = [context for context, _ in contexts], [adapter for _, adapter in contexts]
    answers = answer_questions(worker.engine, every, worker.grader, adapters=using)
    samples = _samples(unit, asked, worker)
    per = 2 + len(unit.guard)
    rows = [answers[i : i + per] for i in range(0, len(answers), per)]
    return [_asked(row, said) for row, said in zip(rows, samples, strict=True)]


def _asked(row: Sequence[tuple[Answer, ...]], samples: tuple[tuple[str, ...], ...]) -> Asked:
    selecting, reporting, *guard = row
    return Asked(selecting, reporting, tuple(chain.from_iterable(guard)), samples)


def _samples(
    unit: Unit[Passage], asked: Sequence[tuple[Case[Passage], LoraAdapter | None]], worker: Worker
) -> list[tuple[tuple[str, ...], ...]]:
    """`unit.samples` warm answers to every own question."""
    again = [
        (case.title, question.text, adapter)
        for case, adapter in asked
        for question in case.own
        for _ in range(unit.samples)
    ]
    sampling = replace(AnswerConfig().sampling(), temperature=SAMPLING_TEMPERATURE)
    said = iter(ask_closed_book(worker.engine, again, sampling))
    return [tuple(tuple(next(said) for _ in range(unit.samples)) for _ in case.own) for case, _ in asked]
