"""Whom to contact."""

import re
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn_model.decisions.retention_list import History, Programme, Targeting, holdout_power, retention_list, says_yes
from churn_model.errors import InputError
from churn_model.spec.dataset import RetentionList

AUTUMN = Programme(name="autumn", period="2026-Q4")


def predictions(p: Any, ids: list[str] | None = None, **more: Any) -> pa.Table:
    p = np.asarray(p, dtype=np.float64)
    columns = {
        "id": pa.array(ids or [f"C{number:04d}" for number in range(len(p))], pa.string()),
        "churn_probability": pa.array(p),
        "will_churn": pa.array(p >= 0.2),
        "expected_saving": pa.array(500 * p - 100),
    }
    return pa.table({**columns, **more})


def target(rows: pa.Table, limits: RetentionList | None = None, **more: Any) -> Targeting:
    return retention_list(
        rows, limits or RetentionList(), contact_cost=more.pop("contact_cost", 100.0), programme=AUTUMN, **more
    )


def ids(found: Targeting) -> list[str]:
    return list(found.contacts["id"].to_pylist())


def test_the_best_come_first_and_nobody_below_the_cutoff_comes_at_all() -> None:
    found = target(predictions([0.1, 0.3, 0.9, 0.2, 0.5]))
    assert ids(found) == ["C0002", "C0004", "C0001", "C0003"]
    assert found.contacts["rank"].to_pylist() == [1, 2, 3, 4]
    assert found.counts["below the cutoff"] == 1
    assert found.expected_saving == pytest.approx(500 * 1.9 - 400)
    assert found.contact_cost == 400


def test_customers_who_save_the_same_come_by_id_whatever_the_order_of_the_files() -> None:
    p, names = [0.5, 0.5, 0.5, 0.7], ["d", "b", "c", "a"]
    assert ids(target(predictions(p, names))) == ids(target(predictions(p[::-1], names[::-1]))) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("limits", "listed", "reason"),
    [
        (RetentionList(capacity=2), 2, "beyond the capacity"),
        (RetentionList(budget=250), 2, "beyond the budget"),
        (RetentionList(budget=300, capacity=4), 3, "beyond the budget"),
        (RetentionList(budget=10_000, capacity=1), 1, "beyond the capacity"),
        (RetentionList(budget=99), 0, "beyond the budget"),
    ],
)
def test_the_list_stays_within_budget_and_capacity_and_says_which_ended_it(
    limits: RetentionList, listed: int, reason: str
) -> None:
    found = target(predictions([0.9, 0.8, 0.7, 0.6, 0.5]), limits)
    assert found.listed == listed
    assert found.counts[reason] == 5 - listed
    assert found.rows["left_out"].to_pylist() == [None] * listed + [reason] * (5 - listed)


def test_a_free_contact_needs_no_budget() -> None:
    assert target(predictions([0.9, 0.8]), RetentionList(budget=1), contact_cost=0.0).listed == 2


def test_whoever_opted_out_or_was_listed_not_long_ago_is_left_out_and_counted() -> None:
    found = target(
        predictions([0.9, 0.8, 0.7, 0.1]),
        RetentionList(opt_out="no calls"),
        opted_out=np.array([True, False, False, True]),
        history=History(listed=frozenset({"C0001", "somebody else"})),
    )
    assert ids(found) == ["C0002"]
    assert found.rows["left_out"].to_pylist() == ["opted out", "listed not long ago", None, "below the cutoff"]


def test_a_customer_is_listed_once_by_the_latest_snapshot() -> None:
    dates = pa.array([date(2026, 1, 1), date(2026, 2, 1), date(2026, 1, 1), date(2026, 2, 1)])
    found = target(predictions([0.9, 0.4, 0.8, 0.1], ["a", "a", "b", "b"], as_of=dates))
    assert ids(found) == ["a"]
    assert found.rows["left_out"].to_pylist() == [
        "another row of this customer",
        None,
        "another row of this customer",
        "below the cutoff",
    ]
    assert ids(target(predictions([0.4, 0.9], ["a", "a"]))) == ["a"]


def test_an_opt_out_in_one_row_speaks_for_all_rows_of_the_customer() -> None:
    dates = pa.array([date(2026, 1, 1), date(2026, 2, 1)])
    rows = predictions([0.9, 0.9], ["a", "a"], as_of=dates)
    assert target(rows, opted_out=np.array([True, False])).listed == 0


def test_the_hold_out_is_drawn_from_the_list_keeps_its_place_and_is_not_contacted() -> None:
    found = target(predictions(np.linspace(0.99, 0.01, 2000)), RetentionList(capacity=1000, holdout=0.2))
    rows = found.rows
    listed, held, called = (rows[name].to_numpy(zero_copy_only=False) for name in ("listed", "held_out", "contacted"))
    assert listed.sum() == 1000
    assert 150 < held.sum() < 250
    assert (called == (listed & ~held)).all()
    assert not (held & ~listed).any()
    assert len(found.contacts) == called.sum()
    assert rows["propensity"].to_numpy() == pytest.approx(np.where(listed, 0.8, 0.0))


def test_the_budget_pays_for_calls_only() -> None:
    found = target(predictions(np.linspace(0.99, 0.5, 200)), RetentionList(budget=5000, holdout=0.3))
    assert len(found.contacts) == 50
    assert found.listed == 50 + found.held_out


def test_the_same_programme_and_period_hold_out_the_same_customers_and_others_hold_out_others() -> None:
    rows, limits = predictions(np.full(500, 0.9)), RetentionList(holdout=0.5)
    again = target(rows.take(pa.array(np.arange(499, -1, -1))), limits)
    assert sorted(ids(target(rows, limits))) == sorted(ids(again))
    other = retention_list(rows, limits, contact_cost=1, programme=Programme(name="autumn", period="2027-Q1"))
    assert set(ids(other)) != set(ids(again))


def test_an_earlier_assignment_holds_while_its_outcome_is_open() -> None:
    rows = predictions(np.full(100, 0.9))
    settled = {f"C{number:04d}": number % 2 == 0 for number in range(100)}
    found = target(rows, RetentionList(holdout=0.1), history=History(held_out=settled))
    assert found.rows["held_out"].to_pylist() == list(settled.values())


@settings(max_examples=40, deadline=None)
@given(
    p=st.lists(st.floats(0, 1), max_size=40),
    capacity=st.none() | st.integers(1, 50),
    budget=st.none() | st.floats(1, 5000),
    holdout=st.floats(0, 0.9),
    seed=st.integers(0, 100),
)
def test_every_row_is_accounted_for(
    p: list[float], capacity: int | None, budget: float | None, holdout: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    names = [f"C{number}" for number in rng.integers(0, max(1, len(p)), len(p))]
    limits = RetentionList(capacity=capacity, budget=budget, holdout=holdout)
    found = target(predictions(p, names), limits, opted_out=rng.random(len(p)) < 0.2, history=History(listed={"C1"}))
    assert found.rows.num_rows == len(p)
    left_out = sum(count for name, count in found.counts.items() if name not in ("listed", "held out", "to contact"))
    assert found.listed + left_out == len(p)
    assert found.listed == found.held_out + len(found.contacts)
    assert len(set(ids(found))) == len(found.contacts)
    assert found.listed <= (capacity or len(p))
    assert found.contact_cost <= (budget or np.inf) + 1e-6
    saving = found.contacts["expected_saving"].to_numpy()
    assert (np.diff(saving) <= 0).all()


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["Yes", " TRUE. ", "1", "no", "", None]),
        pa.array(["Yes", "t", "y", "no", "F", None]).dictionary_encode(),
        pa.array([True, True, True, False, False, None]),
        pa.array([1.0, 1.0, 1.0, 0.0, 0.0, None]),
        pa.chunked_array([["yes", "1.0"], ["True.", "n", "0.0", None]]),
    ],
    ids=["text", "dictionary", "bool", "number", "chunked"],
)
def test_yes_true_and_one_are_an_opt_out(column: Any) -> None:
    assert says_yes(column, "no calls").tolist() == [True, True, True, False, False, False]


@pytest.mark.parametrize(
    ("column", "found"),
    [
        (pa.array(["yes", "Ja", "Nein", None]), "'Ja', 'Nein'"),
        (pa.array(["no", "x" * 41, "?", "x"]).dictionary_encode(), "a value of 41 characters, '?', 'x'"),
        (pa.array([0.0, 1.0, 2.0, 3.0, 4.0, 0.5]), "'2', '3', '4' and 1 more"),
        (pa.chunked_array([["yes"], ["NA"]]), "'NA'"),
    ],
    ids=["text", "dictionary", "number", "chunked"],
)
def test_an_opt_out_that_is_neither_yes_nor_no_is_never_taken_for_a_no(column: Any, found: str) -> None:
    message = f"expected yes (yes, true, 1, y, t), no (no, false, 0, n, f) or a blank, which is no, in the opt-out column 'no calls'; found {found}"
    with pytest.raises(InputError, match=re.escape(message) + " in the batch; write yes or no"):
        says_yes(column, "no calls")


def test_the_report_knows_before_sending_what_a_hold_out_can_show() -> None:
    found = holdout_power(contacted=450, held_out=50, churn_rate=0.25, worth=500, effect=38)
    assert found.half_width == pytest.approx(61, abs=0.5)
    assert found.can_say
    few = holdout_power(contacted=80, held_out=9, churn_rate=0.25, worth=500)
    assert not few.can_say
    assert np.isinf(holdout_power(contacted=100, held_out=0, churn_rate=0.25, worth=500).half_width)


def test_all_that_is_wrong_is_said_at_once() -> None:
    rows = predictions([0.5]).drop_columns(["will_churn"])
    with pytest.raises(
        InputError,
        match=r"(?s)expected column will_churn; found none.*contact that costs 0 or more.*opt-out column calls; found none",
    ):
        target(rows, RetentionList(opt_out="calls"), contact_cost=-1.0)
    with pytest.raises(InputError, match="expected an opt-out for each of 1 rows; found 2 opt-outs"):
        target(predictions([0.5]), opted_out=np.array([True, False]))


def test_an_empty_batch_gives_an_empty_list() -> None:
    found = target(predictions([]), RetentionList(holdout=0.1))
    assert (found.rows.num_rows, found.contacts.num_rows, found.listed) == (0, 0, 0)
