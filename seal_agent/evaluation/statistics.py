"""Means over units with intervals, and paired comparisons of two rows on the same units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from seal_agent.evaluation.results import Measure, Unit
from seal_agent.outer_loop.report.interval import Estimate, estimate

MIN_CERTAIN = 6  # units that two rows must share for one to be called better
FEW = 10
"""Below so many units a bootstrap interval is too narrow, since few values are drawn again and again."""
_STUDENT_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306)
"""Quantiles at 97.5 % of Student's t distribution, of 1 to 8 degrees of freedom."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The paired difference of two rows, the first minus the second, with its 95 % interval over units."""

    difference: Estimate

    @property
    def certain(self) -> bool:
        """Whether the interval leaves zero out, over enough units to say so."""
        enough = self.difference.count >= MIN_CERTAIN
        return enough and (self.difference.low > 0 or self.difference.high < 0)


def interval(values: Sequence[float]) -> Estimate | None:
    """The mean of independent values with its 95 % interval; None for fewer than two.

    The interval is a bootstrap one, and Student's below `FEW` values.
    """
    if len(values) < 2:
        return None
    if len(values) >= FEW:
        return estimate(values)
    mean, half = fmean(values), _STUDENT_T[len(values) - 2] * _stderr(values)
    return Estimate(mean, mean - half, mean + half, len(values))


def _stderr(values: Sequence[float]) -> float:
    return stdev(values) / math.sqrt(len(values))


def measure_of(values: Sequence[float]) -> Measure | None:
    """The mean of one value per unit; None for no values. A single unit has no interval."""
    if not values:
        return None
    if len(values) == 1:
        return Measure(float(values[0]), None, None, None, 1)
    mean = interval(values)
    assert mean
    return Measure(mean.mean, _stderr(values), mean.low, mean.high, len(values))


def measures_of(units: Sequence[Unit]) -> dict[str, Measure]:
    """Every measure that units have, each over the units that have it."""
    names = dict.fromkeys(name for unit in units for name in unit.scores)
    found = {name: measure_of([unit.scores[name] for unit in units if name in unit.scores]) for name in names}
    return {name: measure for name, measure in found.items() if measure}


def compare(first: Sequence[Unit], second: Sequence[Unit], measure: str) -> Comparison | None:
    """The paired difference on the units that both have; None where they share fewer than two."""
    of_second = {unit.id: unit.scores[measure] for unit in second if measure in unit.scores}
    differences = [
        unit.scores[measure] - of_second[unit.id] for unit in first if unit.id in of_second and measure in unit.scores
    ]
    found = interval(differences)
    return Comparison(found) if found else None
