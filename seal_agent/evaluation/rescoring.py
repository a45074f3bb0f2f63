"""What a row says of its answers, made again from the stored ones: verdicts, scores and curves."""

from __future__ import annotations

from collections.abc import Sequence

from seal_agent.evaluation.continual import mean_matrix, sequence_scores
from seal_agent.evaluation.harm import harm_scores
from seal_agent.evaluation.results import Results
from seal_agent.evaluation.samples import Sample
from seal_agent.evaluation.scoring import graded_all, graded_arc, mean_scores, unit_scores
from seal_agent.evaluation.suites import SUITES
from seal_agent.grading.graders import DEFAULT_GRADER, make_grader

EXACT_GRADER = "exact match"
"""What grades the attempts of ARC."""
_NOT_OF_ANSWERS = ("perplexity_ratio",)


def can_be_graded(results: Results) -> bool:
    """Whether the row's grader needs neither a model nor a key."""
    return results.grader == (EXACT_GRADER if SUITES[results.suite].kind == "arc" else DEFAULT_GRADER)


def graded_again(results: Results, samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """The samples with the verdicts of the row's grader, which `can_be_graded` has."""
    if SUITES[results.suite].kind == "arc":
        return tuple(graded_arc(sample) for sample in samples)
    return graded_all(samples, make_grader())


def scores_of_answers(results: Results, samples: Sequence[Sample]) -> dict[str, dict[str, float]]:
    """By unit, the measures that follow from its answers; without units of which nothing was graded."""
    kind = SUITES[results.suite].kind
    if kind == "continual":
        found = sequence_scores(samples)
    elif kind == "harm":
        found = {unit: mean_scores(list(seeds.values())) for unit, seeds in harm_scores(samples).items()}
    else:
        found = unit_scores(samples, arc=kind == "arc")
    return {unit: scores for unit, scores in found.items() if scores}


def needs_answers(results: Results, measure: str) -> bool:
    """Whether a measure follows from answers: the perplexity of `harm` does not, nor do figures of lm-eval's tasks,
    which have a dot in their name.
    """
    return SUITES[results.suite].kind != "harm" or not (measure in _NOT_OF_ANSWERS or "." in measure)


def curves_of_answers(results: Results, samples: Sequence[Sample]) -> dict[str, list[list[float | None]]]:
    """The accuracy matrix of edits in a row; none of other suites."""
    return mean_matrix(samples) if SUITES[results.suite].kind == "continual" else {}
