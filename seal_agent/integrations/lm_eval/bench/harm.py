"""The suite of what else changes: each passage is kept as it is measured."""

from __future__ import annotations

from dataclasses import asdict
from itertools import product
from typing import Any

from seal_agent.evaluation.asked import learnt_and_reference
from seal_agent.evaluation.assemble import Measured
from seal_agent.evaluation.contestant import BeginStage, Contestant
from seal_agent.evaluation.harm import BASE_UNIT, Surroundings, harm_of, harm_scores, survey
from seal_agent.evaluation.journal import Journal
from seal_agent.evaluation.passages import unit_id
from seal_agent.evaluation.results import Unit
from seal_agent.evaluation.samples import Sample
from seal_agent.evaluation.scoring import mean_scores
from seal_agent.grading.grader import Grader
from seal_agent.integrations.lm_eval.bench.kept import graded_samples, samples_of
from seal_agent.integrations.lm_eval.bench.other_tasks import OtherTasks, before_and_after
from seal_agent.integrations.lm_eval.bench.plan import Plan
from seal_agent.integrations.lm_eval.bench.seen import Seen
from seal_agent.types import Context


def run_harm(
    contestant: Contestant, plan: Plan, journal: Journal, grader: Grader, seen: Seen, begin: BeginStage
) -> tuple[Measured, list[Sample]]:
    """Measure what the plan learns; what the journal has is not measured again."""
    learnt_contexts, reference = learnt_and_reference(plan.contexts, plan.limit or 1)
    keys = [f"{seed}:{unit_id(context)}" for seed in plan.seeds for context in learnt_contexts]
    if any(key not in journal for key in keys):
        tasks = _other_tasks(contestant, plan)
        around, before = _around(contestant, reference, tasks, journal, grader, begin)
        for seed, context in product(plan.seeds, learnt_contexts):
            key = f"{seed}:{unit_id(context)}"
            if key not in journal:
                (learnt,) = contestant.learn([context], seed, begin)
                row: dict[str, Any] = {"scores": {}, "samples": [], "failure": learnt.failure}
                if not learnt.failure:
                    ratio, samples = harm_of(contestant, context, learnt, seed, around, reference, grader, begin)
                    row["scores"] = {"perplexity_ratio": ratio}
                    row["samples"] = [asdict(sample) for sample in samples]
                if tasks and learnt.adapter:
                    row["scores"] |= before_and_after(before, tasks.scores(learnt.adapter))
                journal.add(key, row)
    answers = [sample for key in (BASE_UNIT, *keys) for sample in graded_samples(key, journal, grader)]
    shares = harm_scores(answers)
    units, failures = [], []
    for context in learnt_contexts:
        unit = unit_id(context)
        rows = {seed: journal[f"{seed}:{unit}"] for seed in plan.seeds}
        failures += [f"{context.title}: {row['failure']}" for row in rows.values() if row["failure"]]
        scores = [row["scores"] | shares[unit][seed] for seed, row in rows.items() if not row["failure"]]
        if scores:
            units.append(Unit(unit, context.title, mean_scores(scores), seen(context)))
    return Measured(tuple(units), {}, failures=tuple(failures)), answers


def _around(
    contestant: Contestant,
    reference: list[Context],
    tasks: OtherTasks | None,
    journal: Journal,
    grader: Grader,
    begin: BeginStage,
) -> tuple[Surroundings, dict[str, float]]:
    """What the base model makes of everything that must not change, and its figures in other tasks; asked once."""
    if BASE_UNIT not in journal:
        around = survey(contestant, reference, grader, begin)
        before = tasks.scores(None) if tasks else {}
        samples = [asdict(sample) for sample in around.samples]
        journal.add(BASE_UNIT, {"perplexity": around.perplexity, "samples": samples, "tasks": before})
    value = journal[BASE_UNIT]
    return Surroundings.of(reference, value["perplexity"], samples_of(value)), value["tasks"]


def _other_tasks(contestant: Contestant, plan: Plan) -> OtherTasks | None:
    request = plan.request
    if not request.tasks:
        return None
    return OtherTasks(contestant.base, request.tasks, request.include_path, request.task_limit)
