"""Whom the policy contacts, whatever the probabilities."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn_model.arrays import FloatArray
from churn_model.decisions.costs import OutcomeCosts, expected_cost
from churn_model.decisions.policy import Policy, bayes_cutoff, decide
from churn_model.errors import InputError
from churn_model.spec.sections.costs import Contact, Costs, ValueColumn

WORKSHOP = Policy(Costs())
BY_WORTH = Policy(Costs(contact=Contact(cost=100, value=ValueColumn(column="worth"))))

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
def test_the_cutoff_follows_how_often_a_contact_works(success: float, cutoff: float) -> None:
    assert bayes_cutoff(WORKSHOP.outcome_costs(success=success)) == pytest.approx(cutoff)


def test_a_contact_states_its_cost_and_success() -> None:
    policy = Policy(Costs(contact=Contact(cost=80, value=400.0, success=0.6)))
    assert policy.decide(np.array([0.5])).cutoff == pytest.approx(1 / 3)
    assert (policy.contact_cost, policy.assumed_success) == (80, 0.6)
    cheap = Policy(Costs(false_negative=500, false_positive=100, true_positive=90, true_negative=5))
    assert (cheap.contact_cost, cheap.assumed_success) == (95, 1.0)


def test_a_contact_begins_at_the_cutoff_itself() -> None:
    decisions = WORKSHOP.decide(np.array([0.2, np.nextafter(0.2, 0)]))
    assert decisions.contact.tolist() == [True, False]
    assert decisions.expected_saving == pytest.approx([0, 0])


def test_the_expected_saving_is_money() -> None:
    assert WORKSHOP.decide(np.array([0.0, 0.5, 1.0])).expected_saving.tolist() == [-100, 150, 400]


def test_each_customer_has_a_cutoff_if_worth_is_a_column() -> None:
    decisions = BY_WORTH.decide(np.full(4, 1.0), np.array([500.0, 1000.0, 50.0, 0.0]))
    assert decisions.cutoff[:2] == pytest.approx([0.2, 0.1])
    assert np.isinf(decisions.cutoff[2:]).all()
    assert decisions.contact.tolist() == [True, True, False, False]
    assert decisions.expected_saving.tolist() == [400, 900, -50, -100]


def test_worth_is_read_from_the_rows_by_any_case_of_its_name() -> None:
    rows = pa.table({"Worth": [500, 100], "plan": ["a", "b"]})
    worth = BY_WORTH.worth(rows)
    assert worth is not None
    assert worth.tolist() == [500.0, 100.0]
    assert WORKSHOP.worth(rows) is None


def test_rows_without_a_worth_are_refused() -> None:
    rows = pa.table({"plan": ["a", "b"]})
    with pytest.raises(InputError, match=r"(?i)a worth for every customer in column worth; found no such column"):
        BY_WORTH.decide(np.array([0.1, 0.9]), BY_WORTH.worth(rows))
    with pytest.raises(InputError, match=r"(?i)numbers in worth; found text"):
        BY_WORTH.worth(pa.table({"worth": ["much", "little"]}))


@given(any_cells(), probabilities)
def test_a_free_contact_reaches_everybody(given: OutcomeCosts, p: FloatArray) -> None:
    free = cells(given.false_negative, given.true_negative, given.true_positive, given.true_negative)
    assert decide(p, free).contact.all()


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
    ours = expected_cost(p, decide(p, given).contact, given).sum()
    scale = max(
        float(np.abs(value).max())
        for value in (given.false_negative, given.false_positive, given.true_positive, given.true_negative)
    )
    for other in [*p, np.inf, 0.0]:
        assert ours <= expected_cost(p, p >= other, given).sum() + 1e-9 * scale * len(p)


@given(any_cells(), money)
def test_the_cutoff_is_monotone_in_the_costs(given: OutcomeCosts, more: float) -> None:
    fn, fp, tp, tn = given.false_negative, given.false_positive, given.true_positive, given.true_negative
    cutoff = bayes_cutoff(given)
    assert bayes_cutoff(cells(fn + more, fp, tp, tn)) <= cutoff
    assert bayes_cutoff(cells(fn, fp + more, tp, tn)) >= cutoff


@given(any_cells(), probabilities)
def test_every_contact_is_expected_to_save_money(given: OutcomeCosts, p: FloatArray) -> None:
    decisions = decide(p, given)
    saving, contact = decisions.expected_saving, decisions.contact
    scale = float(given.contact_cost + given.leaver_gain)
    assert (saving[contact] >= -1e-9 * scale).all()
    assert (saving[~contact] <= 1e-9 * scale).all()
    assert expected_cost(p, ~contact, given) - expected_cost(p, contact, given) == pytest.approx(
        np.where(contact, saving, -saving), abs=1e-6
    )
