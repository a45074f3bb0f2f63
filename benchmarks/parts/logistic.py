"""Shared by graders.py and verification.py, which fit the package's logistic regressions: folds and plain weights."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline

Rows = NDArray[np.int_]


def unscaled_weights(fitted: Pipeline) -> tuple[float, list[float]]:
    """Intercept and weights for unscaled features, from a StandardScaler followed by a LogisticRegression."""
    scaler, regression = fitted[0], fitted[1]
    weights = regression.coef_[0] / scaler.scale_
    return float(regression.intercept_[0] - weights @ scaler.mean_), [float(w) for w in weights]


def shuffled_folds(groups: Sequence[Hashable], folds: int, shuffles: int) -> Iterator[list[tuple[Rows, Rows]]]:
    """Cross-validation by whole groups: for each shuffle (seeds 0, 1, …) the (train, test) row numbers of each fold.

    `groups` names the group of each row.
    """
    ids: dict[Hashable, int] = {}
    group_of_row = np.array([ids.setdefault(group, len(ids)) for group in groups])
    for seed in range(shuffles):
        shuffled = np.random.default_rng(seed).permutation(len(ids))[group_of_row]
        yield list(GroupKFold(folds).split(shuffled, groups=shuffled))
