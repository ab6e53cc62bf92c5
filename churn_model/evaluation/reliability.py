"""Measure calibration: the error, slope and curve. `models.calibration` corrects it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from churn_model.arrays import FloatArray, IntArray
from churn_model.stats.logistic import fit_logistic, logit, sigmoid
from churn_model.stats.wilson import wilson_interval

BINS = 10
_LEAST_SPREAD = 1e-6
_MOST_CONDITION = 1e12
_Z_90 = 1.6449  # of a 90% interval


@dataclass(frozen=True, kw_only=True)
class CalibrationBin:
    """Customers of similar probability: the mean prediction, the share that left, and its 90% Wilson interval."""

    rows: int
    predicted: float
    observed: float
    low: float
    high: float


def calibration_bin(p: FloatArray) -> IntArray:
    """Return the bin of each probability (n,), of ten of equal width."""
    return np.minimum((p * BINS).astype(np.int64), BINS - 1)


def slope_columns(y: FloatArray, p: FloatArray) -> dict[str, FloatArray]:
    """Return gradient and curvature of the calibration line at its fit, from which each draw's slope is one Newton step."""
    z = logit(p)
    start, slope = _calibration_line(y, z)
    q = sigmoid(start + slope * z)
    spread = q * (1 - q)
    return {
        "slope": np.full(len(y), slope / len(y)),
        "g0": y - q,
        "g1": (y - q) * z,
        "h00": spread,
        "h01": spread * z,
        "h11": spread * z * z,
    }


def _calibration_line(y: FloatArray, z: FloatArray) -> tuple[float, float]:
    """Return intercept and slope of the logistic regression of y on z = logit p; NaN if no line can be fitted. Cox, 1958."""
    (slope,), intercept = fit_logistic(z[:, None], y)
    q = sigmoid(intercept + slope * z)
    spread, design = q * (1 - q), np.column_stack([np.ones(len(z)), z])
    # Classes that z separates, or a single class, have a line at infinity; a single z has many.
    if spread.mean() < _LEAST_SPREAD or np.linalg.cond(design.T @ (design * spread[:, None])) > _MOST_CONDITION:
        return float("nan"), float("nan")
    return intercept, float(slope)


def calibration_bins(y: Any, p: FloatArray) -> tuple[CalibrationBin, ...]:
    """Return the points of a calibration curve: ten bins of equal width, without the empty ones."""
    bins = calibration_bin(p)
    rows = np.bincount(bins, minlength=BINS)
    result = []
    for k in np.flatnonzero(rows):
        n, rate = float(rows[k]), float(np.mean(y[bins == k]))
        low, high = wilson_interval(rate, int(n), z=_Z_90)
        result.append(
            CalibrationBin(
                rows=int(n),
                predicted=float(p[bins == k].mean()),
                observed=rate,
                low=max(0.0, low),
                high=min(1.0, high),
            )
        )
    return tuple(result)
