"""What a run will do, counted before it begins, and how long that will take on a machine like this one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from seal_agent.config import OuterLoopConfig
from seal_agent.outer_loop.domains.domain import Domain
from seal_agent.outer_loop.policy import finetune
from seal_agent.outer_loop.rewards.reward import Judged, RewardModel
from seal_agent.outer_loop.units import Case, Trial, Unit, Worker
from seal_agent.types import SelfEdit

PATIENCE = 6.0  # seconds, our choice: a measurement that took longer is not repeated with twice as much


@dataclass(frozen=True, slots=True)
class Plan:
    """Counts of a run. `rounds` includes the one that only measures, `learning` are those that finetune the policy.

    Contexts, self-edits and chunks are those of one round. A chunk is a batch of contexts: it is written about at once,
    and evaluated as two units, one of adapters on the contexts alone and one of those on self-edits. Where every round
    looks at the same contexts, those alone are evaluated in the first only.
    """

    rounds: int
    learning: int
    contexts: int
    self_edits: int
    chunks: int
    trains: bool
    seeds: int
    fresh: bool
    questions: int
    """Asked in the whole run, of the adapters and of the base model, guard set included; own questions are not."""
    rows: int
    """Self-edits that the policy learns from in a round, at most."""

    @property
    def adapters(self) -> int:
        """Trained in the whole run."""
        alone = self.contexts * (self.rounds if self.fresh else 1)
        return self.seeds * (alone + self.rounds * self.self_edits) if self.trains else 0

    @property
    def units(self) -> int:
        """Evaluated in the whole run."""
        return sum(self.pieces(round_).get("evaluate", 0) for round_ in range(self.rounds))

    def pieces(self, round_: int) -> dict[str, int]:
        """What the ledger will hold of a round, by stage, in the order of the stages."""
        units = self.chunks * (2 if self.fresh or round_ == 0 else 1)
        return {
            "propose": self.chunks,
            **({"evaluate": units} if self.trains else {"judge": self.contexts}),
            **({"finetune": 1} if round_ < self.learning else {}),
            "round": 1,
        }

    def work(self, stage: str, done: int, round_: int = 0) -> float:
        """What the first `done` pieces weigh: units of contexts alone come first and are the light ones."""
        if stage != "evaluate":
            return float(done)
        light = min(done, self.chunks) if self.fresh or round_ == 0 else 0
        return float(light * self.contexts + (done - light) * self.self_edits)


def plan(domain: Domain[Any], reward: RewardModel, config: OuterLoopConfig, cases: Sequence[Case[Any]]) -> Plan:
    """Counts of a run whose rounds look at as many contexts, with as many questions, as these cases of the first."""
    rounds = config.rounds + config.measure_last
    guard = domain.guard(config.guard, config.seed)
    guarding = sum(len(context.questions) for context in guard)
    asked = sum(len(case.selecting) + len(case.reporting) + guarding for case in cases)
    alone = (rounds if config.fresh_contexts else 1) * (config.seeds + 1)  # 1: the base model
    edited = rounds * (config.edits * config.seeds + 1)
    return Plan(
        rounds=rounds,
        learning=config.rounds,
        contexts=len(cases),
        self_edits=len(cases) * config.edits,
        chunks=-(-len(cases) // config.contexts_per_unit),
        trains=reward.trains,
        seeds=config.seeds,
        fresh=config.fresh_contexts,
        questions=asked * (alone + edited) if reward.trains else 0,
        rows=len(cases) * min(config.keep, config.edits),
    )


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds, measured here: to write a self-edit, to train and ask an adapter (or judge a text), to learn a row.

    `written` and `tried` say how many were done side by side in the measurement; `spent` is what it took in all.
    """

    self_edit: float
    trial: float
    row: float
    written: int
    tried: int
    spent: float

    def expected(self, plan: Plan, config: OuterLoopConfig) -> float:
        """Seconds of the whole run on one worker."""
        edits = plan.rounds * plan.self_edits
        tried = plan.adapters if plan.trains else edits
        learnt = plan.learning * plan.rows * config.policy.epochs
        return edits * self.self_edit + tried * self.trial + learnt * self.row


def calibrate(
    domain: Domain[Any], reward: RewardModel, config: OuterLoopConfig, worker: Worker, cases: Sequence[Case[Any]]
) -> Pace:
    """Does a little of each stage, then twice as much while that is quick, since larger batches are faster."""
    started = time.perf_counter()
    sample = cases[: config.contexts_per_unit]
    edits: list[tuple[SelfEdit, ...]] = []

    def write(count: int) -> None:
        edits[:] = domain.propose(worker, sample[:count], config.edits, writer=None, seed=config.seed, progress=None)

    contexts, writing = _doubled(write, len(sample))
    written = edits[0]
    tried, trying = _doubled(*_trying(domain, reward, config, worker, sample[0], written))
    once = replace(config.policy, epochs=1)
    rows, learning = _doubled(lambda count: finetune(worker.base, written[:count], once, None), len(written))
    count, spent = contexts * config.edits, time.perf_counter() - started
    return Pace(writing / count, trying / tried, learning / rows, count, tried, spent)


def _trying(
    domain: Domain[Any],
    reward: RewardModel,
    config: OuterLoopConfig,
    worker: Worker,
    case: Case[Any],
    edits: Sequence[SelfEdit],
) -> tuple[Callable[[int], object], int]:
    """What tries some of a case's self-edits, and how many there are to try: adapters, or texts to be judged."""
    if not reward.trains:
        return lambda count: reward.score([Judged(case, Trial(edit, 0)) for edit in edits[:count]]), len(edits)
    if reward.samples:
        (own,) = domain.own_questions(worker, [case], config.seed)
        case = replace(case, own=own)
    trials = [Trial(edit, seed) for edit in edits for seed in range(config.seeds)]
    guard = domain.guard(config.guard, config.seed)
    forgetful = replace(worker, adapters=None)

    def attempt(count: int) -> None:
        cases = (replace(case, trials=tuple(trials[:count])),)
        domain.evaluate(Unit(worker.base.identity, cases, config.inner_loop, guard, reward.samples), forgetful)

    return attempt, len(trials)


def _doubled(do: Callable[[int], object], limit: int) -> tuple[int, float]:
    """Do one, two, four … up to `limit`, until it took long enough; the last number, and its seconds."""
    count = 1
    while True:
        started = time.perf_counter()
        do(count)
        seconds = time.perf_counter() - started
        if count == limit or seconds > PATIENCE:
            return count, seconds
        count = min(2 * count, limit)
