"""What each outcome costs, as arrays: the four cells that decisions and evaluations are computed from."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from churn_model.arrays import BoolArray, FloatArray, IntArray
from churn_model.errors import InputError, problem
from churn_model.spec.sections.costs import Costs


@dataclass(frozen=True, kw_only=True)
class OutcomeCosts:
    """The cost of each outcome in money per customer: scalars, or one value per row.

    FP is never below TN: contacting a customer who stays earns nothing.
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
                        todo="correct `costs` in the spec",
                    )
                )
            object.__setattr__(self, name, value)
        if (self.false_positive < self.true_negative).any():
            raise InputError(
                problem(
                    expected="false_positive to be at least true_negative",
                    found="a lower one",
                    todo="correct `costs` in the spec",
                )
            )

    def take(self, rows: IntArray) -> "OutcomeCosts":
        """Return the costs of some rows; scalars stay as they are."""

        def some(cost: FloatArray) -> FloatArray:
            return cost if cost.ndim == 0 else cost[rows]

        return OutcomeCosts(
            false_negative=some(self.false_negative),
            false_positive=some(self.false_positive),
            true_positive=some(self.true_positive),
            true_negative=some(self.true_negative),
        )

    @property
    def contact_cost(self) -> FloatArray:
        """FP - TN: what contacting a customer who stays costs. Scalar or (n,)."""
        return np.asarray(self.false_positive - self.true_negative)

    @property
    def leaver_gain(self) -> FloatArray:
        """FN - TP: what contacting a customer who leaves saves. Scalar or (n,); 0 or less if contacting never pays."""
        return np.asarray(self.false_negative - self.true_positive)


def outcome_costs(costs: Costs, worth: FloatArray | None = None, *, success: float | None = None) -> OutcomeCosts:
    """Return the cost of each outcome; one value per row if `costs` read a column of customers' worth.

    `worth` (n,) is money; it is required if `costs.value_column` is set and ignored otherwise. `success` replaces the share of contacted
    leavers who stay. The four cells are taken to state a success of 1: TP(s) = TP + (1 - s) (FN + (FP - TN) - TP).
    Raise InputError, with the count, if a worth is missing, negative or infinite.
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
        _require_worth(worth, costs.value_column) if costs.value_column else np.asarray(contact.value, dtype=np.float64)
    )
    stay = contact.success if success is None else success
    return OutcomeCosts(
        false_negative=value,
        false_positive=np.asarray(contact.cost),
        true_positive=contact.cost + (1.0 - stay) * value,
        true_negative=np.asarray(0.0),
    )


def _require_worth(worth: FloatArray | None, column: str | None) -> FloatArray:
    if worth is None:
        raise InputError(
            problem(
                expected=f"a worth for every customer in column {column}",
                found="no such column",
                todo="add it, or set costs.contact.value to one number",
            )
        )
    wrong = int((~np.isfinite(worth) | (worth < 0)).sum())
    if wrong:
        raise InputError(
            problem(
                expected=f"a worth of 0 or more for every customer in column {column}",
                found=f"a missing, negative or infinite worth in {wrong} of {len(worth)} rows",
                todo="fill the column, or set costs.contact.value to one number",
            )
        )
    return np.asarray(worth, dtype=np.float64)


def expected_cost(p: FloatArray, contact: BoolArray, costs: OutcomeCosts) -> FloatArray:
    """Return the money that each customer is expected to cost, given probabilities p (n,) and who is contacted (n,): (n,)."""
    contacted = p * costs.true_positive + (1.0 - p) * costs.false_positive
    not_contacted = p * costs.false_negative + (1.0 - p) * costs.true_negative
    return np.asarray(np.where(contact, contacted, not_contacted))


def actual_cost(y: Any, contact: BoolArray, costs: OutcomeCosts) -> FloatArray:
    """Return the money that each customer did cost, given outcomes y (n,), 1 for a leaver, and who was contacted (n,): (n,)."""
    return expected_cost(np.asarray(y, dtype=np.float64), contact, costs)
