"""Whom to contact."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn_model.decisions.holdout import Draws, HoldoutDraw
from churn_model.decisions.retention_list import (
    BELOW_CUTOFF,
    COOLDOWN,
    LISTED,
    OPTED_OUT,
    OTHER_ROW,
    OVER_BUDGET,
    OVER_CAPACITY,
    History,
    Selection,
    row_status,
    select_customers,
)
from churn_model.errors import InputError
from churn_model.spec.sections.retention_list import RetentionList

AUTUMN = HoldoutDraw(programme="autumn", period="2026-Q4")


def names(count: int) -> list[str]:
    return [f"C{number:04d}" for number in range(count)]


def select(saving: Any, limits: RetentionList | None = None, ids: list[str] | None = None, **more: Any) -> Selection:
    saving = np.asarray(saving, dtype=np.float64)
    texts = pa.array(ids or names(len(saving)), pa.large_string())
    settings_ = {"contact_cost": 100.0, "draw": AUTUMN, "history": History(), **more}
    return select_customers(texts, saving, limits or RetentionList(), **settings_)


def drawn(ids: list[str], *, held_out: bool = False, propensity: float = 0.7) -> Draws:
    return Draws(
        ids=pa.array(ids, pa.string()), held_out=np.full(len(ids), held_out), propensity=np.full(len(ids), propensity)
    )


def test_the_best_come_first() -> None:
    found = select([1, 30, 90, 20, 50])
    assert found.order.tolist() == [2, 4, 1, 3, 0]
    assert found.status.tolist() == [LISTED] * 5


@pytest.mark.parametrize("limits", [RetentionList(), RetentionList(capacity=3), RetentionList(capacity=2)])
def test_customers_who_save_the_same_come_by_id_whatever_the_order_of_the_files(limits: RetentionList) -> None:
    ids, saving = ["d", "b", "c", "a", "é", "B"], np.array([5, 5, 5, 7, 1, 5])
    listed = [ids[n] for n in select(saving, limits, ids).order]
    turned = ids[::-1]
    assert listed == [turned[n] for n in select(saving[::-1], limits, turned).order]
    assert listed == ["a", "B", "b", "c", "d", "é"][: limits.capacity]


@pytest.mark.parametrize(
    ("limits", "listed", "reason"),
    [
        (RetentionList(capacity=2), 2, OVER_CAPACITY),
        (RetentionList(budget=250), 2, OVER_BUDGET),
        (RetentionList(budget=300, capacity=4), 3, OVER_BUDGET),
        (RetentionList(budget=10_000, capacity=1), 1, OVER_CAPACITY),
        (RetentionList(budget=99), 0, OVER_BUDGET),
    ],
)
def test_the_list_keeps_budget_and_capacity_and_names_the_limit_that_ended_it(
    limits: RetentionList, listed: int, reason: int
) -> None:
    assert select([9, 8, 7, 6, 5], limits).status.tolist() == [LISTED] * listed + [reason] * (5 - listed)


def test_a_free_contact_needs_no_budget() -> None:
    assert len(select([9, 8], RetentionList(budget=1), contact_cost=0.0).order) == 2


def test_whoever_was_listed_within_the_cooldown_is_left_out() -> None:
    history = History(listed=iter([pa.array(["C0001", "somebody else"]), pa.array([], pa.string())]))
    assert select([9, 8, 7], history=history).status.tolist() == [LISTED, COOLDOWN, LISTED]


def test_one_row_of_each_customer_is_decided_on_the_latest() -> None:
    will_churn = np.array([True, True, True, False, True])
    first = np.array([True, False, True, False, True])
    assert row_status(will_churn, first).tolist() == [OTHER_ROW, LISTED, OTHER_ROW, BELOW_CUTOFF, LISTED]


def test_an_opt_out_in_one_row_speaks_for_all_rows_of_the_customer() -> None:
    will_churn, first = np.ones(4, dtype=bool), np.array([True, False, True, False])
    opted_out = np.array([True, False, False, False])
    assert row_status(will_churn, first, opted_out).tolist() == [OTHER_ROW, OPTED_OUT, OTHER_ROW, LISTED]


def test_no_rows_need_no_decision() -> None:
    none = np.zeros(0, dtype=bool)
    assert row_status(none, none, none).tolist() == []
    assert select([]).order.tolist() == select([], RetentionList(capacity=1, holdout=0.5)).order.tolist() == []


def test_the_hold_out_is_drawn_from_the_list_and_keeps_its_place() -> None:
    found = select(np.linspace(99, 1, 2000), RetentionList(capacity=1000, holdout=0.2))
    assert len(found.order) == 1000
    assert 150 < found.held_out.sum() < 250


def test_the_budget_pays_for_contacts_only(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = RetentionList(budget=5000, holdout=0.3)
    found = select(np.linspace(99, 50, 200), limits)
    assert (~found.held_out).sum() == 50
    assert found.held_out.any()
    monkeypatch.setattr("churn_model.decisions.retention_list._DRAW_ROWS", 7)
    again = select(np.linspace(99, 50, 200), limits)
    assert (again.order.tolist(), again.held_out.tolist()) == (found.order.tolist(), found.held_out.tolist())


def test_the_same_programme_and_period_hold_out_the_same_customers_and_others_hold_out_others() -> None:
    limits, ids = RetentionList(holdout=0.5), names(500)

    def held(ids: list[str], draw: HoldoutDraw = AUTUMN) -> set[str]:
        found = select(np.full(500, 9.0), limits, ids, draw=draw)
        return {ids[n] for n in found.order[found.held_out]}

    assert held(ids) == held(ids[::-1])
    assert held(ids) != held(ids, HoldoutDraw(programme="autumn", period="2027-Q1"))


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_an_earlier_assignment_holds_while_its_outcome_is_open(share: float) -> None:
    ids = names(100)
    history = History(draws=[drawn(ids[::2], held_out=True), drawn(ids[1::2])])
    found = select(np.arange(100, 0, -1), RetentionList(holdout=share), history=history)
    assert found.held_out.tolist() == [True, False] * 50
    assert set(found.propensity.tolist()) == {0.7}
    assert not found.new.any()


def test_a_list_without_a_hold_out_settles_no_draw() -> None:
    history = History(draws=[drawn(names(1000), propensity=1.0)])
    found = select(np.full(2000, 9.0), RetentionList(holdout=0.2), history=history)
    assert found.new.all()
    assert 330 < found.held_out.sum() < 470
    assert set(found.propensity.tolist()) == {0.8}


def test_customers_drawn_at_another_share_keep_their_draw_and_its_propensity() -> None:
    history = History(draws=[drawn(names(100), propensity=0.9)])
    found = select(np.full(300, 9.0), RetentionList(holdout=0.5), history=history)
    assert found.propensity.tolist() == [0.9] * 100 + [0.5] * 200
    assert found.new.tolist() == [False] * 100 + [True] * 200
    assert not found.held_out[:100].any()


def test_who_was_held_out_stays_so_when_the_share_becomes_zero() -> None:
    assert select([9, 8], history=History(draws=[drawn(["C0001"], held_out=True)])).held_out.tolist() == [False, True]


def test_a_contact_that_earns_money_is_refused() -> None:
    with pytest.raises(InputError, match=r"a contact that costs 0 or more.*-1"):
        select([1.0], contact_cost=-1.0)


def plain_selection(
    ids: list[str], saving: list[float], limits: RetentionList, held: set[str], recent: set[str]
) -> list[tuple[str, bool]]:
    """The same rule, a customer at a time. Who is held out is settled for all."""
    listed: list[tuple[str, bool]] = []
    contacts = 0
    for _, name in sorted((-amount, name) for name, amount in zip(ids, saving, strict=True) if name not in recent):
        contacts += name not in held
        if len(listed) == limits.capacity or (limits.budget is not None and contacts * 100.0 > limits.budget + 1e-6):
            break
        listed.append((name, name in held))
    return listed


@settings(max_examples=200, deadline=None)
@given(
    saving=st.lists(st.sampled_from([0.5, 1.0, 2.0, 3.25, 900.0]), max_size=40),
    capacity=st.none() | st.integers(1, 50),
    budget=st.none() | st.floats(1, 5000),
    seed=st.integers(0, 100),
)
def test_it_is_the_rule_applied_to_one_customer_after_the_other(
    saving: list[float], capacity: int | None, budget: float | None, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    ids = [f"C{number}" for number in rng.permutation(len(saving))]
    held, recent = ({name for name in ids if rng.random() < share} for share in (0.3, 0.2))
    limits = RetentionList(capacity=capacity, budget=budget)
    history = History(listed=[pa.array(sorted(recent), pa.string())], draws=[drawn(sorted(held), held_out=True)])
    found = select(saving, limits, ids, history=history)
    listed = [(ids[n], bool(out)) for n, out in zip(found.order, found.held_out, strict=True)]
    assert listed == plain_selection(ids, saving, limits, held, recent)
    assert {ids[n] for n in np.flatnonzero(found.status == LISTED)} == {name for name, _ in listed}
    assert {ids[n] for n in np.flatnonzero(found.status == COOLDOWN)} == recent
