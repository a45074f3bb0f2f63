"""What a run will do in its budget, by a measurement of the default recipe on this machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from seal_agent.answering.reader import reader_of
from seal_agent.config import TuneConfig
from seal_agent.outer_loop.tuning.archive import Candidate
from seal_agent.outer_loop.tuning.confirm import REFERENCES
from seal_agent.outer_loop.tuning.measure import RecipeTrial, TuneUnit, evaluate
from seal_agent.outer_loop.tuning.passages import Split
from seal_agent.outer_loop.tuning.run import MINUTE, Budget
from seal_agent.outer_loop.units import Worker
from seal_agent.training.retention.reference_text import protected_directions

TRIED = 2  # passages of the measurement


@dataclass(frozen=True, slots=True)
class Forecast:
    """Counts and seconds of a run, where every recipe costs what the default does.

    `searched` passages are learnt in the search, by at most `candidates` recipes; `confirming` at the end, by all that
    are compared. `seconds` is the whole run's time on one worker.
    """

    roots: int
    searched: int
    candidates: int
    confirming: int
    seconds_per_passage: float
    seconds: float


def prepare(worker: Worker, roots: Sequence[Candidate]) -> None:
    """What a model needs once: its reader, and the directions of reference text. No budget counts it."""
    if any(root.recipe.answer.style != "plain" for root in roots):
        reader_of(worker.base)
    for config in {root.recipe.inner_loop for root in roots}:
        protected_directions(worker.base, config)


def forecast(roots: Sequence[Candidate], split: Split, config: TuneConfig, budget: Budget, worker: Worker) -> Forecast:
    """Let the default recipe learn two passages, and reckon from the time that it takes."""
    prepare(worker, roots)
    trial = RecipeTrial(roots[0].recipe, split.selecting[:TRIED])
    started = time.perf_counter()
    evaluate(TuneUnit(worker.base.identity, (trial,), split.neutral, config.seed), worker)
    return reckon(roots, config, budget, (time.perf_counter() - started) / len(trial.passages))


def reckon(roots: Sequence[Candidate], config: TuneConfig, budget: Budget, seconds_per_passage: float) -> Forecast:
    """The counts and seconds of a run at a pace."""
    first = len(roots) * config.stages[0]
    compared = 1 + sum(root.name in REFERENCES for root in roots)
    confirming = compared * config.confirming
    by_steps = by_minutes = float("inf")
    if budget.steps is not None:  # a candidate goes through its stages in so many steps
        by_steps = first + budget.steps * config.children * config.stages[-1] / len(config.stages)
    if budget.minutes is not None:
        by_minutes = max(first, budget.minutes * MINUTE / seconds_per_passage - confirming)
    searched = round(min(by_steps, by_minutes))
    candidates = max(len(roots), round(searched**config.width))
    return Forecast(
        len(roots), searched, candidates, confirming, seconds_per_passage, (searched + confirming) * seconds_per_passage
    )
