"""Logistic regressions fitted here and applied in the package: weights for the measures as they are."""

from __future__ import annotations

from sklearn.pipeline import Pipeline


def unscaled(fitted: Pipeline) -> tuple[float, list[float]]:
    """Intercept and weights of a StandardScaler with a LogisticRegression, without the scaling."""
    scaler, regression = fitted[0], fitted[1]
    weights = regression.coef_[0] / scaler.scale_
    return float(regression.intercept_[0] - weights @ scaler.mean_), [float(w) for w in weights]
