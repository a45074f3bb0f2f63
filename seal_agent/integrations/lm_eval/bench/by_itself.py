"""Suites without an lm-eval task: sequences of edits, speed, harm."""

from __future__ import annotations

from seal_agent.evaluation.assemble import Measured
from seal_agent.evaluation.contestant import BeginStage, Contestant
from seal_agent.evaluation.journal import Journal
from seal_agent.evaluation.results import Unit
from seal_agent.evaluation.samples import Sample
from seal_agent.evaluation.speed import run_round
from seal_agent.evaluation.verdicts import VERDICTS_FILE
from seal_agent.grading.graders import make_grader
from seal_agent.integrations.lm_eval.bench.harm import run_harm
from seal_agent.integrations.lm_eval.bench.in_a_row import run_in_a_row
from seal_agent.integrations.lm_eval.bench.plan import Plan
from seal_agent.integrations.lm_eval.bench.seen import Seen


def run(
    contestant: Contestant, plan: Plan, journal: Journal, seen: Seen, begin: BeginStage
) -> tuple[Measured, list[Sample]]:
    """Measure the suite; what the journal has is not measured again."""
    if plan.suite.kind == "speed":
        return _speed(contestant, plan, journal, begin), []
    request = plan.request
    grader = make_grader(
        request.grader,
        engine=contestant.engine,
        judge_model=request.judge_model,
        judge_url=request.judge_url,
        cache=journal.path.with_name(VERDICTS_FILE),
    )
    of_kind = {"continual": run_in_a_row, "harm": run_harm}[plan.suite.kind]
    return of_kind(contestant, plan, journal, grader, seen, begin)


def _speed(contestant: Contestant, plan: Plan, journal: Journal, begin: BeginStage) -> Measured:
    rows = []
    for number in range(plan.limit or 1):
        if str(number) not in journal:
            journal.add(str(number), run_round(contestant, plan.contexts[: plan.size], number, begin))
        rows.append(journal[str(number)])
    units = tuple(Unit(str(number), f"round {number + 1}", row) for number, row in enumerate(rows))
    return Measured(units, {"passages_at_once": float(plan.size)})
