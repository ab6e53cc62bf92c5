"""Which split each row belongs to."""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn_model.errors import InputError
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.label import Label
from churn_model.spec.sections.split import Split
from churn_model.training.splits import (
    TEST,
    TRAIN,
    UNUSED,
    VALIDATION,
    Assigned,
    SplitCheck,
    make_split_rule,
)

BUCKETS = 100


def dataset(split: Split, **more: str) -> Dataset:
    return Dataset(name="test", label=Label(column="left", positive=("yes",)), split=split, **more)  # type: ignore[arg-type]


def assign(rows: pa.Table, spec: Dataset) -> Assigned:
    return make_split_rule([rows], spec)(rows)


def split_problems(rows: pa.Table, assigned: Assigned) -> tuple[str, ...]:
    checked = SplitCheck()
    checked.add(rows, assigned)
    return checked.problems


def hashed(shares: list[float]) -> pa.Table:
    hashes = np.array([int(share * 2**64) for share in shares], dtype=np.uint64)
    return pa.table({"_id": [f"c{n}" for n in range(len(shares))], "_hash": hashes})


def monthly(months: int, *, step: int = 31, customers: int = BUCKETS) -> pa.Table:
    """A row for each customer and month; customer k has the hash k / customers."""
    first = date(2025, 1, 1)
    hashes = [int(k / customers * 2**64) for k in range(customers)]
    return pa.table(
        {
            "_id": [f"c{k}" for k in range(customers) for _ in range(months)],
            "_hash": np.array([hashes[k] for k in range(customers) for _ in range(months)], dtype=np.uint64),
            "_as_of": pa.array(
                [first + timedelta(days=step * m) for _ in range(customers) for m in range(months)], pa.date32()
            ),
            "_label": pa.array([(k + m) % 2 for k in range(customers) for m in range(months)], pa.int8()),
        }
    )


def test_the_hash_decides_from_test_over_validation_to_train() -> None:
    split = Split(validation=0.2, test=0.1)
    found = assign(hashed([0.0, 0.0999, 0.1001, 0.2999, 0.3001, 1 - 1e-12]), dataset(split))
    assert found.dtype == np.int8
    assert found.tolist() == [TEST, TEST, VALIDATION, VALIDATION, TRAIN, TRAIN]


@given(st.floats(0.05, 0.4), st.floats(0.05, 0.4))
def test_shares_of_many_ids_are_those_of_the_spec(validation: float, test: float) -> None:
    found = assign(hashed([n / 1000 for n in range(1000)]), dataset(Split(validation=validation, test=test)))
    assert np.mean(found == TEST) == pytest.approx(test, abs=0.002)
    assert np.mean(found == VALIDATION) == pytest.approx(validation, abs=0.002)


def test_a_column_says_the_split_in_any_case_and_spelling() -> None:
    words = ["Train", " VALIDATION ", "valid", "val", "test", "TEST"]
    split = Split(by="column", column="part")
    expected = [TRAIN, VALIDATION, VALIDATION, VALIDATION, TEST, TEST]
    assert assign(pa.table({"Part": words}), dataset(split)).tolist() == expected
    assert assign(pa.table({"Part": pa.array(words).dictionary_encode()}), dataset(split)).tolist() == expected


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"other": ["train"]}, "Expected column part, which says each row's split; found no such column"),
        (
            {"part": ["train", "holdout", "holdout"]},
            "Expected train, validation or test in part; found 'holdout', among 2 such rows",
        ),
        ({"part": ["train", None]}, "found no value, among 1 such rows"),
        ({"part": ["x" * 50]}, "found a text of 50 characters"),
    ],
)
def test_a_column_that_says_something_else_is_refused(columns: dict[str, list[str]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        assign(pa.table(columns), dataset(Split(by="column", column="part")))


@pytest.mark.parametrize(
    ("months", "step", "horizon"), [(6, 31, "30d"), (12, 30, "30d"), (20, 7, "30d"), (6, 31, "36h"), (9, 31, "60d")]
)
def test_a_split_by_time_leaves_a_horizon_between_splits_and_every_customer_in_one(
    months: int, step: int, horizon: str
) -> None:
    rows = monthly(months, step=step)
    spec = dataset(Split(by="time"), as_of="day", horizon=horizon)
    found, days = assign(rows, spec), rows["_as_of"].cast(pa.int32()).to_numpy()
    gap = {"30d": 30, "36h": 2, "60d": 60}[horizon]
    assert days[found == TRAIN].max() + gap <= days[found == VALIDATION].min()
    assert days[found == VALIDATION].max() + gap <= days[found == TEST].min()
    assert (found == UNUSED).any()
    assert split_problems(rows, found) == ()


def test_time_keeps_customers_in_the_part_of_their_hash_and_tests_the_latest_rows() -> None:
    rows = monthly(6)
    found = assign(rows, dataset(Split(by="time"), as_of="day"))
    by_hash = assign(rows, dataset(Split()))
    assert (found[found >= 0] == by_hash[found >= 0]).all()
    assert rows["_as_of"].to_numpy()[found == TEST].max() == rows["_as_of"].to_numpy().max()


@pytest.mark.parametrize(("months", "horizon"), [(2, "30d"), (6, "300d"), (1, "1d")])
def test_too_few_snapshots_for_three_windows_are_refused(months: int, horizon: str) -> None:
    with pytest.raises(
        InputError, match=rf"each {horizon[:-1]} days or more after the one before; found {months} dates over"
    ):
        assign(monthly(months), dataset(Split(by="time"), as_of="day", horizon=horizon))


def test_time_without_a_snapshot_date_is_refused() -> None:
    with pytest.raises(InputError, match="Expected a snapshot date in every row; found no as_of"):
        assign(hashed([0.5]), dataset(Split(by="time")))


def test_a_customer_in_two_splits_is_found() -> None:
    rows = monthly(3)
    found = assign(rows, dataset(Split()))
    assert split_problems(rows, found) == ()
    moved = found.copy()
    moved[np.flatnonzero(found == TRAIN)[0]] = TEST
    assert split_problems(rows, moved) == (
        "Expected every customer in one split; found 1 in more than one. Split by hash, or correct the column.",
    )
    moved[np.flatnonzero(found == TRAIN)[0]] = UNUSED
    assert split_problems(rows, moved) == ()


def test_all_problems_of_a_split_are_told_at_once() -> None:
    rows = pa.table({"_id": [f"c{n}" for n in range(20)], "_label": pa.array([1] * 5 + [0] * 15, pa.int8())})
    problems = split_problems(rows, np.array([TRAIN] * 4 + [VALIDATION] * 16, dtype=np.int8))
    assert "at least 30 rows in train; found 4" in problems[0]
    assert "at least 1 rows in test; found 0" in problems[1]
    problems = split_problems(rows, np.array([VALIDATION] * 5 + [TEST] * 15, dtype=np.int8))
    assert "both classes in validation; found only customers who left among 5" in problems[1]
    assert "both classes in test; found no customer who left among 15" in problems[2]


@pytest.mark.parametrize("split", [Split(), Split(by="time"), Split(by="column", column="part")])
@pytest.mark.parametrize("size", [1, 7, 599])
def test_batches_get_the_splits_and_the_judgement_of_the_whole_table(split: Split, size: int) -> None:
    table = monthly(6)
    table = table.append_column("part", pa.array(["train", "val", "test"] * 200))
    spec = dataset(split, as_of="day")
    batches = table.to_batches(max_chunksize=size)
    rule, checked = make_split_rule(iter(batches), spec), SplitCheck()
    found = []
    for batch in batches:
        found.append(rule(batch))
        checked.add(batch, found[-1])
    whole = assign(table, spec)
    assert np.concatenate(found).tolist() == whole.tolist()
    assert checked.problems == split_problems(table, whole)
    assert ("100 in more than one" in " ".join(checked.problems)) == (split.by == "column")
    assert [*checked.sizes.tolist(), checked.unused] == [
        int((whole == part).sum()) for part in (TRAIN, VALIDATION, TEST, UNUSED)
    ]


def test_rows_in_another_order_are_not_taken_for_checked() -> None:
    table = monthly(3).take(list(range(299, -1, -1)))
    assert (
        "Expected rows in the order of their hashes; found another order"
        in split_problems(table, assign(table, dataset(Split())))[-1]
    )
