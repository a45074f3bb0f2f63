"""Checks a row that someone contributes: schema, hashes, answers graded again, means and intervals recomputed.

A row is refused with the reason. What only the run itself can show (that a model really gave these answers) is not
checked here; the settings, seed and versions in the row let a reviewer make it again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jsonschema

from seal_agent.config import RECIPES, Recipe, recorded_settings
from seal_agent.errors import InputError
from seal_agent.evaluation.expected import check_questions
from seal_agent.evaluation.figure_claims import check_figures
from seal_agent.evaluation.lm_eval_figures import contradiction
from seal_agent.evaluation.passages import chose_recipe
from seal_agent.evaluation.recipe_claims import check_recipe
from seal_agent.evaluation.rescoring import (
    can_be_graded,
    curves_of_answers,
    graded_again,
    needs_answers,
    scores_of_answers,
)
from seal_agent.evaluation.results import Measure, RecipeFacts, Results, published_schema, read_results, to_json
from seal_agent.evaluation.row_claims import check_names, check_rounds, check_row, check_samples
from seal_agent.evaluation.samples import Sample, read_samples, unanswered
from seal_agent.evaluation.statistics import measures_of
from seal_agent.evaluation.suites import SUITES, contexts_of, counted

TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Checks:
    """What was checked of a row that holds, and what could not be; phrases that begin in lower case."""

    made: tuple[str, ...]
    not_made: tuple[str, ...]


def check_submission(path: Path, data: str | None = None) -> Checks:
    """Check a row. Raises InputError with the reason for one that does not hold.

    Args:
        data: The suite's passages, where the package has none.
    """
    results = read_results(path)
    _check_schema(results, path)
    if results.suite not in SUITES:
        raise InputError(f"{path} is of the suite {results.suite!r}, which there is not; use {', '.join(SUITES)}")
    suite = SUITES[results.suite]
    made, not_made = ["the file fits the published schema"], list[str]()
    _check_facts(results)
    _check_means(results)
    made.append("the means and intervals follow from the units")
    samples: list[Sample] = []
    if results.samples:
        samples = read_samples(path.with_name(results.samples.file), results.samples.sha256)
        check_samples(results, samples)
        _check_counts(results, samples)
        made += _check_samples(results, samples, not_made)
        made += check_questions(results, samples, data, not_made)
    elif suite.kind == "speed":
        contexts = contexts_of(suite, data, None)
        check_names(results, contexts, data)
        check_rounds(results, contexts)
    else:
        raise InputError(f"{path} names no file of answers, so nothing can be graded again; add the one of the run")
    check_row(results, samples)
    check_figures(results, samples)
    made.append("grader, prompts, seeds and figures agree with the rest of the row")
    if reason := check_recipe(results.recipe, suite):
        not_made.append(reason)
    else:
        made.append(f"the settings are those of the recipe {results.recipe.label}")
    not_made.append("model, seconds, hardware and versions, which only the run itself can show")
    return Checks(tuple(made), tuple(not_made))


def _check_schema(results: Results, path: Path) -> None:
    try:
        jsonschema.validate(to_json(results), published_schema())
    except jsonschema.ValidationError as err:
        place = ".".join(map(str, err.absolute_path)) or "the whole"
        raise InputError(f"{path} does not fit the schema at {place}: {err.message}") from err


def _check_facts(results: Results) -> None:
    """Raises InputError where the row contradicts its suite, its recipe or itself."""
    suite, units = SUITES[results.suite], results.units
    if (results.primary, results.higher_is_better) != (suite.primary, suite.higher_is_better):
        more = "more" if suite.higher_is_better else "less"
        raise InputError(f"{suite.name} is ranked by {suite.primary}, of which {more} is better; the file was changed")
    if results.primary not in results.measures:
        raise InputError(f"{suite.name} is ranked by {suite.primary}, which the row has not measured")
    if len({unit.id for unit in units}) < len(units) or len(set(results.seeds)) < len(results.seeds):
        raise InputError("a unit or a seed stands in the row twice; write the file with `seal bench`")
    if results.data.units != len(units):
        raise InputError(f"data.units is {results.data.units}, but the row has {len(units)}; the file was changed")
    if results.data.seen != sum(unit.seen for unit in units):
        raise InputError(f"data.seen is {results.data.seen}, but other units are marked; the file was changed")


def _check_counts(results: Results, samples: Sequence[Sample]) -> None:
    """Raises InputError where a count is not that of the answers, or a passage that was seen is not marked."""
    assert results.samples
    if results.samples.count != len(samples):
        raise InputError(f"samples.count is {results.samples.count}, but there are {len(samples)} answers")
    harm = SUITES[results.suite].kind == "harm"
    searches = _searches(results.recipe)
    of_units = {(s.unit, s.unit if harm or not s.passage else s.passage) for s in samples}
    seen = {unit for unit, passage in of_units if any(chose_recipe(search, passage) for search in searches)}
    unmarked = [unit for unit in results.units if unit.id in seen and not unit.seen]
    if unmarked:
        raise InputError(f"the search that chose the recipe has seen {unmarked[0].title!r}; mark it as seen")


def _searches(facts: RecipeFacts) -> list[bool | Collection[str]]:
    """What the row says of the passages that chose its recipe, and what the package says of the same recipe.

    A file with the settings of the default recipe is the default recipe, whatever it is called.
    """
    names = [facts.name, *(["default"] if _same_settings(facts.settings, RECIPES["default"]) else [])]
    return [facts.settings.get("searched") or False, *(RECIPES[name].searched for name in names if name in RECIPES)]


def _same_settings(settings: Mapping[str, Any], recipe: Recipe) -> bool:
    """Whether notes are written and learnt as a recipe says."""
    own: dict[str, Any] = json.loads(json.dumps(asdict(recipe)))
    return all(
        recorded_settings(settings.get(name) or {}) == recorded_settings(own[name])
        for name in ("self_edit", "inner_loop")
    )


def _check_means(results: Results) -> None:
    """Raises InputError where a mean or an interval is not that of the units."""
    again = measures_of(results.units)
    if set(again) != set(results.measures):
        raise InputError("the measures are not those of the units; write the file with `seal bench`")
    for name, measure in results.measures.items():
        if not _same_measure(measure, again[name]):
            raise InputError(
                f"{name} is {_shown(measure)}, but the units give {_shown(again[name])}; the file was changed"
            )


def _check_samples(results: Results, samples: Sequence[Sample], not_made: list[str]) -> list[str]:
    """Raises InputError where scores do not follow from the answers, or a verdict is not the grader's."""
    _check_scores(results, scores_of_answers(results, samples))
    if results.curves != curves_of_answers(results, samples):
        raise InputError("the accuracy matrix does not follow from the answers; the file was changed")
    if wrong := contradiction(results, samples):
        raise InputError(f"{wrong}; the file was changed, or graded again: see `seal submit --regrade`")
    units, answers = counted(len(results.units), "units"), counted(len(samples), "answers")
    checks = [f"the scores follow from the answers: {units}, {answers}"]
    if not can_be_graded(results):
        not_made.append(f"the verdicts of the grader {results.grader!r}, which is not asked again")
        return checks
    _grade_again(results, samples)
    return [*checks, f"graded again with the same verdicts: {answers}"]


def _check_scores(results: Results, scores: Mapping[str, Mapping[str, float]]) -> None:
    if set(scores) != {unit.id for unit in results.units}:
        raise InputError("the answers are not about the units of the results; the files do not belong together")
    for unit in results.units:
        own = {name: value for name, value in unit.scores.items() if needs_answers(results, name)}
        for name in [*own, *scores[unit.id]]:
            value, found = own.get(name), scores[unit.id].get(name)
            if value is None or found is None or abs(found - value) > TOLERANCE:
                said = "missing" if value is None else f"{value:g}"
                raise InputError(f"{name} of {unit.title!r} is {said}, but its answers give {found}; it was changed")


def _grade_again(results: Results, samples: Sequence[Sample]) -> None:
    """Raises InputError for an answer with another verdict than the grader's."""
    for sample, found in zip(samples, graded_again(results, samples), strict=True):
        if (found.verdict, found.direct) != (sample.verdict, sample.direct):
            reason = "was not given" if unanswered(sample) else f"is graded {found.verdict.value}"
            raise InputError(
                f"the answer {sample.answer[:60]!r} to {sample.question!r} {reason}"
                f"{' and direct' if found.direct == 'correct' else ''}, but the file says {sample.verdict.value}; "
                "it was changed, or graded by another version: `seal submit --regrade` makes the row follow today's"
            )


def _same_measure(first: Measure, second: Measure) -> bool:
    pairs = zip(
        (first.value, first.stderr, first.low, first.high, first.count),
        (second.value, second.stderr, second.low, second.high, second.count),
        strict=True,
    )
    return all(a is b is None or (a is not None and b is not None and abs(a - b) <= TOLERANCE) for a, b in pairs)


def _shown(measure: Measure) -> str:
    if measure.low is None or measure.high is None:
        return f"{measure.value:.4f}"
    return f"{measure.value:.4f} ({measure.low:.4f}–{measure.high:.4f})"
