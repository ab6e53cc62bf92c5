"""The decision about one customer: `policy.decide` without arrays, bit for bit.

An array of one value costs as much as one of thousands: 40 microseconds of the hundred that an answer takes.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from churn_model.decisions.policy import Policy


class Decision(NamedTuple):
    """Whether to contact a customer, the money that it is expected to save, and the probability from which it pays."""

    contact: bool
    expected_saving: float
    cutoff: float


def make_decider(policy: Policy) -> Callable[[float, float | None], Decision]:
    """Return what decides for a calibrated probability and a worth of 0 or more, which only costs that read one look at."""
    costs = policy.costs
    if costs.value_column is None or costs.contact is None:
        fixed = policy.outcome_costs()
        return lambda p, _: _decide(p, contact_cost=float(fixed.contact_cost), gain=float(fixed.leaver_gain))
    price, success = costs.contact.cost, costs.contact.success

    def decide(p: float, worth: float | None) -> Decision:
        if worth is None:
            raise ValueError("the costs read a worth, and there is none")
        return _decide(p, contact_cost=price - 0.0, gain=worth - (price + (1.0 - success) * worth))

    return decide


def _decide(p: float, *, contact_cost: float, gain: float) -> Decision:
    cutoff = contact_cost / (contact_cost + gain) if gain > 0 else math.inf
    return Decision(p >= cutoff, p * gain - (1.0 - p) * contact_cost, cutoff)
