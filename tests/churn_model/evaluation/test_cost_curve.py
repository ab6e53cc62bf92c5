"""Cost over every cutoff, and the cheapest one."""

import numpy as np
import pytest

from churn_model.decisions.costs import actual_cost, outcome_costs
from churn_model.evaluation.cost_curve import GRID, cost_curve
from churn_model.spec.sections.costs import Contact, Costs, ValueColumn
from churn_model.stats.bootstrap import Resamples

WORKSHOP = outcome_costs(Costs())


def test_the_curve_holds_the_cost_of_every_cutoff() -> None:
    rng = np.random.default_rng(0)
    p = np.round(rng.random(400), 2)
    y = (rng.random(400) < p).astype(np.int8)
    by_worth = Costs(contact=Contact(cost=100, value=ValueColumn(column="worth")))
    for costs in (WORKSHOP, outcome_costs(by_worth, rng.uniform(200, 900, 400))):
        curve, searched = cost_curve(y, p, costs, Resamples(np.arange(400), 200))
        brute = [actual_cost(y, p >= cutoff, costs).mean() for cutoff in GRID]
        assert curve.cost == pytest.approx(brute)
        assert curve.contacted == pytest.approx([(p >= cutoff).mean() for cutoff in GRID])
        assert searched.cost == pytest.approx(min(brute))
        assert searched.low <= searched.cutoff <= searched.high
        assert (curve.low <= curve.cost).all()
        assert (curve.cost <= curve.high).all()


def test_of_equally_cheap_cutoffs_the_middle_one_is_named() -> None:
    y, p = np.array([0, 1] * 50), np.array([0.1, 0.9] * 50)
    _, searched = cost_curve(y, p, WORKSHOP, Resamples(np.arange(100), 50))
    assert searched.cutoff == pytest.approx(0.5)
