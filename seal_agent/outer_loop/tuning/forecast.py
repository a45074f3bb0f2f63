"""What a run will do in its budget, by a measurement of the default recipe on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from seal_agent.answering.reader import reader_of
from seal_agent.config import TuneConfig
from seal_agent.outer_loop.tuning.archive import Candidate
from seal_agent.outer_loop.tuning.budget import ROOTS_SHARE, confirming_plan, reserve, shortage
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

    `searched` passages are learnt in the search, by at most `candidates` recipes, `roots` of them named; `confirming`
    at the end, by all that are compared, `confirmed_on` by each. `seconds` is the whole run's time on one worker,
    without the `preparing` that a model needs once, which was done and is kept. `shortage` says what is wrong with the
    budget; "" where it has room for a search.
    """

    roots: int
    searched: int
    candidates: int
    confirming: int
    confirmed_on: int
    seconds_per_passage: float
    seconds: float
    preparing: float = 0.0
    shortage: str = ""


def prepare(worker: Worker, roots: Sequence[Candidate]) -> float:
    """What a model needs once: its reader, and the directions of reference text. Returns the seconds it took.

    No budget counts it.
    """
    started = time.perf_counter()
    if any(root.recipe.answer.style != "plain" for root in roots):
        reader_of(worker.base)
    for config in {root.recipe.inner_loop for root in roots}:
        protected_directions(worker.base, config)
    return time.perf_counter() - started


@dataclass(frozen=True, slots=True)
class MakePrepared:
    """Makes a worker whose model is prepared, as `prepare` does, before any clock starts. It can be sent to a cluster.

    `make_worker` must be picklable, as MakeWorker is.
    """

    make_worker: Callable[[], Worker]
    roots: tuple[Candidate, ...]

    def __call__(self) -> Worker:
        worker = self.make_worker()
        prepare(worker, self.roots)
        return worker


def forecast(roots: Sequence[Candidate], split: Split, config: TuneConfig, budget: Budget, worker: Worker) -> Forecast:
    """Let the default recipe learn two passages, and reckon from the time that it takes."""
    preparing = prepare(worker, roots)
    trial = RecipeTrial(roots[0].recipe, split.selecting[:TRIED])
    started = time.perf_counter()
    evaluate(TuneUnit(worker.base.identity, (trial,), split.neutral, config.seed), worker)
    seconds = (time.perf_counter() - started) / len(trial.passages)
    return replace(reckon(roots, config, budget, seconds), preparing=preparing)


def reckon(roots: Sequence[Candidate], config: TuneConfig, budget: Budget, seconds_per_passage: float) -> Forecast:
    """The counts and seconds of a run at a pace, by the rules of MinutesOrSteps."""
    first, compared = config.stages[0], 1 + sum(root.name in REFERENCES for root in roots)
    named, confirmed_on, searched, lack = len(roots), config.confirming, float("inf"), ""
    if budget.minutes is not None:
        total = budget.minutes * MINUTE / seconds_per_passage  # passages
        named = max(1, min(named, int(ROOTS_SHARE * total / first)))
        searched = max(first, total - reserve(total, [1.0] * compared, config.confirming))
        confirmed_on, compared = confirming_plan(total - searched, [1.0] * compared, config.confirming)
        lack = shortage(budget.minutes, config, seconds_per_passage)
    if budget.steps is not None:  # a candidate goes through its stages in so many steps
        searched = min(
            searched, named * first + budget.steps * config.children * config.stages[-1] / len(config.stages)
        )
    passages, confirming = round(searched), compared * confirmed_on
    candidates = max(named, min(round(passages**config.width), named + (passages - named * first) // first))
    seconds = (passages + confirming) * seconds_per_passage
    return Forecast(named, passages, candidates, confirming, confirmed_on, seconds_per_passage, seconds, shortage=lack)
