"""Checks a row that someone contributes: schema, hashes, answers graded again, means and intervals recomputed.

A row is refused with the reason. What only the run itself can show (that a model really gave these answers) is not
checked here; the settings, seed and versions in the row let a reviewer make it again.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import jsonschema

from seal_agent.errors import InputError
from seal_agent.evaluation.continual import mean_matrix, sequence_scores
from seal_agent.evaluation.passages import data_hash, unit_id
from seal_agent.evaluation.results import Measure, Results, published_schema, read_results, to_json
from seal_agent.evaluation.samples import Sample, read_samples
from seal_agent.evaluation.scoring import graded, graded_arc, unit_scores
from seal_agent.evaluation.statistics import measures_of
from seal_agent.evaluation.suites import SUITES, contexts_of
from seal_agent.grading.graders import DEFAULT_GRADER, make_grader

GRADED_AGAIN = 10
TOLERANCE = 1e-9


def check_submission(path: Path, data: str | None = None) -> tuple[str, ...]:
    """What was checked, one sentence each. Raises InputError with the reason for a row that does not hold.

    Args:
        data: The suite's passages, where the package has none.
    """
    results = read_results(path)
    _check_schema(results, path)
    if results.suite not in SUITES:
        raise InputError(f"{path} is of the suite {results.suite!r}, which there is not; use {', '.join(SUITES)}")
    checks = ["the file fits the published schema"]
    _check_means(results)
    checks.append("the means and intervals follow from the units")
    if results.samples:
        samples = read_samples(path.with_name(results.samples.file), results.samples.sha256)
        checks += _check_samples(results, samples)
        checks += _check_data(results, samples, data)
    elif SUITES[results.suite].task:
        raise InputError(f"{path} names no file of answers, so nothing can be graded again; add the one of the run")
    return tuple(checks)


def _check_schema(results: Results, path: Path) -> None:
    try:
        jsonschema.validate(to_json(results), published_schema())
    except jsonschema.ValidationError as err:
        place = ".".join(map(str, err.absolute_path)) or "the whole"
        raise InputError(f"{path} does not fit the schema at {place}: {err.message}") from err


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


def _check_samples(results: Results, samples: Sequence[Sample]) -> list[str]:
    """Raises InputError where scores do not follow from the answers, or a verdict is not the grader's."""
    arc = SUITES[results.suite].kind == "arc"
    continual = SUITES[results.suite].kind == "continual"
    scores = sequence_scores(samples) if continual else unit_scores(samples, arc=arc)
    _check_scores(results, {unit: of_unit for unit, of_unit in scores.items() if of_unit})
    if continual and mean_matrix(samples) != results.curves:
        raise InputError("the accuracy matrix does not follow from the answers; the file was changed")
    checks = [f"the scores of {len(results.units)} units follow from {len(samples)} answers"]
    if not arc and results.grader != DEFAULT_GRADER:
        return [*checks, f"the verdicts of the grader {results.grader!r} were not asked for again"]
    count = _grade_again(samples, arc)
    return [*checks, f"{count} answers drawn at random were graded again with the same verdict"]


def _check_scores(results: Results, scores: Mapping[str, Mapping[str, float]]) -> None:
    if set(scores) != {unit.id for unit in results.units}:
        raise InputError("the answers are not about the units of the results; the files do not belong together")
    for unit in results.units:
        for name, value in unit.scores.items():
            found = scores[unit.id].get(name)
            if found is None or abs(found - value) > TOLERANCE:
                raise InputError(f"{name} of {unit.title!r} is {value:g}, but its answers give {found}; it was changed")


def _grade_again(samples: Sequence[Sample], arc: bool) -> int:
    """Grade some answers again; how many. Raises InputError for another verdict."""
    grader = make_grader()
    drawn = random.Random(len(samples)).sample(list(samples), min(GRADED_AGAIN, len(samples)))
    for sample in drawn:
        again = graded_arc(sample) if arc else graded(sample, grader)
        if (again.verdict, again.direct) != (sample.verdict, sample.direct):
            raise InputError(
                f"the answer {sample.answer[:60]!r} to {sample.question!r} is graded {again.verdict.value}"
                f"{' and direct' if again.direct == 'correct' else ''}, but the file says {sample.verdict.value}; "
                "it was changed, or made with another version of the grader"
            )
    return len(drawn)


def _check_data(results: Results, samples: Sequence[Sample], data: str | None) -> list[str]:
    """That questions and golds are those of the suite. Raises InputError where they are not."""
    suite = SUITES[results.suite]
    if suite.kind == "arc" or (suite.needs_data and data is None):
        return ["the questions were not compared with the suite's passages: give --data"] if suite.needs_data else []
    of_passage = {sample.passage or sample.unit for sample in samples}
    contexts = [context for context in contexts_of(suite, data, None) if unit_id(context) in of_passage]
    if data_hash(contexts) != results.data.hash:
        raise InputError("the questions are not those of the suite's passages: their hash differs")
    known = {(unit_id(c), question.text, question.golds) for c in contexts for question in c.questions}
    for sample in samples:
        if (sample.passage or sample.unit, sample.question, sample.golds) not in known:
            raise InputError(f"the question {sample.question!r} or its gold answers are not the suite's")
    return [f"the questions are those of {len(contexts)} passages of the suite"]


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
