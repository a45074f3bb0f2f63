"""A whole run of `seal tune`: the archive grows, the winner is confirmed, a recipe and a report are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from seal_agent.base_model.model import BaseModel
from seal_agent.config import RECIPES, Recipe, TuneConfig, recipe_named, recorded_settings
from seal_agent.errors import InputError, TrainingError
from seal_agent.grading.graders import DEFAULT_GRADER
from seal_agent.outer_loop.archive.run import Run
from seal_agent.outer_loop.executors.executor import Executor
from seal_agent.outer_loop.tuning.archive import Archive, Candidate
from seal_agent.outer_loop.tuning.budget import MinutesOrSteps
from seal_agent.outer_loop.tuning.confirm import CONFIRMING, REFERENCES, Confirmation, confirm
from seal_agent.outer_loop.tuning.files import write_archive, write_recipe, write_recipes
from seal_agent.outer_loop.tuning.laboratory import RunLaboratory, TuneProgress, no_progress
from seal_agent.outer_loop.tuning.passages import Split
from seal_agent.outer_loop.tuning.report import SecondsOf, front, write_report
from seal_agent.outer_loop.tuning.search import best, best_rival, search
from seal_agent.outer_loop.tuning.stages import passage_id
from seal_agent.outer_loop.units import Worker
from seal_agent.types import content_hash

MINUTE = 60.0
LEDGER_FORM = "by recipe and passage"
"""How the ledger is divided. A run whose ledger has another form cannot go on, and its manifest says so."""


@dataclass(frozen=True, slots=True)
class Budget:
    """When the search ends: after so many minutes of work, confirming included, or after so many steps."""

    minutes: float | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        if self.minutes is None and self.steps is None:
            raise InputError("tuning needs an end: give a budget in minutes or a number of steps")


@dataclass(frozen=True, slots=True)
class TuneOutcome:
    """The result of a run. `recipe` is the file of the recipe that it ends with; the run's folder stands for it too.

    `recipes` is the folder of the winner's and of all that nothing beats.
    """

    archive: Archive
    confirmation: Confirmation
    recipe: Path
    recipes: Path
    markdown: Path
    html: Path
    digest: str


def named_candidates(names: Sequence[str] = ()) -> list[Candidate]:
    """The default and the recipes with these names or paths; without any, all of the package that write notes.

    Recipes with the same settings count once. Raises InputError for one that cannot be tuned.
    """
    wanted = names or [name for name, recipe in RECIPES.items() if not _why_not(recipe)]
    found: dict[str, Candidate] = {}
    for name in (REFERENCES[0], *(name for name in REFERENCES[1:] if name in wanted), *wanted):
        recipe = recipe_named(name)
        if why := _why_not(recipe):
            raise InputError(
                f"the recipe {name} {why}, so it cannot be tuned; use one that writes notes, such as paper"
            )
        candidate = Candidate.named(name, replace(recipe, inner_loop=replace(recipe.inner_loop, seed=0)))
        found.setdefault(candidate.id, candidate)
    return list(found.values())


def searched_for(roots: Sequence[Candidate]) -> tuple[str, ...]:
    """Ids of the passages that chose the recipes which an archive begins with, such as those of other runs."""
    ids = (root.recipe.searched for root in roots if isinstance(root.recipe.searched, tuple))
    return tuple(dict.fromkeys(chain.from_iterable(ids)))


def _why_not(recipe: Recipe) -> str:
    """Why a recipe cannot be tuned; "" where it can."""
    if recipe.mode != "self_edit":
        return "learns nothing"
    if recipe.policy:
        return "has a policy that writes the notes"
    return "trains all weights" if recipe.inner_loop.full else ""


def settings(
    base: BaseModel,
    roots: Sequence[Candidate],
    split: Split,
    config: TuneConfig,
    proposes: bool,
    grader: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Everything that decides a run's archive, for its manifest. The budget is no part: a run may be given more."""
    return {
        "tune": recorded_settings(asdict(config)),
        "ledger": LEDGER_FORM,
        "roots": {root.label: root.id for root in roots},
        "proposes": proposes,
        "data": content_hash(asdict(split)),
        "base": base.identity,
        "dtype": base.dtype_name,
        **({"grader": dict(grader)} if grader and grader["name"] != DEFAULT_GRADER else {}),
    }


def tune(
    roots: Sequence[Candidate],
    split: Split,
    config: TuneConfig,
    budget: Budget,
    *,
    worker: Worker,
    executor: Executor,
    run: Run,
    proposes: bool = True,
    progress: TuneProgress = no_progress,
) -> TuneOutcome:
    """Grow the archive, skipping work that the run's ledger holds, and confirm its winner.

    Args:
        roots: The recipes that the archive begins with, the default first.
        budget: Minutes are of finished work, as the ledger has it. What a kill lost does not count, and a run ends
            with the same archive however often it was killed.
        proposes: Whether the model proposes changes, beside random steps and crossovers.
    """
    laboratory = RunLaboratory(worker, executor, run, config, split.neutral, proposes=proposes, progress=progress)
    allowance = MinutesOrSteps(budget.minutes, budget.steps, config, laboratory)

    def keep(archive: Archive, step: int) -> None:
        write_archive(run.folder, archive)
        _check_reference(archive, roots[0])

    archive = search(roots, split.selecting, config, laboratory, allowance, keep)
    plan, winner = allowance.confirming(archive), best_rival(archive, roots[0], config.percentile)
    passages = split.confirming[: plan.passages] if winner else ()
    leads = winner is not None and winner.id == best(archive, config.percentile).id
    confirmation = confirm(winner or roots[0], archive, passages, laboratory, plan.references, leads)
    write_archive(run.folder, archive)
    own = (passage_id(context) for context in (*split.selecting, *passages))
    searched = list(dict.fromkeys((*own, *searched_for(roots))))
    summary = f"Tuned on {worker.base.name}: {confirmation.verdict()}"
    recipe = write_recipe(run.folder, confirmation.kept.recipe, summary, searched)
    seconds = laboratory.paces().get
    recipes = write_recipes(run.folder, _of_note(archive, confirmation, seconds, config, worker.base), searched)
    judged = len(set(laboratory.judged(CONFIRMING)) - {root.id for root in roots if root.name in REFERENCES})
    paths = write_report(run.folder, archive, confirmation, seconds, run.manifest, config, judged)
    return TuneOutcome(archive, confirmation, recipe, recipes, *paths, run.digest())


def _check_reference(archive: Archive, reference: Candidate) -> None:
    """Raise TrainingError where the default could learn nothing: nothing can be compared with it then."""
    scores = archive.scores(reference.id)
    failures = [score.failure for score in scores]
    if failures and all(score.accuracy is None for score in scores):
        raise TrainingError(
            f"nothing that the recipe {reference.label} learnt of the first {len(failures)} passages could be graded "
            f"({failures[0]}), and all others are compared with it; mend that, and give the same command again if a "
            "judge grades, else begin in another --run"
        )
    if failures and all(failures):
        raise TrainingError(
            f"the recipe {reference.label} could learn none of the first {len(failures)} passages ({failures[0]}), and "
            "all others are compared with it; mend that, and begin in another --run"
        )


def _of_note(
    archive: Archive, confirmation: Confirmation, seconds: SecondsOf, config: TuneConfig, base: BaseModel
) -> list[tuple[Candidate, str]]:
    """The winner and the front, each with a summary."""
    names = dict.fromkeys([confirmation.winner.id, *(point.name for point in front(archive, seconds, config))])
    return [(archive[name], _described(archive, archive[name], base)) for name in names]


def _described(archive: Archive, candidate: Candidate, base: BaseModel) -> str:
    accuracy, changes = archive.accuracy(candidate.id), ", ".join(map(str, candidate.changes))
    reached = f"answers {accuracy.mean:.0%} of the questions about {accuracy.count} passages" if accuracy else "unknown"
    origin = f"{archive[candidate.parent].label} with {changes}" if candidate.parent else candidate.label
    return f"Tried on {base.name}: {reached}, on passages that selected it. {origin}"
