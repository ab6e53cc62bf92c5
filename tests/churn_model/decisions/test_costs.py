"""The cutoff: what money says, whatever the probabilities."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn_model.decisions.costs import (
    GRID,
    OutcomeCosts,
    assumed_success,
    bayes_cutoff,
    contacted,
    cost_curve,
    cost_of,
    expected_cost,
    expected_saving,
    outcome_costs,
)
from churn_model.errors import InputError
from churn_model.spec.dataset import Contact, Costs, FloatArray, ValueColumn
from churn_model.stats.bootstrap import Resamples

WORKSHOP = Costs()
BY_VALUE = Costs(contact=Contact(cost=100, value=ValueColumn(column="worth")))

money = st.floats(0.01, 1e6)
probabilities = st.lists(st.floats(0, 1), min_size=1, max_size=20).map(np.array)


def cells(fn: Any, fp: Any, tp: Any, tn: Any) -> OutcomeCosts:
    return OutcomeCosts(
        false_negative=np.array(fn), false_positive=np.array(fp), true_positive=np.array(tp), true_negative=np.array(tn)
    )


@st.composite
def any_cells(draw: st.DrawFn) -> OutcomeCosts:
    tn, tp = draw(st.floats(-1e4, 1e4)), draw(st.floats(-1e4, 1e4))
    return cells(tp + draw(money), tn + draw(money), tp, tn)


@pytest.mark.parametrize(
    ("success", "cutoff"),
    [(1.0, 0.2), (0.6, 1 / 3), (0.3, 2 / 3), (0.2, np.inf), (0.1, np.inf)],
)
def test_the_break_even_probability_follows_how_often_a_contact_works(success: float, cutoff: float) -> None:
    assert bayes_cutoff(outcome_costs(WORKSHOP, success=success)) == pytest.approx(cutoff)


def test_the_cells_and_the_contact_say_the_same() -> None:
    as_contact = Costs(contact=Contact(cost=100, value=500.0, success=1.0))
    for success in (1.0, 0.5, 0.3, 0.0):
        one, other = outcome_costs(WORKSHOP, success=success), outcome_costs(as_contact, success=success)
        assert one.true_positive == pytest.approx(float(other.true_positive))
        assert bayes_cutoff(one) == pytest.approx(float(bayes_cutoff(other)))


def test_a_contact_states_its_own_success() -> None:
    costs = Costs(contact=Contact(cost=100, value=500.0, success=0.6))
    assert bayes_cutoff(outcome_costs(costs)) == pytest.approx(1 / 3)
    assert assumed_success(costs) == 0.6
    assert assumed_success(WORKSHOP) == 1.0


def test_each_customer_has_a_cutoff_of_its_own_where_worth_is_a_column() -> None:
    found = bayes_cutoff(outcome_costs(BY_VALUE, np.array([500.0, 1000.0, 50.0, 0.0])))
    assert found[:2] == pytest.approx([0.2, 0.1])
    assert np.isinf(found[2:]).all()
    assert contacted(np.full(4, 1.0), found).tolist() == [True, True, False, False]


@given(any_cells(), probabilities)
def test_a_free_offer_contacts_all(given: OutcomeCosts, p: FloatArray) -> None:
    free = cells(given.false_negative, given.true_negative, given.true_positive, given.true_negative)
    assert contacted(p, bayes_cutoff(free)).all()


@given(any_cells(), st.floats(0.001, 1000))
def test_scaling_all_costs_changes_nothing(given: OutcomeCosts, factor: float) -> None:
    scaled = cells(
        *(
            factor * value
            for value in (given.false_negative, given.false_positive, given.true_positive, given.true_negative)
        )
    )
    assert bayes_cutoff(scaled) == pytest.approx(float(bayes_cutoff(given)), rel=1e-6, abs=1e-9)


@given(any_cells(), probabilities)
def test_no_other_cutoff_is_expected_to_cost_less(given: OutcomeCosts, p: FloatArray) -> None:
    ours = expected_cost(p, contacted(p, bayes_cutoff(given)), given).sum()
    scale = max(
        float(np.abs(value).max())
        for value in (given.false_negative, given.false_positive, given.true_positive, given.true_negative)
    )
    for other in [*p, np.inf, 0.0]:
        assert ours <= expected_cost(p, contacted(p, other), given).sum() + 1e-9 * scale * len(p)


@given(any_cells(), money)
def test_the_cutoff_is_monotone_in_the_costs(given: OutcomeCosts, more: float) -> None:
    fn, fp, tp, tn = given.false_negative, given.false_positive, given.true_positive, given.true_negative
    cutoff = bayes_cutoff(given)
    assert bayes_cutoff(cells(fn + more, fp, tp, tn)) <= cutoff
    assert bayes_cutoff(cells(fn, fp + more, tp, tn)) >= cutoff


@given(any_cells(), probabilities)
def test_whoever_is_contacted_is_expected_to_save_money(given: OutcomeCosts, p: FloatArray) -> None:
    saving, chosen = expected_saving(p, given), contacted(p, bayes_cutoff(given))
    scale = float(given.contact_cost + given.leaver_gain)
    assert (saving[chosen] >= -1e-9 * scale).all()
    assert (saving[~chosen] <= 1e-9 * scale).all()
    assert expected_cost(p, ~chosen, given) - expected_cost(p, chosen, given) == pytest.approx(
        np.where(chosen, saving, -saving), abs=1e-6
    )


def test_contacting_begins_at_the_cutoff_itself() -> None:
    assert contacted(np.array([0.2, np.nextafter(0.2, 0)]), bayes_cutoff(outcome_costs(WORKSHOP))).tolist() == [
        True,
        False,
    ]


def test_each_outcome_costs_its_cell() -> None:
    y, chosen = np.array([1, 0, 1, 0]), np.array([False, True, True, False])
    assert cost_of(y, chosen, cells(500, 100, 90, 5)).tolist() == [500, 100, 90, 5]


def test_the_curve_holds_the_cost_of_every_cutoff() -> None:
    rng = np.random.default_rng(0)
    p = np.round(rng.random(400), 2)
    y = (rng.random(400) < p).astype(np.int8)
    worth = rng.uniform(200, 900, 400)
    for present in (outcome_costs(WORKSHOP), outcome_costs(BY_VALUE, worth)):
        curve, searched = cost_curve(y, p, present, Resamples(np.arange(400), 200))
        brute = [cost_of(y, contacted(p, cutoff), present).mean() for cutoff in GRID]
        assert curve.cost == pytest.approx(brute)
        assert curve.contacted == pytest.approx([(p >= cutoff).mean() for cutoff in GRID])
        assert searched.cost == pytest.approx(min(brute))
        assert searched.low <= searched.cutoff <= searched.high
        assert (curve.low <= curve.cost).all()
        assert (curve.cost <= curve.high).all()


def test_the_searched_cutoff_is_the_middle_of_those_that_cost_the_same() -> None:
    y, p = np.array([0, 1] * 50), np.array([0.1, 0.9] * 50)
    _, searched = cost_curve(y, p, outcome_costs(WORKSHOP), Resamples(np.arange(100), 50))
    assert searched.cutoff == pytest.approx(0.5)


def test_a_missing_worth_is_an_error_with_the_count() -> None:
    with pytest.raises(InputError, match="found 3 of 4 rows with none, a negative or an infinite one"):
        outcome_costs(BY_VALUE, np.array([np.nan, -1.0, np.inf, 500.0]))
    with pytest.raises(InputError, match="expected a worth for every customer in column worth; found no such column"):
        outcome_costs(BY_VALUE)


def test_cells_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="expected false_positive at least true_negative"):
        cells(500, 0, 100, 1)
    with pytest.raises(InputError, match="expected finite costs for true_positive"):
        cells(500, 100, np.nan, 0)
