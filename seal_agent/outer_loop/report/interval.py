"""Bootstrap intervals of means over contexts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 10_000  # the 2.5 % and 97.5 % quantiles then hardly move with the seed


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean, its 95 % bootstrap interval, and the number of values."""

    mean: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def estimate(values: Sequence[float], seed: int = 0) -> Estimate | None:
    """The mean of one value per context, with contexts resampled with replacement; None for no values."""
    if not values:
        return None
    means = np.asarray(values, dtype=float)
    picks = np.random.default_rng(seed).integers(0, len(means), (DRAWS, len(means)))
    low, high = np.quantile(means[picks].mean(axis=1), [0.025, 0.975])
    return Estimate(float(means.mean()), float(low), float(high), len(means))
