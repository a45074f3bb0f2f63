"""What a run of `seal bench` will do, checked before a model is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from seal_agent.base_model.loading import DEFAULT_MODEL
from seal_agent.config import RECIPES, Recipe, recipe_named
from seal_agent.errors import InputError
from seal_agent.evaluation.asked import arc_tasks, learnt_and_reference, sequences_of
from seal_agent.evaluation.recipe_claims import LEARNS
from seal_agent.evaluation.suites import MODES, Suite, contexts_of, suite_named
from seal_agent.grading.graders import DEFAULT_GRADER
from seal_agent.integrations.lm_eval.arguments import read_arguments
from seal_agent.integrations.lm_eval.bench.changes import Changes, check_changes, check_effect
from seal_agent.recipes.runs import RECIPE as RUN_RECIPE
from seal_agent.recipes.runs import is_run
from seal_agent.self_edits.formats.registry import is_model_written
from seal_agent.types import Context

WORK = "work"
"""Folder below --out with the journals of runs, which `seal bench` resumes from."""
_MODEL_FILES = (".gguf", ".safetensors")


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
    def limit(self) -> int | None:
        """Units that the suite is about; None for all."""
        return self.request.limit or self.suite.limit

    @property
    def learns(self) -> bool:
        return self.recipe.mode in LEARNS

    @property
    def passages(self) -> list[Context]:
        """The passages that are learnt, or asked about where nothing is; none of ARC."""
        if self.suite.kind == "harm":
            return learnt_and_reference(self.contexts, self.limit or 1)[0]
        if self.suite.kind == "continual":
            return list(chain(*sequences_of(self.contexts, self.size, self.limit or 1)))
        return list(self.contexts[: self.size] if self.suite.kind == "speed" else self.contexts)

    @property
    def units(self) -> int:
        """How many of the suite's units are measured."""
        if self.suite.kind == "arc":
            return len(arc_tasks(self.suite, self.request.limit))
        if self.suite.kind == "continual":
            return len(self.passages) // self.size
        return self.limit or 1 if self.suite.kind == "speed" else len(self.passages)

    @property
    def recipe_name(self) -> str:
        """The recipe's name; that of the package's own for a run of `seal train`, whose policy it then uses."""
        name = self.request.recipe
        return RUN_RECIPE if name not in RECIPES and is_run(Path(name).expanduser()) else name

    @property
    def label(self) -> str:
        """The recipe, and what was changed in it."""
        changes = ", ".join(f"{name}={value}" for name, value in self.request.changes.items())
        return f"{self.request.recipe} ({changes})" if changes else self.request.recipe

    @property
    def _stem(self) -> str:
        """Suite, model, recipe, what was changed in it, and everything else that was asked for by name."""
        request = self.request
        name = Path(request.model).name
        model = name.removesuffix(next((end for end in _MODEL_FILES if name.endswith(end)), ""))
        named = (
            (request.grader, DEFAULT_GRADER),
            (request.engine, "hf"),
            (request.dtype, "auto"),
            (request.device, "auto"),
        )
        parts = [Path(request.data).stem] if request.data else []
        parts += [own for own, usual in named if own != usual]
        return self._stem_of(model, Path(request.recipe).name.removesuffix(".toml"), parts)

    def _stem_of(self, model: str, recipe: str, parts: Sequence[str] = ()) -> str:
        request = self.request
        changes = "".join(f"-{name}-{value}" for name, value in sorted(request.changes.items()))
        size = f"-n{self.size}" if len(self.suite.sizes) > 1 else ""
        recipe = request.recipe if request.recipe in RECIPES else recipe
        stem = "-".join([f"{self.suite.name}-{model}-{recipe}{changes}{size}", *parts])
        return "".join(c if c.isalnum() or c in "-_." else "-" for c in stem)

    @property
    def name(self) -> str:
        """The name of the files that the run writes."""
        limit = len(self.contexts) if self.suite.kind == "passages" else self.request.limit
        several = len(self.seeds) > 1 and self.suite.kind != "speed"
        seeds = f"-{len(self.seeds)}seeds" if several else ""
        return f"{self._stem}{f'-{limit}' if limit else ''}{seeds}"

    @property
    def journal_path(self) -> Path:
        """A run with more passages or seeds goes on from one with fewer."""
        return self._journal(self._stem)

    @property
    def earlier_journal_path(self) -> Path:
        """Where older versions kept the journal, under a name that other runs may share."""
        return self._journal(self._stem_of(Path(self.request.model).stem, Path(self.request.recipe).stem))

    def _journal(self, stem: str) -> Path:
        return self.request.out / WORK / stem / "journal.jsonl"

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
    check_changes(request.changes, arc=suite.kind == "arc")
    recipe = _changed(request)
    _check_mode(suite, recipe, request.recipe)
    _check_full(suite, recipe)
    _check_effect(request, suite, recipe)
    size = request.size or suite.sizes[0]
    contexts: list[Context] = []
    if suite.kind != "arc":
        contexts = contexts_of(suite, request.data, _passages_wanted(suite, request.limit, size))
        if suite.kind == "harm":
            learnt_and_reference(contexts, request.limit or suite.limit or 1)
        if suite.kind in ("together", "continual", "speed") and len(contexts) < size:
            raise InputError(f"{suite.name} needs {size} passages, but there are {len(contexts)}; give more, or --size")
    rounds = request.limit or suite.limit or 1
    seeds = tuple(range(rounds if suite.kind == "speed" else request.seeds))
    plan = Plan(request, suite, recipe, tuple(contexts), seeds, size)
    return plan if plan.learns else replace(plan, seeds=(0,))  # nothing is drawn where nothing is learnt


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
    if recipe.mode not in MODES[suite.kind]:
        fit = "base, ttt, random, default or paper" if arc else "one that learns, such as default or paper"
        fit = fit if arc or suite.kind in ("harm", "speed") else "one for passages, such as default"
        raise InputError(f"the recipe {name} ({recipe.mode}) does not fit the suite {suite.name}; use {fit}")


def _check_full(suite: Suite, recipe: Recipe) -> None:
    """Raises InputError for full finetuning where many copies of the model would be trained."""
    if recipe.inner_loop.full and suite.kind != "together":
        raise InputError(f"full finetuning is for squad_cpt, not for {suite.name}; leave full out")
    if recipe.inner_loop.full and recipe.answer.style != "plain":
        raise InputError("after full finetuning there is no adapter whose sentences could be read; use --style plain")


def _check_effect(request: BenchRequest, suite: Suite, recipe: Recipe) -> None:
    """Raises InputError for an option that would change nothing of the run."""
    if request.data and suite.kind == "arc":
        raise InputError(f"{suite.name} has its own puzzles, and no passages; leave --data out")
    if request.limit and suite.kind == "together":
        raise InputError(f"{suite.name} learns as many passages as --size says; give --size in place of --limit")
    if request.size and suite.sizes == (1,):
        raise InputError(f"{suite.name} learns every unit on its own, so that --size changes nothing; leave it out")
    if request.seeds > 1 and suite.kind == "speed":
        raise InputError("every round of speed has a seed of its own; give --limit in place of --seeds")
    _check_notes(request, suite, recipe)
    check_effect(request.changes, recipe.mode, request.engine, arc=suite.kind == "arc")


def _check_notes(request: BenchRequest, suite: Suite, recipe: Recipe) -> None:
    """Raises InputError for --notes where no format is one prompt."""
    if "per_format" not in request.changes:
        return
    if suite.kind == "arc" or recipe.mode != "self_edit" or not any(map(is_model_written, recipe.self_edit.formats)):
        raise InputError(
            "--notes says how often a format that is one prompt is written, and this run has none; leave it out "
            f"of {suite.name} with {request.recipe}, or use a recipe such as implications or spa"
        )


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
        policy=settings.policy,
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
