"""lm-eval's own figures of a row, computed from its answers, so that a row's `results` can be checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

from seal_agent.evaluation.results import Results
from seal_agent.evaluation.samples import Sample, unanswered
from seal_agent.evaluation.scoring import CELLS, CONTAINS, EXACT, WORDS, scores_of
from seal_agent.evaluation.suites import SUITES
from seal_agent.types import Verdict

TOLERANCE = 1e-9
UNKNOWN = "N/A"
"""What lm-eval writes in place of a standard error that it cannot compute."""
_ACC = "acc"


def contradiction(results: Results, samples: Sequence[Sample]) -> str:
    """What of the row's `results` does not follow from its answers, as a sentence; "" where all does."""
    task = SUITES[results.suite].task
    if other := next((name for name in results.results if name != task), ""):
        return f"lm-eval's figures are of the task {other}, but {results.suite} has {task or 'none'}"
    if task not in results.results:
        return ""
    expected = _figures(results, samples)
    for name, value in results.results[task].items():
        if name in ("name", "alias"):
            continue
        if name not in expected:
            return f"lm-eval's figures have {name}, which {task} does not measure"
        if not _same(value, expected[name]):
            return f"lm-eval's figure {name} is {value}, but the answers give {expected[name]}"
    return ""


def _same(value: float | str, expected: float | str) -> bool:
    if isinstance(value, str) or isinstance(expected, str):
        return value == expected
    return abs(value - expected) <= TOLERANCE


def _figures(results: Results, samples: Sequence[Sample]) -> dict[str, float | str]:
    """Every figure that lm-eval writes about the answers with the first seed."""
    first = [sample for sample in samples if sample.seed == results.seeds[0]]
    arc = SUITES[results.suite].kind == "arc"
    graded = [sample for sample in first if sample.verdict is not Verdict.UNGRADED]
    figures: dict[str, float | str] = {"sample_len": float(len(first))}
    for name, values in _by_name(graded, arc).items():
        figures |= _mean(name, values)
        if name not in (WORDS, EXACT, CELLS):
            figures |= _mean_of_passages(name, graded, values)
    missing = [bool(unanswered(s)) if arc else s.verdict is Verdict.UNGRADED for s in first]
    return figures | _mean("unanswered" if arc else "ungraded", list(map(float, missing)))


def _by_name(samples: Sequence[Sample], arc: bool) -> dict[str, list[float]]:
    """The value of each answer by lm-eval's name of the metric."""
    found: dict[str, list[float]] = {}
    for sample in samples:
        for name, value in scores_of(sample, arc).items():
            found.setdefault(_ACC if name == CONTAINS else name, []).append(value)
    return found


def _mean(name: str, values: Sequence[float]) -> dict[str, float | str]:
    return {f"{name},none": fmean(values), f"{name}_stderr,none": _stderr(values)}


def _mean_of_passages(name: str, samples: Sequence[Sample], values: Sequence[float]) -> dict[str, float | str]:
    by_passage: dict[str, list[float]] = {}
    for sample, value in zip(samples, values, strict=True):
        by_passage.setdefault(sample.unit, []).append(value)
    of_passages: Mapping[str, float | str] = _mean(f"passage_{name}", [fmean(of) for of in by_passage.values()])
    return {**of_passages, f"passage_{name}_stderr_stderr,none": UNKNOWN}


def _stderr(values: Sequence[float]) -> float | str:
    return stdev(values) / math.sqrt(len(values)) if len(values) > 1 else UNKNOWN
