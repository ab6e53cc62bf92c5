"""Evaluate one model on rows that it never saw: figures with confidence intervals.

Two models on the same rows are compared in `comparison`; groups of customers are in `segments`; what follows from the figures is in `promotion`.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from churn_model.arrays import BoolArray, FloatArray, IntArray
from churn_model.decisions.costs import OutcomeCosts, actual_cost
from churn_model.decisions.policy import Decisions, Policy
from churn_model.errors import InputError, listed, problem
from churn_model.evaluation.cost_curve import CostCurve, SearchedCutoff, cost_curve
from churn_model.evaluation.reliability import (
    BINS,
    CalibrationBin,
    calibration_bin,
    calibration_bins,
    slope_columns,
)
from churn_model.stats.bootstrap import Resamples, auc, number_customers
from churn_model.stats.logistic import log_losses

SUCCESSES = (1.0, 0.5, 0.3)
TOP_SHARES = (0.05, 0.10, 0.20)
Sums = dict[str, FloatArray]


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Labels and probabilities of the rows to evaluate, all of length n and in the same order. Raise InputError with all that is wrong.

    ids    ids or hashes, one per customer
    y      1 if the customer left
    p      the calibrated probability
    worth  the customer's value; None unless the costs read a column
    """

    ids: Any
    y: np.ndarray[Any, Any]
    p: FloatArray
    worth: FloatArray | None = None

    def __post_init__(self) -> None:
        n = len(self.y)
        lengths = {"ids": len(self.ids), "p": len(self.p), "worth": n if self.worth is None else len(self.worth)}
        problems = [
            problem(expected=f"{n} {name}", found=str(k), todo="pass rows of one table")
            for name, k in lengths.items()
            if k != n
        ]
        if n == 0:
            problems.append(problem(expected="at least one row to judge", found="none", todo="look at the split"))
        if not np.isin(self.y, (0, 1)).all():
            problems.append(problem(expected="labels 0 or 1", found="others", todo="judge ingested rows"))
        outside = int((~((self.p >= 0) & (self.p <= 1))).sum())
        if outside:
            problems.append(
                problem(
                    expected="probabilities from 0 to 1",
                    found=f"{outside} others",
                    todo="judge calibrated probabilities",
                )
            )
        if problems:
            raise InputError(listed(problems))

    @cached_property
    def customers(self) -> IntArray:
        """The number of each row's customer (n,)."""
        return number_customers(self.ids)

    def keep(self, rows: BoolArray) -> "Scores":
        """Return the scores of the rows chosen by the mask `rows` (n,)."""
        ids = np.asarray(self.customers)[rows]
        return Scores(ids=ids, y=self.y[rows], p=self.p[rows], worth=None if self.worth is None else self.worth[rows])


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure, and the median, 5% and 95% quantile of its resamples: `low` is the one-sided 95% bound."""

    value: float
    median: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class SavingAt:
    """What is saved per customer against contacting nobody, with the same contacts, if this share of contacted leavers stays."""

    success: float
    saving: Estimate


@dataclass(frozen=True, kw_only=True)
class Money:
    """Money per customer; a positive saving means that the model is cheaper. `cost_perfect`: the cost if it were known who leaves."""

    assumed_success: float
    cost: Estimate
    cost_nobody: float
    cost_everybody: float
    cost_perfect: float
    saving_nobody: Estimate
    saving_everybody: Estimate
    saving_better: Estimate
    better_without_model: str
    saving_at: tuple[SavingAt, ...]


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What calling the first customers by probability finds. `lift`: leavers among them as a multiple of leavers among all."""

    share: float
    customers: int
    leavers: int
    lift: Estimate
    share_of_leavers: Estimate
    calls_per_leaver: float


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Customers by what was done and what came, and the money that each cell cost in all."""

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int
    true_positives_cost: float
    false_positives_cost: float
    false_negatives_cost: float
    true_negatives_cost: float


@dataclass(frozen=True, kw_only=True)
class Contacts:
    """The effect of contacting at the cutoff: a range if worth is a column, infinite if contacting never pays."""

    cutoff: float
    cutoff_lowest: float
    cutoff_highest: float
    contacted: int
    leavers_reached: int
    calls_per_leaver: float
    precision: Estimate
    recall: Estimate
    f1: Estimate
    confusion: Confusion


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All figures of one model on the evaluated rows. Numbers are not rounded; NaN if a figure cannot be computed.

    outer_folds  0 if the rows are those of the test split; otherwise the number of outer folds, each row judged by a model of its own fold
    """

    rows: int
    customers: int
    leavers: int
    resamples: int
    auc: Estimate
    auc_lower_99: float
    log_loss: Estimate
    log_loss_without_model: float
    brier: Estimate
    ece: Estimate
    calibration_slope: Estimate
    money: Money
    contacts: Contacts
    reach: tuple[Reach, ...]
    curve: CostCurve
    searched: SearchedCutoff
    calibration: tuple[CalibrationBin, ...]
    outer_folds: int = 0

    @property
    def base_rate(self) -> float:
        """The share of rows that left."""
        return self.leavers / self.rows


def evaluate(scores: Scores, policy: Policy, *, draws: int | None = None, outer_folds: int = 0) -> Evaluation:
    """Return every figure of one model at today's costs. `draws`: resamples; None is 2,000, fewer above 20,000 rows."""
    y, p = np.asarray(scores.y, dtype=np.float64), np.asarray(scores.p, dtype=np.float64)
    costs, decisions = policy.outcome_costs(scores.worth), policy.decide(p, scores.worth)
    resamples = Resamples(scores.customers, draws)
    columns = _columns(scores, decisions.contact, policy)
    point = _figures({name: np.array([column.sum()]) for name, column in columns.items()})
    drawn_sums = resamples.sums(np.column_stack(list(columns.values())))
    drawn = _figures(dict(zip(columns, drawn_sums.T, strict=True)))
    aucs = resamples.auc(y, p)
    curve, searched = cost_curve(y, p, costs, resamples)

    def figure(name: str) -> Estimate:
        return estimate(float(point[name][0]), drawn[name])

    rate = y.mean()
    return Evaluation(
        rows=len(y),
        customers=int(scores.customers.max()) + 1,
        leavers=int(y.sum()),
        resamples=resamples.draws or 0,
        auc=estimate(auc(y, p), aucs),
        auc_lower_99=_quantile(aucs, 0.01),
        log_loss=figure("log_loss"),
        log_loss_without_model=float(log_losses(y, np.full(len(y), rate)).mean()),
        brier=figure("brier"),
        ece=figure("ece"),
        calibration_slope=figure("slope"),
        money=_money(point, figure, policy),
        contacts=_contacts(y, decisions, costs, figure),
        reach=tuple(_reach(y, p, share, figure) for share in TOP_SHARES),
        curve=curve,
        searched=searched,
        calibration=calibration_bins(y, p),
        outer_folds=outer_folds,
    )


def estimate(value: float, drawn: FloatArray) -> Estimate:
    """Return a figure with the spread of its resamples (draws,), without those that have no value."""
    return Estimate(value=value, median=_quantile(drawn, 0.5), low=_quantile(drawn, 0.05), high=_quantile(drawn, 0.95))


def _quantile(drawn: FloatArray, level: float) -> float:
    known = drawn[np.isfinite(drawn)]
    return float(np.quantile(known, level)) if len(known) else float("nan")


def _columns(scores: Scores, contact: BoolArray, policy: Policy) -> Sums:
    """Return the columns, one value per row, of whose sums the figures are functions."""
    y, p = np.asarray(scores.y, dtype=np.float64), np.asarray(scores.p, dtype=np.float64)
    everybody = np.ones(len(y), dtype=bool)
    costs = policy.outcome_costs(scores.worth)
    nobody = actual_cost(y, ~everybody, costs)
    columns = {
        "rows": np.ones(len(y)),
        "leavers": y,
        "log_loss": log_losses(y, p),
        "brier": (y - p) ** 2,
        "cost": actual_cost(y, contact, costs),
        "nobody": nobody,
        "everybody": actual_cost(y, everybody, costs),
        "perfect": actual_cost(y, y == 1, costs),
        "contacted": contact.astype(np.float64),
        "reached": contact * y,
    }
    for success in SUCCESSES:
        columns[f"saved {success}"] = nobody - actual_cost(
            y, contact, policy.outcome_costs(scores.worth, success=success)
        )
    for number in range(BINS):
        columns[f"bin {number}"] = (calibration_bin(p) == number) * (y - p)
    for share in TOP_SHARES:
        top = first_by_probability(p, share)
        columns |= {f"top {share}": top.astype(np.float64), f"top leavers {share}": top * y}
    return columns | slope_columns(y, p)


def first_by_probability(p: FloatArray, share: float) -> BoolArray:
    """Return the mask (n,) of the rows with the highest probabilities: at least one; of equal ones the earlier first."""
    chosen = np.zeros(len(p), dtype=bool)
    chosen[np.argsort(-p, kind="stable")[: max(1, round(share * len(p)))]] = True
    return chosen


def _figures(s: Sums) -> Sums:
    """Compute the figures from sums, by the same formulas for the rows themselves (1,) and for every draw (draws,)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        n = s["rows"]
        figures = {name: s[name] / n for name in ("log_loss", "brier", "cost", "nobody", "everybody", "perfect")}
        figures["ece"] = sum((np.abs(s[f"bin {k}"]) for k in range(BINS)), np.zeros(len(n))) / n
        determinant = s["h00"] * s["h11"] - s["h01"] ** 2
        figures["slope"] = s["slope"] + (s["h00"] * s["g1"] - s["h01"] * s["g0"]) / determinant
        figures["saving_nobody"] = (s["nobody"] - s["cost"]) / n
        figures["saving_everybody"] = (s["everybody"] - s["cost"]) / n
        figures["saving_better"] = np.minimum(figures["saving_nobody"], figures["saving_everybody"])
        figures |= {f"saved {success}": s[f"saved {success}"] / n for success in SUCCESSES}
        figures["precision"] = s["reached"] / s["contacted"]
        figures["recall"] = s["reached"] / s["leavers"]
        figures["f1"] = 2 * s["reached"] / (s["contacted"] + s["leavers"])
        for share in TOP_SHARES:
            figures[f"lift {share}"] = (s[f"top leavers {share}"] / s[f"top {share}"]) / (s["leavers"] / n)
            figures[f"found {share}"] = s[f"top leavers {share}"] / s["leavers"]
    return figures


def _money(point: Sums, figure: Any, policy: Policy) -> Money:
    nobody, everybody = float(point["nobody"][0]), float(point["everybody"][0])
    return Money(
        assumed_success=policy.assumed_success,
        cost=figure("cost"),
        cost_nobody=nobody,
        cost_everybody=everybody,
        cost_perfect=float(point["perfect"][0]),
        saving_nobody=figure("saving_nobody"),
        saving_everybody=figure("saving_everybody"),
        saving_better=figure("saving_better"),
        better_without_model="nobody" if nobody <= everybody else "everybody",
        saving_at=tuple(SavingAt(success=success, saving=figure(f"saved {success}")) for success in SUCCESSES),
    )


def _contacts(y: FloatArray, decisions: Decisions, costs: OutcomeCosts, figure: Any) -> Contacts:
    contact, cutoff = decisions.contact, decisions.cutoff
    left, cost = y == 1, actual_cost(y, contact, costs)
    masks = {
        "true_positives": contact & left,
        "false_positives": contact & ~left,
        "false_negatives": ~contact & left,
        "true_negatives": ~contact & ~left,
    }
    counts = {name: int(mask.sum()) for name, mask in masks.items()}
    return Contacts(
        cutoff=float(np.quantile(cutoff, 0.5, method="lower")),
        cutoff_lowest=float(cutoff.min()),
        cutoff_highest=float(cutoff.max()),
        contacted=int(contact.sum()),
        leavers_reached=counts["true_positives"],
        calls_per_leaver=_ratio(int(contact.sum()), counts["true_positives"]),
        precision=figure("precision"),
        recall=figure("recall"),
        f1=figure("f1"),
        confusion=Confusion(**counts, **{f"{name}_cost": float(cost[mask].sum()) for name, mask in masks.items()}),  # type: ignore[arg-type]
    )


def _ratio(a: int, b: int) -> float:
    return a / b if b else float("nan")


def _reach(y: FloatArray, p: FloatArray, share: float, figure: Any) -> Reach:
    top = first_by_probability(p, share)
    found = int(y[top].sum())
    return Reach(
        share=share,
        customers=int(top.sum()),
        leavers=found,
        lift=figure(f"lift {share}"),
        share_of_leavers=figure(f"found {share}"),
        calls_per_leaver=_ratio(int(top.sum()), found),
    )
