"""Whether probabilities mean what they say: what calibration error, slope and curve are computed from.

Belongs here: judging calibration. Does not belong here: repairing it (`calibration`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from churn_model.arrays import FloatArray, IntArray

BINS = 10
CLIP = 1e-6


@dataclass(frozen=True, kw_only=True)
class CalibrationBin:
    """Customers of similar probability: what was predicted, what came, and its 90 % Wilson interval."""

    rows: int
    predicted: float
    observed: float
    low: float
    high: float


def calibration_bin(p: FloatArray) -> IntArray:
    """Which of ten bins of equal width each probability lies in: (n,)."""
    return np.minimum((p * BINS).astype(np.int64), BINS - 1)


def slope_columns(y: FloatArray, p: FloatArray) -> dict[str, FloatArray]:
    """Gradient and curvature of the calibration line at its fit, so that each draw's slope is one Newton step away."""
    z = logit(p)
    start, slope = _calibration_line(y, z)
    q = 1 / (1 + np.exp(-np.clip(start + slope * z, -30, 30)))
    spread = q * (1 - q)
    return {
        "slope": np.full(len(y), slope / len(y)),
        "g0": y - q,
        "g1": (y - q) * z,
        "h00": spread,
        "h01": spread * z,
        "h11": spread * z * z,
    }


def logit(p: FloatArray) -> FloatArray:
    """Log odds of probabilities clipped at 1e-6: (n,)."""
    clipped = np.clip(p, CLIP, 1 - CLIP)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def _calibration_line(y: FloatArray, z: FloatArray) -> tuple[float, float]:
    """Intercept and slope of y on z = logit p by logistic regression; NaN where there is no line to fit. Cox, 1958."""
    line = np.array([0.0, 1.0])
    design = np.column_stack([np.ones(len(z)), z])
    for _ in range(50):
        q = 1 / (1 + np.exp(-np.clip(design @ line, -30, 30)))
        hessian = design.T @ (design * (q * (1 - q))[:, None])
        if np.linalg.cond(hessian) > 1e12:
            break
        step = np.linalg.solve(hessian, design.T @ (y - q))
        line = line + np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < 1e-10:
            return float(line[0]), float(line[1])
    return float("nan"), float("nan")


def calibration_bins(y: Any, p: FloatArray) -> tuple[CalibrationBin, ...]:
    """Ten bins of equal width, the empty ones left out; the points of a calibration curve."""
    bins, z = calibration_bin(p), 1.6449
    rows = np.bincount(bins, minlength=BINS)
    result = []
    for k in np.flatnonzero(rows):
        n, rate = float(rows[k]), float(np.mean(y[bins == k]))
        centre, spread = rate + z * z / (2 * n), z * np.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
        result.append(
            CalibrationBin(
                rows=int(n),
                predicted=float(p[bins == k].mean()),
                observed=rate,
                low=float(max(0.0, (centre - spread) / (1 + z * z / n))),
                high=float(min(1.0, (centre + spread) / (1 + z * z / n))),
            )
        )
    return tuple(result)
