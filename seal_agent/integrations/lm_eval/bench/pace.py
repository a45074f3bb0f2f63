"""How long a run would take: one passage or task is tried, in the run's own mode."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import cast

from seal_agent.arc.data import load_split
from seal_agent.arc.self_edits import Mode, trials_for
from seal_agent.arc.solve import solve
from seal_agent.config import ArcConfig
from seal_agent.evaluation.contestant import BeginStage, Contestant
from seal_agent.integrations.lm_eval.bench.plan import Plan
from seal_agent.integrations.lm_eval.bench.run import load_contestant

ARC_SPLITS = {"arc_toy": "toy", "arc_paper": "paper-eval"}


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds that one took, and how many there are."""

    seconds_each: float
    left: int

    @property
    def seconds(self) -> float:
        return self.seconds_each * self.left


def expected_time(plan: Plan, begin: BeginStage, contestant: Contestant | None = None) -> Pace:
    """Try one, alone: batches are faster, so this is an upper bound where passages are learnt together."""
    contestant = contestant or load_contestant(plan)
    started = time.perf_counter()
    if plan.suite.kind == "arc":
        tasks = load_split(ARC_SPLITS[plan.suite.name])[: plan.request.limit]
        mode = cast(Mode, plan.recipe.mode)
        trials = trials_for(contestant.engine, contestant.base, tasks[:1], mode, ArcConfig(), seed=0)
        solve(contestant.engine, contestant.base, trials, ArcConfig(), plan.recipe.arc_inner_loop, begin)
        return Pace(time.perf_counter() - started, len(tasks) * len(plan.seeds))
    contestant.measure(plan.contexts[:1], plan.seeds[0], begin)
    return Pace(time.perf_counter() - started, _passages(plan) * len(plan.seeds))


def _passages(plan: Plan) -> int:
    """Passages that are learnt, per seed."""
    limit = plan.request.limit or plan.suite.limit or 1
    counts = {"harm": min(limit, len(plan.contexts)), "speed": limit * plan.size}
    return counts.get(plan.suite.kind, len(plan.contexts))
