"""Calibrate probabilities: beta calibration (Kull, Silva Filho, Flach 2017), fitted on out-of-fold probabilities."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from churn_model.arrays import FloatArray
from churn_model.stats.logistic import clip_probabilities, fit_logistic, log_loss, sigmoid

MIN_POSITIVES = 50


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """identity: p. beta: sigmoid(a ln p - b ln(1 - p) + c) with p clipped to [1e-6, 1 - 1e-6] and a, b >= 0, which keeps the order."""

    kind: Literal["identity", "beta"] = "identity"
    a: float = 1.0
    b: float = 1.0
    c: float = 0.0

    def __post_init__(self) -> None:
        if not (self.a >= 0 and self.b >= 0 and self.a + self.b > 0 and np.isfinite([self.a, self.b, self.c]).all()):
            raise ValueError(
                f"Expected finite a, b >= 0 with one above 0; found a={self.a:g}, b={self.b:g}, c={self.c:g}"
            )

    def apply(self, p: FloatArray) -> FloatArray:
        """Return calibrated probabilities, float64 of p's shape."""
        p = np.asarray(p, dtype=np.float64)
        if self.kind == "identity":
            return p
        clipped = clip_probabilities(p)
        return sigmoid(self.a * np.log(clipped) - self.b * np.log1p(-clipped) + self.c)


@dataclass(frozen=True, kw_only=True)
class FittedCalibration:
    """The chosen calibration, and the log losses that decided: uncalibrated, and after cross-fitted beta calibration."""

    calibration: Calibration
    log_loss_before: float
    log_loss_after: float


def fit_calibration(p: FloatArray, y: npt.NDArray[np.int8], folds: npt.NDArray[np.int64]) -> FittedCalibration:
    """Fit a calibration of out-of-fold probabilities p (n,) to outcomes y (n,): beta, or identity.

    Identity below 50 positives or negatives, or if beta calibration fitted on the other folds does not lower the log loss.
    """
    crossed = cross_fitted(p, y, folds)
    return FittedCalibration(
        calibration=Calibration() if crossed is p else _fit_beta(p, y),
        log_loss_before=log_loss(y, p),
        log_loss_after=log_loss(y, crossed),
    )


def cross_fitted(p: FloatArray, y: npt.NDArray[np.int8], folds: npt.NDArray[np.int64]) -> FloatArray:
    """Return each fold's probabilities (n,), calibrated on the other folds; `p` itself if `fit_calibration` chooses identity."""
    if min(int((y > 0).sum()), int((y <= 0).sum())) < MIN_POSITIVES:
        return p
    crossed = np.empty(len(p))
    for fold in np.unique(folds):
        held = folds == fold
        crossed[held] = _fit_beta(p[~held], y[~held]).apply(p[held])
    return crossed if log_loss(y, crossed) < log_loss(y, p) else p


def _fit_beta(p: FloatArray, y: npt.NDArray[np.int8]) -> Calibration:
    """Fit beta calibration without a penalty. A coefficient that turns out negative is fixed at 0, and the others are fitted again."""
    clipped = clip_probabilities(p)
    inputs = np.stack([np.log(clipped), -np.log1p(-clipped)], axis=1)
    (a, b), c = fit_logistic(inputs, y)
    if a < 0 <= b:
        a, ((b,), c) = 0.0, fit_logistic(inputs[:, 1:], y)
    elif b < 0 <= a:
        b, ((a,), c) = 0.0, fit_logistic(inputs[:, :1], y)
    if a < 0 or b < 0 or a + b == 0 or not np.isfinite([a, b, c]).all():
        return Calibration()
    return Calibration(kind="beta", a=float(a), b=float(b), c=c)
