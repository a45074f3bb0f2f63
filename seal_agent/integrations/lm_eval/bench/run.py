"""Runs a suite and writes its results: the one runner behind `seal bench`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from seal_agent.base_model.loading import load_model
from seal_agent.config import recorded_settings
from seal_agent.errors import InputError
from seal_agent.evaluation.assemble import (
    Measured,
    Setting,
    Stopwatch,
    assemble,
    cost_figures,
    model_facts,
    recipe_facts,
    run_facts,
)
from seal_agent.evaluation.contestant import BeginStage, Contestant, prompt_hash
from seal_agent.evaluation.files import Journal
from seal_agent.evaluation.passages import data_hash, is_seen, unit_id
from seal_agent.evaluation.results import DataFacts, Results, SamplesFile, Unit, write_results
from seal_agent.evaluation.samples import SUFFIX, Sample, write_samples
from seal_agent.evaluation.scoring import unit_scores
from seal_agent.evaluation.suites import contexts_of
from seal_agent.generation.engines import make_engine
from seal_agent.integrations.lm_eval.arguments import read_arguments
from seal_agent.integrations.lm_eval.bench import by_itself
from seal_agent.integrations.lm_eval.bench.evaluate import evaluate
from seal_agent.integrations.lm_eval.bench.plan import Plan, lm_eval_arguments
from seal_agent.outer_loop.policy import policy_hash
from seal_agent.recipes.runs import RECIPE as RUN_RECIPE
from seal_agent.types import Context, content_hash


def run_suite(plan: Plan, begin: BeginStage, contestant: Contestant | None = None) -> tuple[Path, Results]:
    """Run a suite, or go on with it, and write results and samples. Returns the path of the results."""
    watch = Stopwatch()
    contestant = contestant or load_contestant(plan)
    setting = _setting(plan, contestant)
    journal = open_journal(plan, contestant)
    if plan.suite.task:
        measured, samples = _run_task(plan, contestant, journal)
    else:
        measured, samples = by_itself.run(plan.suite, contestant, plan, journal, begin)
    data = replace(setting.data, units=len(measured.units), questions=_questions(plan, samples))
    setting = replace(setting, data=replace(data, seen=sum(unit.seen for unit in measured.units)))
    stored = _store(samples, plan.results_path) if samples else None
    results = assemble(setting, measured, run_facts(watch), stored)
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


def open_journal(plan: Plan, contestant: Contestant) -> Journal:
    """The run's journal. Raises InputError where it was begun with other settings."""
    settings = {
        "suite": plan.suite.name,
        "model": contestant.base.identity,
        "recipe": recorded_settings(asdict(replace(plan.recipe, policy=policy_hash(plan.recipe.policy)))),
        "searched": data_hash(contestant.corpus) if plan.recipe.mode == "retrieval" else "",
        "together": data_hash(plan.contexts) if plan.suite.kind in ("together", "speed", "harm") else "",
        "size": plan.size,
        "grader": plan.request.grader,
        "tasks": [*plan.request.tasks, plan.request.task_limit],
    }
    return Journal(plan.journal_path, settings)


def _setting(plan: Plan, contestant: Contestant) -> Setting:
    request = plan.request
    data = DataFacts(_data_name(plan), data_hash(plan.contexts), len(plan.contexts), 0, 0)
    if plan.suite.kind == "arc":
        data = replace(data, hash=content_hash([plan.suite.task, request.limit]))
    grader = request.grader if not request.judge_model else f"{request.grader}: {request.judge_model}"
    if plan.suite.kind == "arc":
        grader = "exact match"
    name, changes = request.recipe, dict(request.changes)
    if Path(name).is_dir():  # a run of `seal train`
        name, changes = RUN_RECIPE, {**changes, "policy": policy_hash(plan.recipe.policy)[:8]}
    return Setting(
        plan.suite,
        model_facts(contestant.base, request.engine),
        recipe_facts(name, plan.recipe, changes),
        plan.seeds,
        data,
        grader,
        prompt_hash(plan.recipe.answer.max_tokens) if plan.suite.kind != "arc" else content_hash("arc"),
    )


def _data_name(plan: Plan) -> str:
    if plan.request.data:
        return Path(plan.request.data).name
    return plan.suite.task or "seal_novel"


def _run_task(plan: Plan, contestant: Contestant, journal: Journal) -> tuple[Measured, list[Sample]]:
    arguments = lm_eval_arguments(plan.request, plan.recipe)
    started = time.perf_counter()
    run = evaluate(plan.suite, contestant, plan.contexts, plan.seeds, journal, arguments, quiet=plan.request.quiet)
    seconds = time.perf_counter() - started
    arc = plan.suite.kind == "arc"
    scores = unit_scores(run.samples, arc=arc)
    titles = {unit_id(context): context for context in plan.contexts}
    units = tuple(
        Unit(unit, titles[unit].title if unit in titles else unit, of_unit, _seen(plan, titles.get(unit)))
        for unit, of_unit in scores.items()
        if of_unit
    )
    figures = {"seconds_per_task": seconds / max(1, len(scores))} if arc else cost_figures(run.records)
    if plan.recipe.mode == "retrieval":
        figures["passages_searched"] = float(len(contestant.corpus))
    failures = tuple(f"{record.title}: {record.failure}" for record in run.records if record.failure)
    return Measured(units, figures, failures=failures, lm_eval=run.facts), list(run.samples)


def _seen(plan: Plan, context: Context | None) -> bool:
    return plan.recipe.searched and context is not None and is_seen(context)


def _questions(plan: Plan, samples: Sequence[Sample]) -> int:
    return len({(sample.unit, sample.passage, sample.question) for sample in samples})


def _store(samples: Sequence[Sample], results_path: Path) -> SamplesFile:
    path = results_path.with_name(results_path.stem + SUFFIX)
    return SamplesFile(path.name, write_samples(samples, path), len(samples))
