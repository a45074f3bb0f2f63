"""Runs a suite and writes its results: the one runner behind `seal bench`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from seal_agent.base_model.loading import DEFAULT_MODEL, load_model
from seal_agent.config import RECIPES, Recipe, recipe_named
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
from seal_agent.evaluation.suites import Suite, contexts_of, suite_named
from seal_agent.generation.engines import make_engine
from seal_agent.grading.graders import DEFAULT_GRADER
from seal_agent.integrations.lm_eval.arguments import read_arguments
from seal_agent.integrations.lm_eval.bench import by_itself
from seal_agent.integrations.lm_eval.bench.evaluate import evaluate
from seal_agent.types import Context, content_hash

WORK = "work"
"""Folder below --out with the journals of runs, which `seal bench` resumes from."""
Changes = dict[str, Any]


@dataclass(frozen=True, slots=True)
class BenchRequest:
    """What to run.

    Args:
        changes: Settings that replace the recipe's, named as lm-eval's model arguments.
        size: Passages in one adapter, of suites that learn several.
        tasks: lm-eval tasks that `harm` runs with every adapter, at most `task_limit` documents of each.
        include_path: A folder with lm-eval tasks of one's own.
    """

    suite: str
    out: Path
    model: str = DEFAULT_MODEL
    recipe: str = "default"
    changes: Changes = field(default_factory=dict)
    limit: int | None = None
    seeds: int = 1
    size: int | None = None
    data: str | None = None
    grader: str = DEFAULT_GRADER
    judge_model: str | None = None
    judge_url: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    engine: str = "hf"
    tasks: tuple[str, ...] = ()
    include_path: str | None = None
    task_limit: int | None = None
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """A run before the model is loaded."""

    request: BenchRequest
    suite: Suite
    recipe: Recipe
    contexts: tuple[Context, ...]
    seeds: tuple[int, ...]
    size: int

    @property
    def _stem(self) -> str:
        """Suite, model, recipe and what was changed in it."""
        request = self.request
        changes = "".join(f"-{name}-{value}" for name, value in sorted(request.changes.items()))
        size = f"-n{self.size}" if len(self.suite.sizes) > 1 else ""
        recipe = request.recipe if request.recipe in RECIPES else Path(request.recipe).stem
        stem = f"{self.suite.name}-{Path(request.model).stem}-{recipe}{changes}{size}"
        return "".join(c if c.isalnum() or c in "-_." else "-" for c in stem)

    @property
    def name(self) -> str:
        """The name of the files that the run writes."""
        limit = len(self.contexts) if self.suite.kind == "passages" else self.request.limit
        seeds = f"-{len(self.seeds)}seeds" if len(self.seeds) > 1 else ""
        return f"{self._stem}{f'-{limit}' if limit else ''}{seeds}"

    @property
    def journal_path(self) -> Path:
        """A run with more passages or seeds goes on from one with fewer."""
        return self.request.out / WORK / self._stem / "journal.jsonl"

    @property
    def results_path(self) -> Path:
        return self.request.out / f"{self.name}.json"


def plan_run(request: BenchRequest) -> Plan:
    """Check a request without loading a model. Raises InputError."""
    suite = suite_named(request.suite)
    if request.seeds < 1:
        raise InputError(f"a run needs at least one seed, but --seeds is {request.seeds}")
    if request.tasks and suite.kind != "harm":
        raise InputError(f"--task belongs to the suite harm, not to {suite.name}; leave it out")
    recipe = _changed(request)
    _check_mode(suite, recipe, request.recipe)
    size = request.size or suite.sizes[0]
    contexts: list[Context] = []
    if suite.kind != "arc":
        contexts = contexts_of(suite, request.data, _passages_wanted(suite, request.limit, size))
        if suite.kind in ("together", "continual") and len(contexts) < size:
            raise InputError(f"{suite.name} needs {size} passages, but there are {len(contexts)}; give more, or --size")
    learns = recipe.mode in ("self_edit", "ttt")  # nothing is drawn where nothing is learnt
    seeds = tuple(range(request.seeds)) if learns else (0,)
    return Plan(request, suite, recipe, tuple(contexts), seeds, size)


def _passages_wanted(suite: Suite, limit: int | None, size: int) -> int | None:
    if suite.kind == "passages":
        return limit or suite.limit
    if suite.kind == "together":
        return size
    if suite.kind == "continual":
        return size * (limit or suite.limit or 1)
    return None


def _check_mode(suite: Suite, recipe: Recipe, name: str) -> None:
    arc = suite.kind == "arc"
    allowed = {"arc": ("base", "ttt", "self_edit"), "harm": ("self_edit",), "speed": ("self_edit",)}.get(
        suite.kind, ("base", "in_context", "retrieval", "self_edit")
    )
    if recipe.mode not in allowed:
        fit = "base, ttt, default or paper" if arc else "one that learns, such as default or paper"
        fit = fit if arc or suite.kind in ("harm", "speed") else "one for passages, such as default"
        raise InputError(f"the recipe {name} ({recipe.mode}) does not fit the suite {suite.name}; use {fit}")


def _changed(request: BenchRequest) -> Recipe:
    """The recipe with the request's changes. Raises InputError."""
    recipe = recipe_named(request.recipe)
    settings = read_arguments(lm_eval_arguments(request, recipe))
    return replace(
        recipe,
        self_edit=settings.self_edit,
        inner_loop=settings.inner_loop,
        answer=settings.answer,
        arc_inner_loop=settings.arc_inner_loop,
    )


def lm_eval_arguments(request: BenchRequest, recipe: Recipe) -> dict[str, Any]:
    """The request as lm-eval's model arguments."""
    return {
        "recipe": request.recipe,
        "least_confidence": recipe.answer.least_confidence,
        "device": request.device,
        "dtype": request.dtype,
        "engine": request.engine,
        "grader": request.grader,
        "judge_model": request.judge_model,
        "judge_url": request.judge_url,
        **({"limit_contexts": request.limit} if request.limit and suite_named(request.suite).kind == "arc" else {}),
        **request.changes,
    }


# ---------------------------------------------------------------- running


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


def load_contestant(plan: Plan) -> Contestant:
    """The model under test. Raises ModelError."""
    request = plan.request
    base = load_model(request.model, device=request.device, dtype=request.dtype)
    settings = read_arguments(lm_eval_arguments(request, plan.recipe))
    engine = make_engine(base, request.engine, settings.vllm)
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
        "recipe": asdict(plan.recipe),
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
    return Setting(
        plan.suite,
        model_facts(contestant.base, request.engine),
        recipe_facts(request.recipe, plan.recipe, request.changes),
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
