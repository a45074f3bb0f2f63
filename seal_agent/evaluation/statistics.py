"""Means over units with intervals, and paired comparisons of two rows on the same units."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import stdev

from seal_agent.evaluation.results import Measure, Unit
from seal_agent.outer_loop.report.interval import Estimate, estimate, student_estimate, student_quantile

MOST_FAILED = 0.1
"""Share of units and seeds that a row on the board may lack. What fails is rarely the easiest."""
MIN_CERTAIN = 6  # units that two rows must share for one to be called better
FEW = 31
"""From so many units on the interval is a bootstrap one, below it is Student's. By simulation (tests/evaluation/
test_statistics.py): at 10 units plain bootstraps call equal recipes different in 10 %, Student's in 5 %."""
SHARE, DIFFERENCE = (0.0, 1.0), (-1.0, 1.0)
RANGES: Mapping[str, tuple[float, float]] = {
    **dict.fromkeys(
        (
            "contains", "direct", "is_answer", "exact_match", "cell_acc", "final", "base", "just_after",
            "changed_answers", "guard_before", "guard_after", "portability",
        ),
        SHARE,
    ),
    **dict.fromkeys(("backward_transfer", "smallest_lead"), DIFFERENCE),
}  # fmt: skip
"""By measure, what a unit can score at least and at most; of those that have both."""
_NORMAL = 1.959964  # the quantile at 97.5 %
_MISSED = 0.025
_KEPT = 2048  # comparisons of large rows, which take milliseconds each


@dataclass(frozen=True, slots=True)
class Comparison:
    """The paired difference of two rows, the first minus the second, with its 95 % interval over units."""

    difference: Estimate

    @property
    def certain(self) -> bool:
        """Whether the interval leaves zero out, over enough units to say so."""
        enough = self.difference.count >= MIN_CERTAIN
        return enough and (self.difference.low > 0 or self.difference.high < 0)


def interval(values: Sequence[float], within: tuple[float, float] | None = None) -> Estimate | None:
    """The mean of independent values with its 95 % interval; None for fewer than two.

    Args:
        within: What a value can be at least and at most. The interval does not leave it. Where all values are at one
            end of it, or zero, there is no spread to go by. The interval then reaches to the mean that values elsewhere
            would give if they were as frequent as can be missed with a probability of 2.5 % (a binomial bound).
    """
    if len(values) < 2:
        return None
    if within and len(set(values)) == 1 and values[0] in (*within, 0.0):
        return _of_equal(values[0], len(values), within)
    found = student_estimate(values) if len(values) < FEW else _bootstrap(values)
    assert found
    if within is None:
        return found
    return Estimate(found.mean, max(found.low, within[0]), min(found.high, within[1]), found.count)


def _of_equal(value: float, count: int, within: tuple[float, float]) -> Estimate:
    missed = 1 - _MISSED ** (1 / count)
    low, high = within
    return Estimate(value, value - missed * (value - low), value + missed * (high - value), count)


def _bootstrap(values: Sequence[float]) -> Estimate:
    """The bootstrap's interval, widened as much as Student's is wider than the normal distribution's.

    That of the negated values is the same one negated, and not computed again.
    """
    if next((value for value in values if value), 0.0) < 0:
        turned = _bootstrap([-value for value in values])
        return Estimate(-turned.mean, -turned.high, -turned.low, turned.count)
    return _widened(tuple(values))


@lru_cache(_KEPT)
def _widened(values: tuple[float, ...]) -> Estimate:
    found = estimate(values)
    assert found
    count = found.count
    factor = student_quantile(count - 1) / _NORMAL * math.sqrt(count / (count - 1))
    low, high = (found.mean + factor * (end - found.mean) for end in (found.low, found.high))
    return Estimate(found.mean, low, high, count)


def _stderr(values: Sequence[float]) -> float:
    return stdev(values) / math.sqrt(len(values))


def measure_of(values: Sequence[float], within: tuple[float, float] | None = None) -> Measure | None:
    """The mean of one value per unit; None for no values. A single unit has no interval. `within` as for `interval`."""
    if not values:
        return None
    if len(values) == 1:
        return Measure(float(values[0]), None, None, None, 1)
    mean = interval(values, within)
    assert mean
    return Measure(mean.mean, _stderr(values), mean.low, mean.high, len(values))


def measures_of(units: Sequence[Unit]) -> dict[str, Measure]:
    """Every measure that units have, each over the units that have it."""
    names = dict.fromkeys(name for unit in units for name in unit.scores)
    found = {
        name: measure_of([unit.scores[name] for unit in units if name in unit.scores], RANGES.get(name))
        for name in names
    }
    return {name: measure for name, measure in found.items() if measure}


def compare(first: Sequence[Unit], second: Sequence[Unit], measure: str) -> Comparison | None:
    """The paired difference on the units that both have; None where they share fewer than two."""
    of_second = {unit.id: unit.scores[measure] for unit in second if measure in unit.scores}
    differences = [
        unit.scores[measure] - of_second[unit.id] for unit in first if unit.id in of_second and measure in unit.scores
    ]
    found = interval(differences, DIFFERENCE if RANGES.get(measure) == SHARE else None)
    return Comparison(found) if found else None
