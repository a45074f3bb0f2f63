"""What a run will do, counted before it begins, and a forecast of its duration on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from seal_agent.config import OuterLoopConfig
from seal_agent.outer_loop.domains.domain import Domain
from seal_agent.outer_loop.policy import finetune
from seal_agent.outer_loop.rewards.reward import RewardInput, RewardModel
from seal_agent.outer_loop.units import Case, Trial, Unit, Worker
from seal_agent.types import SelfEdit

ENOUGH_SECONDS = 6.0  # a measurement that took longer is not repeated with twice as much work; not tuned


@dataclass(frozen=True, slots=True)
class Plan:
    """Counts of a run.

    `rounds` includes the round that only measures; `learning` counts those that finetune the policy. `contexts`,
    `self_edits` and `chunks` are per round. A chunk is a batch of contexts whose self-edits are written together. It is
    evaluated as two units: adapters on the contexts alone, and adapters on self-edits. Where every round has the same
    contexts (`fresh` is False), the contexts alone are evaluated in the first round only.
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
    """Asked of adapters and base model in the whole run, guard set included; the model's own questions are not."""
    rows: int
    """Self-edits that the policy learns from in a round, at most."""

    @property
    def adapters(self) -> int:
        """Adapters trained in the whole run."""
        alone = self.contexts * (self.rounds if self.fresh else 1)
        return self.seeds * (alone + self.rounds * self.self_edits) if self.trains else 0

    @property
    def units(self) -> int:
        """Units evaluated in the whole run."""
        return sum(self.pieces(round_).get("evaluate", 0) for round_ in range(self.rounds))

    def pieces(self, round_: int) -> dict[str, int]:
        """Pieces of work per stage of a round, as the ledger will hold them, in the order of the stages."""
        units = self.chunks * (2 if self.fresh or round_ == 0 else 1)
        return {
            "propose": self.chunks,
            **({"evaluate": units} if self.trains else {"judge": self.contexts}),
            **({"finetune": 1} if round_ < self.learning else {}),
            "round": 1,
        }

    def work(self, stage: str, done: int, round_: int = 0) -> float:
        """Work in the first `done` pieces of a stage, for a forecast of the time left.

        A unit of contexts alone weighs `contexts`, a unit of self-edits `self_edits`; the former come first.
        """
        if stage != "evaluate":
            return float(done)
        light = min(done, self.chunks) if self.fresh or round_ == 0 else 0
        return float(light * self.contexts + (done - light) * self.self_edits)


def plan(domain: Domain[Any], reward: RewardModel, config: OuterLoopConfig, cases: Sequence[Case[Any]]) -> Plan:
    """Counts of a run. Every round is taken to have as many contexts and questions as `cases`, those of the first."""
    rounds = config.rounds + config.measure_last
    guard = domain.guard(config.guard, config.seed)
    guard_questions = sum(len(context.questions) for context in guard)
    questions = sum(len(case.selecting) + len(case.reporting) + guard_questions for case in cases)
    alone = (rounds if config.fresh_contexts else 1) * (config.seeds + 1)  # 1: the base model
    with_edits = rounds * (config.edits * config.seeds + 1)
    return Plan(
        rounds=rounds,
        learning=config.rounds,
        contexts=len(cases),
        self_edits=len(cases) * config.edits,
        chunks=-(-len(cases) // config.contexts_per_unit),
        trains=reward.trains,
        seeds=config.seeds,
        fresh=config.fresh_contexts,
        questions=questions * (alone + with_edits) if reward.trains else 0,
        rows=len(cases) * min(config.keep, config.edits),
    )


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds measured on this machine: per self-edit written, per trial, and per row and epoch of finetuning.

    A trial trains and questions one adapter, or judges one text. `written` and `tried` say how many
    the measurement did side by side; `spent` is its whole duration in seconds.
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
        trials = plan.adapters if plan.trains else edits
        rows = plan.learning * plan.rows * config.policy.epochs
        return edits * self.self_edit + trials * self.trial + rows * self.row


def calibrate(
    domain: Domain[Any], reward: RewardModel, config: OuterLoopConfig, worker: Worker, cases: Sequence[Case[Any]]
) -> Pace:
    """Measure each stage on a little work, then on twice as much while that is quick: larger batches are faster."""
    started = time.perf_counter()
    sample = cases[: config.contexts_per_unit]
    proposed: list[tuple[SelfEdit, ...]] = []

    def propose(count: int) -> None:
        proposed[:] = domain.propose(worker, sample[:count], config.edits, writer=None, seed=config.seed, progress=None)

    contexts, proposing = _time_doubling(propose, len(sample))
    edits = proposed[0]
    trials, trying = _time_doubling(*_trial_work(domain, reward, config, worker, sample[0], edits))
    one_epoch = replace(config.policy, epochs=1)
    rows, finetuning = _time_doubling(lambda count: finetune(worker.base, edits[:count], one_epoch, None), len(edits))
    written, spent = contexts * config.edits, time.perf_counter() - started
    return Pace(proposing / written, trying / trials, finetuning / rows, written, trials, spent)


def _trial_work(
    domain: Domain[Any],
    reward: RewardModel,
    config: OuterLoopConfig,
    worker: Worker,
    case: Case[Any],
    edits: Sequence[SelfEdit],
) -> tuple[Callable[[int], object], int]:
    """A function that tries the first so many of a case's trials, and their number: adapters, or texts to judge."""
    if not reward.trains:
        return lambda count: reward.score([RewardInput(case, Trial(edit, 0)) for edit in edits[:count]]), len(edits)
    if reward.samples:
        (own,) = domain.own_questions(worker, [case], config.seed)
        case = replace(case, own=own)
    trials = [Trial(edit, seed) for edit in edits for seed in range(config.seeds)]
    guard = domain.guard(config.guard, config.seed)
    without_saving = replace(worker, adapters=None)

    def evaluate(count: int) -> None:
        cases = (replace(case, trials=tuple(trials[:count])),)
        domain.evaluate(Unit(worker.base.identity, cases, config.inner_loop, guard, reward.samples), without_saving)

    return evaluate, len(trials)


def _time_doubling(do: Callable[[int], object], limit: int) -> tuple[int, float]:
    """Do 1, 2, 4 … up to `limit` until one run takes ENOUGH_SECONDS; returns the last number and its seconds."""
    count = 1
    while True:
        started = time.perf_counter()
        do(count)
        seconds = time.perf_counter() - started
        if count == limit or seconds > ENOUGH_SECONDS:
            return count, seconds
        count = min(2 * count, limit)
