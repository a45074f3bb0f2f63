"""Test-time training: one adapter per task and self-edit, many of them side by side, then the outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from seal_agent.arc.choices import FIXED, Choice, read_choice
from seal_agent.arc.grids import ArcTask, Grid, cell_accuracy
from seal_agent.arc.predict import Asked, Candidate, predict
from seal_agent.arc.sequences import job_of
from seal_agent.base_model.model import BaseModel
from seal_agent.config import ArcConfig, InnerLoopConfig
from seal_agent.errors import InputError, TrainingError
from seal_agent.generation.engine import Engine
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import Progress
from seal_agent.training.jobs import TrainJob
from seal_agent.training.train import train_each
from seal_agent.types import SelfEdit

Stage = Callable[[str], Progress]
"""Told which stage begins; gives what the stage reports its progress to."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A task and how to train on it; None: not at all, the examples in the prompt alone."""

    task: ArcTask
    choice: Choice | None
    seed: int = 0
    failure: str = ""
    """Why there is nothing to train on: a self-edit that could not be read."""


def trial_of(task: ArcTask, edit: SelfEdit | None, seed: int) -> Trial:
    """A task and what a self-edit chooses for it, or (None) the fixed choice."""
    try:
        return Trial(task, read_choice(edit.completion) if edit else FIXED, seed)
    except InputError as err:
        return Trial(task, None, seed, str(err))


@dataclass(frozen=True, slots=True)
class Attempted:
    """What came of a trial: candidates for every test input, or why there are none."""

    task: ArcTask
    candidates: tuple[tuple[Candidate, ...], ...]
    failure: str = ""
    adapter: LoraAdapter | None = None

    def attempts(self, most: int) -> tuple[tuple[Grid, ...], ...]:
        """At most so many grids for every test input, the best first."""
        return tuple(tuple(one.grid for one in islice(of_test, most)) for of_test in self.candidates)

    def solved(self, most: int) -> bool:
        """Whether every test input has its output among the attempts (ARC's own rule, with two of them)."""
        golds = [example.output for example in self.task.test]
        return bool(golds) and all(
            gold in tried for gold, tried in zip(golds, self.attempts(most) or [()] * len(golds), strict=True)
        )

    def cell_accuracy(self, most: int) -> float:
        """Share of cells that are right in the best attempt, mean over test inputs, 0..1."""
        golds = [example.output for example in self.task.test]
        tried = self.attempts(most) or [()] * len(golds)
        best = [
            max([cell_accuracy(grid, gold) for grid in of_test], default=0.0)
            for of_test, gold in zip(tried, golds, strict=True)
        ]
        return sum(best) / len(best)


def solve(
    engine: Engine,
    base: BaseModel,
    trials: Sequence[Trial],
    config: ArcConfig,
    inner_loop: InnerLoopConfig,
    stage: Stage | None = None,
) -> list[Attempted]:
    """Train all trials in one bank, ask all of them in one batch; a trial that fails leaves the others alone.

    Without a choice a task is answered by the base model in a single view, greedily.
    """
    tell = stage or (lambda _: lambda done, total: None)
    learnt = _learn(base, trials, config, inner_loop, tell("training"))
    asked: list[Asked] = []
    plain: list[Asked] = []
    for trial, outcome in zip(trials, learnt, strict=True):
        if not isinstance(outcome, str):
            (plain if trial.choice is None else asked).extend(
                Asked(trial.task, test, outcome) for test in range(len(trial.task.test))
            )
    trained = iter(predict(engine, base, asked, config, progress=tell("answering")))
    untrained = iter(predict(engine, base, plain, config, views=1, progress=tell("answering")))
    results = []
    for trial, outcome in zip(trials, learnt, strict=True):
        if isinstance(outcome, str):
            results.append(Attempted(trial.task, (), outcome))
            continue
        source = untrained if trial.choice is None else trained
        results.append(Attempted(trial.task, tuple(next(source) for _ in trial.task.test), "", outcome))
    return results


def _learn(
    base: BaseModel, trials: Sequence[Trial], config: ArcConfig, inner_loop: InnerLoopConfig, progress: Progress
) -> list[LoraAdapter | str | None]:
    """An adapter for each trial, None where it has no choice; why there is none, as text."""
    jobs = [_job(base, trial, config, inner_loop) for trial in trials]
    ready = [job for job in jobs if isinstance(job, TrainJob)]
    outcomes = iter(train_each(base, ready, progress)[0] if ready else [])
    learnt: list[LoraAdapter | str | None] = []
    for job in jobs:
        if not isinstance(job, TrainJob):
            learnt.append(job)
            continue
        outcome = next(outcomes)
        learnt.append(str(outcome) if isinstance(outcome, TrainingError) else outcome.adapter)
    return learnt


def _job(base: BaseModel, trial: Trial, config: ArcConfig, inner_loop: InnerLoopConfig) -> TrainJob | str | None:
    if trial.failure or trial.choice is None:
        return trial.failure or None
    try:
        return job_of(base, trial.task, trial.choice, config, replace(inner_loop, seed=trial.seed))
    except InputError as err:
        return str(err)
