"""Means over units with bootstrap intervals, and paired comparisons of two rows on the same units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import stdev

from seal_agent.evaluation.results import Measure, Unit
from seal_agent.outer_loop.report.interval import Estimate, estimate

MIN_SHARED = 2  # units that two rows must share to be compared


@dataclass(frozen=True, slots=True)
class Comparison:
    """The paired difference of two rows, the first minus the second, with its 95 % bootstrap interval over units."""

    difference: Estimate

    @property
    def certain(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.difference.low > 0 or self.difference.high < 0


def measure_of(values: Sequence[float]) -> Measure | None:
    """The mean of one value per unit; None for no values. A single unit has no interval."""
    if not values:
        return None
    if len(values) == 1:
        return Measure(float(values[0]), None, None, None, 1)
    mean = estimate(values)
    assert mean
    return Measure(mean.mean, stdev(values) / math.sqrt(len(values)), mean.low, mean.high, len(values))


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
    found = estimate(differences) if len(differences) >= MIN_SHARED else None
    return Comparison(found) if found else None
