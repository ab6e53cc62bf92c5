"""Logistic regression and what belongs to it: log odds, probabilities, and the log loss."""

import numpy as np
import numpy.typing as npt

from churn_model.arrays import FloatArray

CLIP = 1e-6
"""Probabilities are held this far from 0 and 1 before a logarithm is taken."""
_MAX_STEPS = 50
_CONVERGED = 1e-10


def clip_probabilities(p: npt.ArrayLike) -> FloatArray:
    """Return probabilities within [1e-6, 1 - 1e-6], float64 of p's shape."""
    return np.asarray(np.clip(np.asarray(p, dtype=np.float64), CLIP, 1 - CLIP))


def sigmoid(margins: FloatArray) -> FloatArray:
    """Return the probabilities of log odds."""
    ends: FloatArray = 0.5 * (1 + np.tanh(0.5 * margins))
    return ends


def logit(p: npt.ArrayLike) -> FloatArray:
    """Return the log odds of probabilities, clipped at 1e-6."""
    clipped = clip_probabilities(p)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def log_losses(y: npt.ArrayLike, p: npt.ArrayLike) -> FloatArray:
    """Return the negative log likelihood of each 0/1 outcome (n,), with probabilities (n,) clipped at 1e-6."""
    clipped = clip_probabilities(p)
    return np.asarray(-np.where(np.asarray(y) > 0, np.log(clipped), np.log1p(-clipped)))


def log_loss(y: npt.ArrayLike, p: npt.ArrayLike) -> float:
    """Return the mean of `log_losses`."""
    return float(np.mean(log_losses(y, p)))


def fit_logistic(inputs: FloatArray, y: npt.ArrayLike) -> tuple[FloatArray, float]:
    """Return the slopes (k,) and the intercept of the unpenalised logistic regression of y (n,) on inputs (n, k).

    Newton's method with step halving. Classes that the inputs separate have no finite answer: then it is that of the last step.
    """
    design = np.column_stack([inputs, np.ones(len(inputs))])
    target = (np.asarray(y) > 0).astype(np.float64)
    weights = np.zeros(design.shape[1])
    loss = _mean_loss(design @ weights, target)
    for _ in range(_MAX_STEPS):
        fitted = sigmoid(design @ weights)
        hessian = (design * (fitted * (1 - fitted))[:, None]).T @ design
        step = np.linalg.lstsq(hessian, design.T @ (target - fitted), rcond=None)[0]
        size = 1.0
        while (tried := _mean_loss(design @ (weights + size * step), target)) > loss and size > 1e-6:
            size /= 2
        gained, loss = loss - tried, tried
        weights = weights + size * step
        if gained < _CONVERGED * max(loss, 1.0):
            break
    return weights[:-1], float(weights[-1])


def _mean_loss(margins: FloatArray, target: FloatArray) -> float:
    return float(np.mean(np.logaddexp(0, margins) - target * margins))
