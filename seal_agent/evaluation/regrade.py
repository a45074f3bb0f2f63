"""Grades the stored answers of rows again, so that rows which an older grader graded hold under today's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from seal_agent.errors import InputError
from seal_agent.evaluation.files import write_atomically_together
from seal_agent.evaluation.lm_eval_figures import contradiction
from seal_agent.evaluation.rescoring import (
    can_be_graded,
    curves_of_answers,
    graded_again,
    needs_answers,
    scores_of_answers,
)
from seal_agent.evaluation.results import Results, Unit, read_results, results_bytes
from seal_agent.evaluation.samples import Sample, read_samples, samples_bytes, sha256_of
from seal_agent.evaluation.statistics import measures_of
from seal_agent.evaluation.suites import SUITES


@dataclass(frozen=True, slots=True)
class Regraded:
    """What became of a row: its answers, and how many have another verdict than before.

    A row without stored answers has its means and intervals computed again, and nothing else.
    """

    path: Path
    answers: int
    changed: int


def regrade(path: Path) -> Regraded:
    """Grade a row's answers again and make everything else of it follow, in place.

    lm-eval's own figures are left out where they no longer follow from the answers. Raises InputError for a row whose
    grader needs a model or a key, and leaves it as it is.
    """
    results = read_results(path)
    if results.suite not in SUITES:
        raise InputError(f"{path} is of the suite {results.suite!r}, which there is not; use {', '.join(SUITES)}")
    if results.samples is None:
        again = replace(results, measures=measures_of(results.units))
        write_atomically_together({path: results_bytes(again)})
        return Regraded(path, 0, 0)
    if not can_be_graded(results):
        raise InputError(f"{path} was graded by {results.grader!r}, which is not asked again; run `seal bench` anew")
    answers = path.with_name(results.samples.file)
    before = read_samples(answers, results.samples.sha256)
    after = graded_again(results, before)
    text = samples_bytes(after)
    stored = replace(results.samples, sha256=sha256_of(text), count=len(after))
    again = replace(_following(results, after), samples=stored)
    write_atomically_together({answers: text, path: results_bytes(again)})
    changed = sum((a.verdict, a.direct) != (b.verdict, b.direct) for a, b in zip(before, after, strict=True))
    return Regraded(path, len(after), changed)


def _following(results: Results, samples: Sequence[Sample]) -> Results:
    """The row with units, means, curves and lm-eval's figures that follow from the answers."""
    scores = scores_of_answers(results, samples)
    if unknown := scores.keys() - {unit.id for unit in results.units}:
        raise InputError(
            f"the answers about {min(unknown)} have grades now, but the row lacks it; run `seal bench` anew"
        )
    units = [_rescored(results, unit, scores.get(unit.id, {})) for unit in results.units]
    units = [unit for unit in units if unit.scores]
    measures = measures_of(units)
    if results.primary not in measures:
        raise InputError(f"no answer could be graded, so that there is no {results.primary}; run `seal bench` anew")
    holds = not contradiction(results, samples)
    return replace(
        results,
        units=units,
        data=replace(results.data, units=len(units), seen=sum(unit.seen for unit in units)),
        measures=measures,
        curves=curves_of_answers(results, samples),
        results=results.results if holds else {},
    )


def _rescored(results: Results, unit: Unit, scores: dict[str, float]) -> Unit:
    kept = {name: value for name, value in unit.scores.items() if not needs_answers(results, name)}
    return replace(unit, scores={**kept, **scores})
