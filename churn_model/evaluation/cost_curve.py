"""Compute the cost at every cutoff, and the cheapest cutoff. It is shown beside the cutoff in use, and never used."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from churn_model.arrays import FloatArray, IntArray
from churn_model.decisions.costs import OutcomeCosts, actual_cost
from churn_model.stats.bootstrap import Resamples

GRID: FloatArray = np.linspace(0.0, 1.0, 101)
"""The cutoffs of every cost curve."""


@dataclass(frozen=True, kw_only=True)
class CostCurve:
    """Money per customer if everybody from one cutoff on were contacted. All (101,); `low` and `high` hold 90% of the resamples."""

    cutoff: FloatArray
    cost: FloatArray
    low: FloatArray
    high: FloatArray
    contacted: FloatArray


@dataclass(frozen=True, kw_only=True)
class SearchedCutoff:
    """The cheapest cutoff on some rows, and the range that holds 90% of the resamples."""

    cutoff: float
    low: float
    high: float
    cost: float


def cost_curve(y: Any, p: FloatArray, costs: OutcomeCosts, resamples: Resamples) -> tuple[CostCurve, SearchedCutoff]:
    """Return the cost of one cutoff for everybody, and the cheapest cutoff; the middle one of those that cost the same.

    y (n,) are outcomes, p (n,) calibrated probabilities. If worth is a column, the policy has a cutoff per row and may cost less than the
    whole curve.
    """
    everybody = np.ones(len(p), dtype=bool)
    nobody = actual_cost(y, ~everybody, costs)
    extra = actual_cost(y, everybody, costs) - nobody
    # The last grid cutoff that still contacts the row, so that p >= cutoff holds exactly as in `policy.decide`.
    last = np.searchsorted(GRID, p, side="right") - 1
    extra_by_cutoff = np.bincount(last, weights=extra, minlength=len(GRID)).astype(np.float64)
    point = _mean_costs(nobody.sum(), extra_by_cutoff, float(len(p)))
    sums = resamples.sums(np.column_stack([np.ones(len(p)), nobody]))
    drawn = _mean_costs(sums[:, 1:], resamples.binned_sums(extra, last, len(GRID)), sums[:, :1])
    low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
    share = np.cumsum(np.bincount(last, minlength=len(GRID))[::-1])[::-1] / len(p)
    cheapest = GRID[_cheapest(drawn)]
    best = int(_cheapest(point[None, :])[0])
    searched = SearchedCutoff(
        cutoff=float(GRID[best]),
        low=float(np.quantile(cheapest, 0.05)),
        high=float(np.quantile(cheapest, 0.95)),
        cost=float(point[best]),
    )
    return CostCurve(cutoff=GRID, cost=point, low=low, high=high, contacted=share), searched


def _mean_costs(nobody: Any, extra: FloatArray, count: Any) -> FloatArray:
    """Return the mean cost at each cutoff (..., k), from the cost of contacting nobody and the extra cost of the rows of each bin."""
    return np.asarray((nobody + np.cumsum(extra[..., ::-1], axis=-1)[..., ::-1]) / count)


def _cheapest(curves: FloatArray) -> IntArray:
    """Return, for each curve (b, k), the middle of the first run of cutoffs that cost the least: (b,)."""
    least = curves <= curves.min(axis=1, keepdims=True) + 1e-9 * np.abs(curves).max(axis=1, keepdims=True)
    first = least.argmax(axis=1)
    after = np.where(np.arange(curves.shape[1])[None, :] > first[:, None], ~least, False)
    end = np.where(after.any(axis=1), after.argmax(axis=1), curves.shape[1])
    return np.asarray((first + end - 1) // 2, dtype=np.int64)
