"""Does the self-test predict what was learned? Gain on the model's own questions against gain on people's questions.

Used by recipes.py; not run by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from parts import results_file

DRAWS = 2_000


def correlation(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Spearman's rank correlation of both gains over passages, its 95 % bootstrap interval, and the mean gains.

    Each row has the answers `before`, `after`, `self_before` and `self_after`. Rows without a self-test are left out.
    """
    tested = [row for row in rows if row["self_before"]]
    true_gains, self_test_gains = (np.array([_gain(row, prefix) for row in tested]) for prefix in ("", "self_"))
    return {
        "with_self_test": len(tested),
        "self_test_questions": sum(len(row["self_before"]) for row in tested),
        "spearman": _spearman(true_gains, self_test_gains),
        "interval": _interval(true_gains, self_test_gains),
        "true_gain": float(true_gains.mean()) if tested else None,
        "self_test_gain": float(self_test_gains.mean()) if tested else None,
    }


def _gain(row: dict[str, Any], prefix: str) -> float:
    return results_file.accuracy(row[f"{prefix}after"]) - results_file.accuracy(row[f"{prefix}before"])


def _spearman(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """0 if either side is constant."""
    if len(left) < 2 or left.std() == 0 or right.std() == 0:
        return 0.0
    return float(spearmanr(left, right).statistic)


def _interval(left: NDArray[np.float64], right: NDArray[np.float64]) -> tuple[float, float]:
    if len(left) < 2:
        return -1.0, 1.0
    picks = np.random.default_rng(0).integers(0, len(left), (DRAWS, len(left)))
    low, high = np.quantile([_spearman(left[p], right[p]) for p in picks], [0.025, 0.975])
    return float(low), float(high)
