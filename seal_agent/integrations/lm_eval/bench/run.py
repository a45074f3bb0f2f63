"""Runs a suite and writes its results: the one runner behind `seal bench`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from seal_agent.base_model.loading import load_model
from seal_agent.config import recorded_settings
from seal_agent.errors import InputError
from seal_agent.evaluation.asked import (
    arc_hash,
    arc_prompt_hash,
    arc_tasks,
    harm_hash,
    learnt_and_reference,
    questions_in,
    sequences_hash,
    sequences_of,
)
from seal_agent.evaluation.assemble import (
    Measured,
    Setting,
    assemble,
    cost_figures,
    model_facts,
    process_facts,
    recipe_facts,
    run_facts,
)
from seal_agent.evaluation.contestant import BeginStage, Contestant, prompt_hash
from seal_agent.evaluation.journal import Facts, Journal, goes_on
from seal_agent.evaluation.passages import data_hash, unit_id
from seal_agent.evaluation.rescoring import EXACT_GRADER
from seal_agent.evaluation.results import DataFacts, Results, SamplesFile, Unit, write_results
from seal_agent.evaluation.samples import SUFFIX, Sample, unanswered, write_samples
from seal_agent.evaluation.scoring import unit_scores
from seal_agent.evaluation.suites import BUNDLED, contexts_of
from seal_agent.evaluation.verdicts import grader_name
from seal_agent.generation.engines import make_engine
from seal_agent.integrations.lm_eval.arguments import read_arguments
from seal_agent.integrations.lm_eval.bench import by_itself
from seal_agent.integrations.lm_eval.bench.evaluate import evaluate
from seal_agent.integrations.lm_eval.bench.plan import Plan, lm_eval_arguments
from seal_agent.integrations.lm_eval.bench.seen import Seen, seen_by
from seal_agent.outer_loop.policy import policy_hash
from seal_agent.types import Context


def run_suite(plan: Plan, begin: BeginStage, contestant: Contestant | None = None) -> tuple[Path, Results]:
    """Run a suite, or go on with it, and write results and samples. Returns the path of the results."""
    contestant = contestant or load_contestant(plan)
    facts = process_facts(contestant.base, plan.request.engine)
    setting = _setting(plan, contestant)
    journal = open_journal(plan, contestant, facts)
    seen = seen_by(plan.recipe)
    if plan.suite.task:
        measured, samples = _run_task(plan, contestant, journal, seen)
    else:
        measured, samples = by_itself.run(contestant, plan, journal, seen, begin)
    questions = questions_in(samples, shared=plan.suite.kind == "harm")
    data = replace(setting.data, units=len(measured.units), questions=questions)
    setting = replace(setting, data=replace(data, seen=sum(unit.seen for unit in measured.units)))
    stored = _store(samples, plan.results_path) if samples else None
    results = assemble(setting, measured, run_facts(facts, journal.makers, journal.seconds), stored)
    if setting.suite.primary not in results.measures:
        reasons = "; ".join(dict.fromkeys(results.failures)) or "no answer could be graded"
        raise InputError(f"nothing was measured: {reasons}")
    write_results(results, plan.results_path)
    return plan.results_path, results


def load_contestant(plan: Plan, like: Contestant | None = None) -> Contestant:
    """The model under test, loaded or that of another contestant. Raises ModelError."""
    request = plan.request
    base = like.base if like else load_model(request.model, device=request.device, dtype=request.dtype)
    settings = read_arguments(lm_eval_arguments(request, plan.recipe))
    engine = like.engine if like else make_engine(base, request.engine, settings.vllm)
    return Contestant(base, engine, plan.recipe, corpus=_corpus(plan), together=plan.suite.kind == "together")


def _corpus(plan: Plan) -> list[Context]:
    """Where `retrieval` searches: all passages of the suite, of which a limited run asks about the first ones.

    Of suites that learn several passages together, those that are learnt.
    """
    if plan.suite.kind == "passages":
        return contexts_of(plan.suite, plan.request.data, None)
    return list(plan.contexts)


def open_journal(plan: Plan, contestant: Contestant, facts: Facts) -> Journal:
    """The run's journal. Raises InputError where it was begun with other settings, or on other hardware."""
    path, settings = journal_of(plan, contestant, facts)
    return Journal(path, settings, facts=facts)


def journal_of(plan: Plan, contestant: Contestant, facts: Facts) -> tuple[Path, dict[str, Any]]:
    """Where the run's journal lies, or will lie, and the settings that it must have."""
    request, kind = plan.request, plan.suite.kind
    settings: dict[str, Any] = {
        "suite": plan.suite.name,
        "model": contestant.base.identity,
        "recipe": recorded_settings(asdict(replace(plan.recipe, policy=policy_hash(plan.recipe.policy)))),
        "searched": data_hash(contestant.corpus) if plan.recipe.mode == "retrieval" else "",
        "together": data_hash(plan.contexts) if kind in ("together", "speed", "harm") else "",
        "size": plan.size,
        "grader": request.grader,
        "tasks": [*request.tasks, request.task_limit],
    }
    if kind == "harm":
        settings["reference"] = data_hash(learnt_and_reference(plan.contexts, plan.limit or 1)[1])
    if request.judge_model or request.judge_url:
        settings["judge"] = [request.judge_model, request.judge_url]
    path, earlier = plan.journal_path, plan.earlier_journal_path
    return earlier if not path.exists() and goes_on(earlier, settings, facts) else path, settings


def _setting(plan: Plan, contestant: Contestant) -> Setting:
    request = plan.request
    data = DataFacts(_data_name(plan), _hash(plan), len(plan.contexts), 0, 0)
    identity = contestant.base.identity
    grader = grader_name(request.grader, identity, request.judge_model, request.judge_url)
    if plan.suite.kind == "arc":
        grader = EXACT_GRADER
    name, changes = plan.recipe_name, dict(request.changes)
    if name != request.recipe:
        changes |= {"policy": policy_hash(plan.recipe.policy)[:8]}
    return Setting(
        plan.suite,
        model_facts(contestant.base, request.engine),
        recipe_facts(name, plan.recipe, changes, contestant.corpus if plan.recipe.mode == "retrieval" else None),
        plan.seeds,
        data,
        grader,
        prompt_hash(plan.recipe.answer.max_tokens)
        if plan.suite.kind != "arc"
        else arc_prompt_hash(read_arguments(lm_eval_arguments(request, plan.recipe)).arc.style),
    )


def _hash(plan: Plan) -> str:
    """What says that two runs asked the same."""
    if plan.suite.kind == "arc":
        return arc_hash(arc_tasks(plan.suite, plan.request.limit))
    if plan.suite.kind == "continual":
        return sequences_hash(sequences_of(plan.contexts, plan.size, plan.limit or 1))
    if plan.suite.kind == "harm":
        return harm_hash(*learnt_and_reference(plan.contexts, plan.limit or 1))
    return data_hash(plan.contexts[: plan.size] if plan.suite.kind == "speed" else plan.contexts)


def _data_name(plan: Plan) -> str:
    if plan.request.data:
        return Path(plan.request.data).name
    return plan.suite.task or BUNDLED


def _run_task(plan: Plan, contestant: Contestant, journal: Journal, seen: Seen) -> tuple[Measured, list[Sample]]:
    arguments = lm_eval_arguments(plan.request, plan.recipe)
    run = evaluate(plan.suite, contestant, plan.contexts, plan.seeds, journal, arguments, quiet=plan.request.quiet)
    arc = plan.suite.kind == "arc"
    scores = unit_scores(run.samples, arc=arc)
    of_unit = {unit_id(context): context for context in plan.contexts}
    units = tuple(
        Unit(unit, of_unit[unit].title, found, seen(of_unit[unit])) if unit in of_unit else Unit(unit, unit, found)
        for unit, found in scores.items()
        if found
    )
    passages = plan.size if plan.suite.kind == "together" else 1
    figures = _arc_figures(journal, len(scores) * len(plan.seeds)) if arc else cost_figures(run.records, passages)
    if plan.recipe.mode == "retrieval":
        figures["passages_searched"] = float(len(contestant.corpus))
    failures = [f"{record.title}: {record.failure}" for record in run.records if record.failure]
    if arc:
        failures = list(dict.fromkeys(f"{s.unit}: {reason}" for s in run.samples if (reason := unanswered(s))))
    return Measured(units, figures, failures=tuple(failures), lm_eval=run.facts), list(run.samples)


def _arc_figures(journal: Journal, tasks: int) -> dict[str, float]:
    return {} if journal.seconds is None else {"seconds_per_task": journal.seconds / max(1, tasks)}


def _store(samples: Sequence[Sample], results_path: Path) -> SamplesFile:
    path = results_path.with_name(results_path.stem + SUFFIX)
    return SamplesFile(path.name, write_samples(samples, path), len(samples))
