"""Test-time training: one adapter per task and self-edit, all in one bank, then predictions of the test outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from seal_agent.arc.choices import FIXED, Choice, read_choice
from seal_agent.arc.grids import ArcTask, Grid, cell_accuracy
from seal_agent.arc.predict import Candidate, Query, predict
from seal_agent.arc.sequences import job_of
from seal_agent.base_model.model import BaseModel
from seal_agent.config import ArcConfig, InnerLoopConfig
from seal_agent.errors import InputError, TrainingError
from seal_agent.generation.engine import Engine, resting
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import Progress
from seal_agent.training.jobs import TrainJob
from seal_agent.training.train import train_each
from seal_agent.types import SelfEdit

BeginStage = Callable[[str], Progress]
"""Called with the name of a stage as it begins; returns the callback for the stage's progress."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A task and how to train on it; with a `choice` of None nothing is trained, and the examples are only prompted."""

    task: ArcTask
    choice: Choice | None
    seed: int = 0
    failure: str = ""
    """Why there is no choice: the self-edit could not be parsed."""


def trial_of(task: ArcTask, edit: SelfEdit | None, seed: int) -> Trial:
    """A trial with the self-edit's choice, or without one (None) the fixed choice."""
    try:
        return Trial(task, read_choice(edit.completion) if edit else FIXED, seed)
    except InputError as err:
        return Trial(task, None, seed, str(err))


@dataclass(frozen=True, slots=True)
class ArcResult:
    """The result of a trial: candidates for every test input, or the reason why there are none."""

    task: ArcTask
    candidates: tuple[tuple[Candidate, ...], ...]
    failure: str = ""
    adapter: LoraAdapter | None = None

    def attempts(self, limit: int) -> tuple[tuple[Grid, ...], ...]:
        """Up to `limit` grids for every test input, best first; empty where the trial failed."""
        return tuple(tuple(candidate.grid for candidate in islice(test, limit)) for test in self.candidates)

    def solved(self, limit: int) -> bool:
        """Whether every test output is among its first `limit` attempts (ARC's own rule, with two)."""
        pairs = self._golds_and_attempts(limit)
        return bool(pairs) and all(gold in grids for gold, grids in pairs)

    def cell_accuracy(self, limit: int) -> float:
        """Share of correct cells in the best of the first `limit` attempts, mean over test inputs, 0..1."""
        best = [
            max([cell_accuracy(grid, gold) for grid in grids], default=0.0)
            for gold, grids in self._golds_and_attempts(limit)
        ]
        return sum(best) / len(best)

    def _golds_and_attempts(self, limit: int) -> list[tuple[Grid, tuple[Grid, ...]]]:
        golds = [example.output for example in self.task.test]
        return list(zip(golds, self.attempts(limit) or [()] * len(golds), strict=True))


def solve(
    engine: Engine,
    base: BaseModel,
    trials: Sequence[Trial],
    config: ArcConfig,
    inner_loop: InnerLoopConfig,
    begin_stage: BeginStage | None = None,
) -> list[ArcResult]:
    """Train all trials in one bank, then answer their test inputs in one batch.

    Trials without a choice are answered by the base model, in a single view each. A failed trial does not affect the
    others.

    Args:
        trials: Tasks and how to train on each.
        config: How to make training tasks, search and vote.
        inner_loop: Training settings that a choice leaves open; each trial's own seed replaces its seed.
        begin_stage: Called as "training" and "answering" begin.
    """
    begin = begin_stage or (lambda _: lambda done, total: None)
    with resting(engine):
        outcomes = _train(base, trials, config, inner_loop, begin("training"))
    trained_queries: list[Query] = []
    base_queries: list[Query] = []
    for trial, outcome in zip(trials, outcomes, strict=True):
        if not isinstance(outcome, str):
            (base_queries if trial.choice is None else trained_queries).extend(
                Query(trial.task, test, outcome) for test in range(len(trial.task.test))
            )
    trained = iter(predict(engine, base, trained_queries, config, progress=begin("answering")))
    untrained = iter(predict(engine, base, base_queries, config, views=1, progress=begin("answering")))
    results = []
    for trial, outcome in zip(trials, outcomes, strict=True):
        if isinstance(outcome, str):
            results.append(ArcResult(trial.task, (), outcome))
            continue
        predictions = untrained if trial.choice is None else trained
        results.append(ArcResult(trial.task, tuple(next(predictions) for _ in trial.task.test), "", outcome))
    return results


def _train(
    base: BaseModel, trials: Sequence[Trial], config: ArcConfig, inner_loop: InnerLoopConfig, progress: Progress
) -> list[LoraAdapter | str | None]:
    """The adapter of each trial, None for a trial without a choice, or the reason of a failure as a string."""
    jobs = [_make_job(base, trial, config, inner_loop) for trial in trials]
    trainable = [job for job in jobs if isinstance(job, TrainJob)]
    trained = iter(train_each(base, trainable, progress)[0] if trainable else [])
    outcomes: list[LoraAdapter | str | None] = []
    for job in jobs:
        if not isinstance(job, TrainJob):
            outcomes.append(job)
            continue
        result = next(trained)
        outcomes.append(str(result) if isinstance(result, TrainingError) else result.adapter)
    return outcomes


def _make_job(base: BaseModel, trial: Trial, config: ArcConfig, inner_loop: InnerLoopConfig) -> TrainJob | str | None:
    if trial.failure or trial.choice is None:
        return trial.failure or None
    try:
        return job_of(base, trial.task, trial.choice, config, replace(inner_loop, seed=trial.seed))
    except InputError as err:
        return str(err)
