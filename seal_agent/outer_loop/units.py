"""The unit of work: everything that is evaluated about one context in one round.

A unit says all that decides its result, so that it may be run anywhere, by any worker, again after a crash, and comes
out the same: its adapters share one batch whose members never depend on what else there is to do.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from seal_agent.config import InnerLoopConfig
from seal_agent.engine.base import Engine
from seal_agent.errors import TrainingError
from seal_agent.inner_loop.lora import LoraAdapter
from seal_agent.inner_loop.train import TrainJob, train_each
from seal_agent.knowledge.answering import answer_questions
from seal_agent.knowledge.grading import Grader
from seal_agent.knowledge.lessons import Lesson, sequences_of
from seal_agent.models import BaseModel
from seal_agent.types import Answer, Context, Question, SelfEdit, content_hash


@dataclass(frozen=True, slots=True)
class Trial:
    """One adapter to train and ask: on a self-edit and the passage, or (None) on the passage alone."""

    edit: SelfEdit | None
    seed: int


@dataclass(frozen=True, slots=True)
class Unit:
    """One context, the adapters to try on it, and what they are asked.

    `selecting` questions decide which self-edits are kept, `reporting` ones never do, `guard` ones are about other
    things, which an adapter should still know.
    """

    base: str
    title: str
    passages: tuple[str, ...]
    trials: tuple[Trial, ...]
    inner_loop: InnerLoopConfig
    selecting: tuple[Question, ...]
    reporting: tuple[Question, ...]
    guard: tuple[Context, ...] = ()

    @property
    def key(self) -> str:
        """Content hash: two units with the same key have the same result."""
        return content_hash(asdict(self))


@dataclass(frozen=True, slots=True)
class Asked:
    """Answers to a unit's three sets of questions, of one adapter or of the base model."""

    selecting: tuple[Answer, ...]
    reporting: tuple[Answer, ...]
    guard: tuple[Answer, ...] = ()


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of a trial: its answers, or why there are none."""

    trial: Trial
    answers: Asked | None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A unit's result. Seconds are the worker's own; they are no part of what two runs have in common."""

    unit: str
    baseline: Asked
    tried: tuple[Tried, ...]
    train_seconds: float = 0.0
    answer_seconds: float = 0.0


def evaluate(unit: Unit, engine: Engine, base: BaseModel, grader: Grader) -> Evaluated:
    """Train a unit's adapters side by side and ask each of them, and the base model, everything."""
    started = time.perf_counter()
    jobs = [_job(unit, trial, engine, base) for trial in unit.trials]
    results, _ = train_each(base, jobs)
    trained = time.perf_counter()
    adapters = [None if isinstance(result, TrainingError) else result.adapter for result in results]
    baseline, *answers = _ask(unit, [None, *(adapter for adapter in adapters if adapter)], engine, grader)
    left = iter(answers)
    tried = tuple(
        Tried(trial, None, str(result)) if isinstance(result, TrainingError) else Tried(trial, next(left))
        for trial, result in zip(unit.trials, results, strict=True)
    )
    return Evaluated(unit.key, baseline, tried, trained - started, time.perf_counter() - trained)


def _job(unit: Unit, trial: Trial, engine: Engine, base: BaseModel) -> TrainJob:
    config = replace(unit.inner_loop, seed=trial.seed)
    lesson = Lesson(unit.title, unit.passages, (trial.edit,) if trial.edit else ())
    return TrainJob(sequences_of(engine, base, lesson, config), config)


def _ask(unit: Unit, adapters: Sequence[LoraAdapter | None], engine: Engine, grader: Grader) -> list[Asked]:
    """All questions of all adapters in one batch."""
    own = [Context("", unit.title, questions) for questions in (unit.selecting, unit.reporting)]
    contexts = [*own, *unit.guard]
    every = [context for _ in adapters for context in contexts]
    using = [adapter for adapter in adapters for _ in contexts]
    answers = answer_questions(engine, every, grader, adapters=using)
    per = len(contexts)
    rows = [answers[i : i + per] for i in range(0, len(answers), per)]
    return [Asked(row[0], row[1], tuple(answer for of_one in row[2:] for answer in of_one)) for row in rows]
