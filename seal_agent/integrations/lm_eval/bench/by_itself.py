"""Suites without an lm-eval task: sequences of edits, speed, harm."""

from __future__ import annotations

from dataclasses import asdict

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
    """Each round with its own seed. Older journals have the scores of a round alone."""
    rounds = []
    for seed in plan.seeds:
        if str(seed) not in journal:
            journal.add(str(seed), asdict(run_round(contestant, plan.contexts[: plan.size], seed, begin)))
        row = journal[str(seed)]
        rounds.append(row if "scores" in row else {"scores": row, "failures": []})
    titles = [f"round {seed + 1}" for seed in plan.seeds]
    units = tuple(
        Unit(str(seed), title, row["scores"])
        for seed, title, row in zip(plan.seeds, titles, rounds, strict=True)
        if row["scores"]
    )
    failures = [f"{title}: {why}" for title, row in zip(titles, rounds, strict=True) for why in row["failures"]]
    return Measured(units, {"passages_at_once": float(plan.size)}, failures=tuple(failures))
