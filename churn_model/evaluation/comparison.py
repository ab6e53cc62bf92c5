"""Compare two models on the same rows: which rows are fair to both, and how sure the difference is.

What follows from a comparison is in `promotion`.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from churn_model.arrays import BoolArray, FloatArray
from churn_model.decisions.costs import actual_cost
from churn_model.decisions.policy import Policy
from churn_model.errors import InputError, problem
from churn_model.evaluation.metrics import Estimate, Scores, estimate
from churn_model.spec.column_names import name_key
from churn_model.spec.sections.split import Split
from churn_model.stats.bootstrap import Resamples, auc
from churn_model.stats.logistic import log_losses

SAME = 1e-9
LEAST_GAIN = 0.01
"""The least gain in log loss that promotes a candidate, as a share of the champion's."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Candidate minus champion, per row: below 0 the candidate is better. `high` is the 95% bound, `upper` the one-sided 97.5% bound."""

    candidate: float
    champion: float
    mean: float
    upper: float
    spread: Estimate


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two models on the rows that neither has seen.

    left_out       rows that may have trained the champion
    smallest_gain  the gain in log loss that would have promoted a candidate on these rows

    Figures are NaN if no row is left.
    """

    rows: int
    left_out: int
    leavers: int
    resamples: int
    same_probabilities: bool
    log_loss: Difference
    cost: Difference
    auc_candidate: float
    auc_champion: float
    smallest_gain: float

    @property
    def stayers(self) -> int:
        """Rows of customers who stayed."""
        return self.rows - self.leavers


def compare(
    candidate: Scores, champion: Scores, policy: Policy, *, unseen: BoolArray | None = None, draws: int | None = None
) -> Comparison:
    """Compare both models' probabilities of the same rows at today's costs. `unseen` (n,): rows that did not train the champion.

    Raise InputError unless both hold the same customers and labels in the same order.
    """
    same_rows = len(candidate.y) == len(champion.y) and bool((candidate.y == champion.y).all())
    if not same_rows or not (candidate.customers == champion.customers).all():
        raise InputError(
            problem(
                expected="candidate and champion on the same rows in the same order",
                found="other rows",
                todo="score both on one table",
            )
        )
    same = bool(np.abs(candidate.p - champion.p).max() <= SAME)
    total = len(candidate.y)
    if unseen is not None and not unseen.all():
        if not unseen.any():
            return _nothing_to_compare(total, same)
        candidate, champion = candidate.keep(unseen), champion.keep(unseen)
    return _compare_unseen(candidate, champion, policy, same=same, left_out=total - len(candidate.y), draws=draws)


def _compare_unseen(
    candidate: Scores, champion: Scores, policy: Policy, *, same: bool, left_out: int, draws: int | None
) -> Comparison:
    y, costs = candidate.y, policy.outcome_costs(candidate.worth)
    losses = [log_losses(y, model.p) for model in (candidate, champion)]
    # The worth of a customer is the same for both.
    money = [actual_cost(y, policy.decide(model.p, candidate.worth).contact, costs) for model in (candidate, champion)]
    resamples = Resamples(candidate.customers, draws)
    sums = resamples.sums(np.column_stack([np.ones(len(y)), losses[0] - losses[1], money[0] - money[1]]))
    log_loss, cost = _difference(losses, sums[:, 1] / sums[:, 0]), _difference(money, sums[:, 2] / sums[:, 0])
    return Comparison(
        rows=len(y),
        left_out=left_out,
        leavers=int(np.asarray(y, dtype=np.int64).sum()),
        resamples=resamples.draws or 0,
        same_probabilities=same,
        log_loss=log_loss,
        cost=cost,
        auc_candidate=auc(y, candidate.p),
        auc_champion=auc(y, champion.p),
        smallest_gain=max(log_loss.upper - log_loss.mean, LEAST_GAIN * log_loss.champion),
    )


def _difference(values: list[FloatArray], drawn: FloatArray) -> Difference:
    mean = float((values[0] - values[1]).mean())
    return Difference(
        candidate=float(values[0].mean()),
        champion=float(values[1].mean()),
        mean=mean,
        upper=float(np.quantile(drawn, 0.975)),
        spread=estimate(mean, drawn),
    )


def _nothing_to_compare(total: int, same: bool) -> Comparison:
    nan = float("nan")
    nothing = Difference(
        candidate=nan, champion=nan, mean=nan, upper=nan, spread=Estimate(value=nan, median=nan, low=nan, high=nan)
    )
    return Comparison(
        rows=0,
        left_out=total,
        leavers=0,
        resamples=0,
        same_probabilities=same,
        log_loss=nothing,
        cost=nothing,
        auc_candidate=nan,
        auc_champion=nan,
        smallest_gain=nan,
    )


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rows that two models treat alike, and how many of them left."""

    rows: int
    leavers: int


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Whom two models contact at the same costs."""

    both: Group
    only_first: Group
    only_second: Group
    neither: Group


def agreement(first: Scores, second: Scores, policy: Policy) -> Agreement:
    """Count whom each model contacts at today's costs; both score the same rows in the same order."""
    left = np.asarray(first.y) == 1
    one, two = (policy.decide(scores.p, first.worth).contact for scores in (first, second))

    def group(rows: BoolArray) -> Group:
        return Group(rows=int(rows.sum()), leavers=int((rows & left).sum()))

    return Agreement(
        both=group(one & two), only_first=group(one & ~two), only_second=group(~one & two), neither=group(~one & ~two)
    )


def auc_difference(first: Scores, second: Scores, draws: int | None = None) -> Estimate:
    """Return the AUC of `second` minus that of `first`, resampled in pairs; both score the same rows in the same order."""
    resamples = Resamples(first.customers, draws)
    drawn = resamples.auc(first.y, second.p) - resamples.auc(first.y, first.p)
    return estimate(auc(first.y, second.p) - auc(first.y, first.p), drawn)


def unseen_by_champion(ids: Iterable[str], *, champion: Split, today: Split) -> BoolArray:
    """Return which customers the champion cannot have been trained on (n,): those in its own test bucket.

    While the split rule is unchanged, these are all. A split by column says nothing about other rows: then there are none.
    """
    customers = list(ids)
    if _test_rule(champion) == _test_rule(today):
        return np.ones(len(customers), dtype=bool)
    if champion.by == "column":
        return np.zeros(len(customers), dtype=bool)
    edge = champion.test_share * 2.0**64
    return np.fromiter(
        (_hash(champion.seed, customer) < edge for customer in customers), dtype=bool, count=len(customers)
    )


def _test_rule(split: Split) -> tuple[object, ...]:
    """Return what decides who is tested. By hash and by time, the test customers are the same bucket."""
    if split.by == "column":
        return ("column", name_key(split.column or ""))
    return ("bucket", split.seed, split.test_share)


def _hash(seed: int, customer: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}:{customer}".encode(), digest_size=8).digest(), "big")
