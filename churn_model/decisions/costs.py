"""What a mistake costs, and from which probability a customer is contacted.

Belongs here: costs as arrays, the Bayes cutoff, cost curves, the searched cutoff that is shown beside it. Does not belong here: choosing
probabilities (`calibration`), intervals of metrics (`judging`), whom a budget reaches (`targeting`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from churn_model.errors import InputError, problem
from churn_model.spec.dataset import Costs, FloatArray
from churn_model.stats.bootstrap import Resamples

BoolArray = np.ndarray[Any, np.dtype[np.bool_]]

GRID: FloatArray = np.linspace(0.0, 1.0, 101)
"""The cutoffs of every cost curve."""


@dataclass(frozen=True, kw_only=True)
class OutcomeCosts:
    """What each outcome costs, in money a customer: scalars, or one value a row.

    FP is never below TN: contacting somebody who stays earns nothing.
    """

    false_negative: FloatArray
    false_positive: FloatArray
    true_positive: FloatArray
    true_negative: FloatArray

    def __post_init__(self) -> None:
        for name in ("false_negative", "false_positive", "true_positive", "true_negative"):
            value = np.asarray(getattr(self, name), dtype=np.float64)
            if not np.isfinite(value).all():
                raise InputError(
                    problem(
                        expected=f"finite costs for {name}",
                        found="a missing or infinite one",
                        todo="look at costs in the spec",
                    )
                )
            object.__setattr__(self, name, value)
        if (self.false_positive < self.true_negative).any():
            raise InputError(
                problem(
                    expected="false_positive at least true_negative", found="less", todo="look at costs in the spec"
                )
            )

    @property
    def contact_cost(self) -> FloatArray:
        """FP - TN: what a contact costs where it was not needed. Scalar or (n,)."""
        return np.asarray(self.false_positive - self.true_negative)

    @property
    def leaver_gain(self) -> FloatArray:
        """FN - TP: what a contact saves where the customer would leave. Scalar or (n,); not above 0 where contacting never pays."""
        return np.asarray(self.false_negative - self.true_positive)


def outcome_costs(costs: Costs, worth: FloatArray | None = None, *, success: float | None = None) -> OutcomeCosts:
    """The four cells of `costs`; one value a row where worth is a column.

    `worth` (n,) is money, needed where `costs.value_column` is set and not read otherwise. `success` replaces the share of contacted
    leavers who stay; the four cells are taken to state a success of 1: TP(s) = TP + (1 - s) (FN + (FP - TN) - TP).
    Raises InputError with the count where a worth is missing, negative or infinite.
    """
    contact = costs.contact
    if contact is None:
        fn, fp, tp, tn = costs.false_negative, costs.false_positive, costs.true_positive, costs.true_negative
        tp += (1.0 - (1.0 if success is None else success)) * (fn + (fp - tn) - tp)
        return OutcomeCosts(
            false_negative=np.asarray(fn),
            false_positive=np.asarray(fp),
            true_positive=np.asarray(tp),
            true_negative=np.asarray(tn),
        )
    value = (
        _checked_worth(worth, costs.value_column) if costs.value_column else np.asarray(contact.value, dtype=np.float64)
    )
    kept = contact.success if success is None else success
    return OutcomeCosts(
        false_negative=value,
        false_positive=np.asarray(contact.cost),
        true_positive=contact.cost + (1.0 - kept) * value,
        true_negative=np.asarray(0.0),
    )


def _checked_worth(worth: FloatArray | None, column: str | None) -> FloatArray:
    if worth is None:
        raise InputError(
            problem(
                expected=f"a worth for every customer in column {column}",
                found="no such column",
                todo="add it, or set costs.contact.value",
            )
        )
    wrong = int((~np.isfinite(worth) | (worth < 0)).sum())
    if wrong:
        raise InputError(
            problem(
                expected=f"a worth of 0 or more for every customer in column {column}",
                found=f"{wrong} of {len(worth)} rows with none, a negative or an infinite one",
                todo="fill the column, or set costs.contact.value to one number",
            )
        )
    return np.asarray(worth, dtype=np.float64)


def assumed_success(costs: Costs) -> float:
    """The share of contacted leavers who are taken to stay. It is named wherever money is shown."""
    return costs.contact.success if costs.contact else 1.0


def bayes_cutoff(cells: OutcomeCosts) -> FloatArray:
    """The probability from which contacting is the cheaper choice: (FP - TN) / ((FP - TN) + (FN - TP)).

    Scalar or (n,); inf where it never is.

    Elkan, The Foundations of Cost-Sensitive Learning (2001), equation 2.
    """
    contact, gain = np.broadcast_arrays(cells.contact_cost, cells.leaver_gain)
    pays = gain > 0
    return np.where(pays, contact / np.where(pays, contact + gain, 1.0), np.inf)


def contacted(p: FloatArray, cutoff: FloatArray | float) -> BoolArray:
    """Who is contacted: (n,). The one rule of the list, of `will_churn` and of the server."""
    return np.asarray(p >= cutoff)


def expected_saving(p: FloatArray, cells: OutcomeCosts) -> FloatArray:
    """Money that contacting a customer is expected to save against leaving him alone: p (FN - TP) - (1 - p) (FP - TN). (n,)."""
    return np.asarray(p * cells.leaver_gain - (1.0 - p) * cells.contact_cost)


def expected_cost(p: FloatArray, chosen: BoolArray, cells: OutcomeCosts) -> FloatArray:
    """Money that each customer is expected to cost, if the probabilities are right: (n,)."""
    called = p * cells.true_positive + (1.0 - p) * cells.false_positive
    left_alone = p * cells.false_negative + (1.0 - p) * cells.true_negative
    return np.asarray(np.where(chosen, called, left_alone))


def cost_of(y: Any, chosen: BoolArray, cells: OutcomeCosts) -> FloatArray:
    """Money that each customer did cost, y = 1 having left: (n,)."""
    return expected_cost(np.asarray(y, dtype=np.float64), chosen, cells)


@dataclass(frozen=True, kw_only=True)
class CostCurve:
    """Money a customer if everybody from one cutoff on were contacted. All (101,); `low` and `high` hold 90 % of the resamples."""

    cutoff: FloatArray
    cost: FloatArray
    low: FloatArray
    high: FloatArray
    contacted: FloatArray


@dataclass(frozen=True, kw_only=True)
class SearchedCutoff:
    """The cheapest cutoff on some rows, with the range that holds 90 % of the resamples. Shown beside the Bayes cutoff, never used."""

    cutoff: float
    low: float
    high: float
    cost: float


def cost_curve(y: Any, p: FloatArray, cells: OutcomeCosts, resamples: Resamples) -> tuple[CostCurve, SearchedCutoff]:
    """Cost over one cutoff for all, and where it is lowest. Of cutoffs that cost the same, the middle one is named.

    Where worth is a column, the Bayes rule has a cutoff a row and may lie below the whole curve.
    """
    everybody = np.ones(len(p), dtype=bool)
    alone = cost_of(y, ~everybody, cells)
    extra = cost_of(y, everybody, cells) - alone
    # The last grid cutoff that still contacts the row, so that p >= cutoff holds exactly as in `contacted`.
    last = np.searchsorted(GRID, p, side="right") - 1
    point = _curve(alone.sum(), np.bincount(last, weights=extra, minlength=len(GRID)).astype(np.float64), float(len(p)))
    sums = resamples.sums(np.column_stack([np.ones(len(p)), alone]))
    binned = resamples.binned_sums(extra, last, len(GRID))
    drawn = _curve(sums[:, 1:], binned, sums[:, :1])
    low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
    share = np.cumsum(np.bincount(last, minlength=len(GRID))[::-1])[::-1] / len(p)
    curve = CostCurve(cutoff=GRID, cost=point, low=low, high=high, contacted=share)
    picked = GRID[_cheapest(drawn)]
    best = int(_cheapest(point[None, :])[0])
    searched = SearchedCutoff(
        cutoff=float(GRID[best]),
        low=float(np.quantile(picked, 0.05)),
        high=float(np.quantile(picked, 0.95)),
        cost=float(point[best]),
    )
    return curve, searched


def _curve(alone: Any, extra: FloatArray, count: Any) -> FloatArray:
    return np.asarray((alone + np.cumsum(extra[..., ::-1], axis=-1)[..., ::-1]) / count)


def _cheapest(curves: FloatArray) -> np.ndarray[Any, np.dtype[np.intp]]:
    """For each curve (b, k), the middle of the first run of cutoffs that cost the least."""
    least = curves <= curves.min(axis=1, keepdims=True) + 1e-9 * np.abs(curves).max(axis=1, keepdims=True)
    first = least.argmax(axis=1)
    after = np.where(np.arange(curves.shape[1])[None, :] > first[:, None], ~least, False)
    end = np.where(after.any(axis=1), after.argmax(axis=1), curves.shape[1])
    return np.asarray((first + end - 1) // 2)
