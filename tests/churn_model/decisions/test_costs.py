"""Costs of the four outcomes as arrays."""

from typing import Any

import numpy as np
import pytest

from churn_model.decisions.costs import OutcomeCosts, actual_cost, outcome_costs
from churn_model.errors import InputError
from churn_model.spec.sections.costs import Contact, Costs, ValueColumn

WORKSHOP = Costs()
BY_WORTH = Costs(contact=Contact(cost=100, value=ValueColumn(column="worth")))


def cells(fn: Any, fp: Any, tp: Any, tn: Any) -> OutcomeCosts:
    return OutcomeCosts(
        false_negative=np.array(fn), false_positive=np.array(fp), true_positive=np.array(tp), true_negative=np.array(tn)
    )


@pytest.mark.parametrize("success", [1.0, 0.5, 0.3, 0.0])
def test_four_cells_and_a_contact_state_the_same_costs(success: float) -> None:
    contact = Costs(contact=Contact(cost=100, value=500.0, success=1.0))
    one, other = outcome_costs(WORKSHOP, success=success), outcome_costs(contact, success=success)
    for cell in ("false_negative", "false_positive", "true_positive", "true_negative"):
        assert getattr(one, cell) == pytest.approx(float(getattr(other, cell)))


def test_each_outcome_costs_its_cell() -> None:
    y, contact = np.array([1, 0, 1, 0]), np.array([False, True, True, False])
    assert actual_cost(y, contact, cells(500, 100, 90, 5)).tolist() == [500, 100, 90, 5]


def test_a_missing_worth_is_refused_with_the_count() -> None:
    with pytest.raises(InputError, match=r"(?i)found a missing, negative or infinite worth in 3 of 4 rows"):
        outcome_costs(BY_WORTH, np.array([np.nan, -1.0, np.inf, 500.0]))
    with pytest.raises(InputError, match=r"(?i)a worth for every customer in column worth; found no such column"):
        outcome_costs(BY_WORTH)


def test_impossible_costs_are_refused() -> None:
    with pytest.raises(InputError, match="false_positive to be at least true_negative"):
        cells(500, 0, 100, 1)
    with pytest.raises(InputError, match="finite costs for true_positive"):
        cells(500, 100, np.nan, 0)
