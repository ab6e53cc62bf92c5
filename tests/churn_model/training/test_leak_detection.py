"""Columns that know the outcome."""

import csv
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.label import Label
from churn_model.training.leak_detection import (
    CERTAIN_AUC,
    SUSPECT_AUC,
    assign_folds,
    find_certain_leaks,
    find_suspected_leaks,
    measure_pure_leavers,
    measure_univariate_auc,
    measure_worth_without,
)
from churn_model.training.leaks import Leak

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
N = 3000
HASHES = np.random.default_rng(9).integers(0, 2**63, 10_000).astype(np.uint64)
FOLD = (HASHES[:N] % np.uint64(5)).astype(np.int64)


def text(values: Any) -> Any:
    return pa.array([None if value is None else str(value) for value in values]).dictionary_encode()


def table(n: int = N, seed: int = 0, **more: Any) -> pa.Table:
    """Rows with two honest features that explain some of the label."""
    rng = np.random.default_rng(seed)
    tenure, calls = rng.normal(size=n), rng.poisson(1.5, n).astype(np.float64)
    y = (rng.random(n) < 1 / (1 + np.exp(-(0.9 * calls - 1.2 * tenure - 2.5)))).astype(np.int8)
    columns: dict[str, Any] = {
        "_id": pa.array([f"C{number}" for number in range(n)]),
        "_hash": pa.array(HASHES[:n]),
        "_as_of": pa.array([date(2026, 1, 1)] * n),
        "_label": pa.array(y),
        "tenure": pa.array(tenure),
        "calls": pa.array(calls),
        "plan": text(rng.choice(["basic", "plus", "pro"], n)),
    }
    for name, make in more.items():
        columns[name.replace("_", " ")] = make(y, rng)
    return pa.table(columns)


def dataset(**more: Any) -> Dataset:
    return Dataset(name="sample", label=Label(column="Churn", positive=("Yes",)), id="id", **more)


def renamed(y: Any, rng: Any) -> Any:
    return text(np.where(y == 1, "gone", "here"))


def nearly(y: Any, rng: Any) -> Any:
    return pa.array(y + 0.1 * rng.normal(size=len(y)))


def half(y: Any, rng: Any) -> Any:
    """Written for seven in ten of those who left, and for few others."""
    return text(np.where(rng.random(len(y)) < np.where(y == 1, 0.7, 0.06), "called back", "none"))


def found(leaks: tuple[Leak, ...]) -> dict[str, str]:
    return {leak.column: leak.kind for leak in leaks}


def test_honest_columns_are_no_leaks() -> None:
    assert find_certain_leaks(table(), dataset()) == ()
    assert find_suspected_leaks(table(), dataset(), threads=1) == ()


def test_the_label_under_another_name_is_certain_even_if_vouched_for() -> None:
    rows = table(
        status=renamed,
        ended=lambda y, rng: pa.array(1.0 - y),
        missing=lambda y, rng: text([None if v else "x" for v in y]),
    )
    leaks = find_certain_leaks(rows, dataset(known=("Status",)))
    assert found(leaks) == {"status": "same_as_label", "ended": "same_as_label", "missing": "same_as_label"}
    assert leaks[0].why == "it is the label under another name"


def test_a_column_that_alone_tells_who_left_is_certain_unless_ignored_or_known() -> None:
    rows = table(balance_after=nearly)
    (leak,) = find_certain_leaks(rows, dataset())
    assert (leak.column, leak.kind) == ("balance after", "univariate")
    assert leak.evidence >= CERTAIN_AUC
    assert find_certain_leaks(rows, dataset(ignore=("Balance After",))) == ()
    assert find_certain_leaks(rows, dataset(known=("balance after",))) == ()


def days_around(late: float) -> Any:
    def make(y: Any, rng: Any) -> Any:
        after = rng.random(len(y)) < late
        return text(
            [
                date(2026, 1, 1) + timedelta(days=int(d if a else -d))
                for d, a in zip(rng.integers(1, 90, len(y)), after, strict=True)
            ]
        )

    return make


@pytest.mark.parametrize(("late", "kinds"), [(0.2, {"last seen": "after_snapshot"}), (0.0, {})])
def test_dates_after_the_snapshot_are_certain_where_the_spec_has_one(late: float, kinds: dict[str, str]) -> None:
    rows = table(last_seen=days_around(late))
    assert found(find_certain_leaks(rows, dataset(as_of="snapshot"))) == kinds
    assert find_certain_leaks(rows, dataset()) == ()
    assert find_certain_leaks(rows, dataset(as_of="snapshot", known=("last seen",))) == ()


def test_dates_are_read_with_slashes_times_and_gaps_and_other_text_is_no_date() -> None:
    def mixed(y: Any, rng: Any) -> Any:
        return text([("2026/02/01", "2026-02-01 10:00:00", None)[number % 3] for number in range(len(y))])

    def codes(y: Any, rng: Any) -> Any:
        return text([("2026-02-01", "A-17", "2026-13-45")[number % 3] for number in range(len(y))])

    assert found(find_certain_leaks(table(seen=mixed, code=codes), dataset(as_of="snapshot"))) == {
        "seen": "after_snapshot"
    }


def test_a_generated_leaking_column_is_suspected_until_ignored_or_known() -> None:
    rows = table(outcome_note=half)
    (leak,) = find_suspected_leaks(rows, dataset(), threads=1)
    assert (leak.column, leak.kind) == ("outcome note", "explains_too_much")
    assert leak.evidence >= 0.1
    assert "AUC of 0.8" in leak.why
    assert find_certain_leaks(rows, dataset()) == ()
    assert find_suspected_leaks(rows, dataset(known=("Outcome Note",)), threads=1) == ()
    assert find_suspected_leaks(rows, dataset(ignore=("outcome note",)), threads=1) == ()


def test_what_a_model_is_worth_without_its_suspects_and_what_is_derived_from_them_is_measured() -> None:
    rows, spec = table(outcome_note=half), dataset()
    worth = measure_worth_without(rows, spec, find_suspected_leaks(rows, spec, threads=1), threads=1)
    assert worth is not None
    assert worth.auc_with > worth.auc_without + 0.05
    assert worth.log_loss_with < worth.log_loss_without
    # Without it the model is as good as on a table that never had the column.
    honest = measure_worth_without(rows.drop_columns(["outcome note"]), spec, (), threads=1)
    assert honest is not None
    assert worth.auc_without == pytest.approx(honest.auc_with, abs=1e-9)

    derived = dataset(derived={"twice": "`credit` * 2"})
    rows = table(credit=lambda y, rng: pa.array(y * 2.0 + rng.normal(size=len(y))))
    hidden = measure_worth_without(rows, derived, find_suspected_leaks(rows, derived, threads=1), threads=1)
    assert hidden is not None
    assert hidden.auc_without == pytest.approx(honest.auc_with, abs=1e-9)
    only = rows.select(["_id", "_hash", "_label", "credit"])
    assert measure_worth_without(only, dataset(), find_suspected_leaks(rows, dataset(), threads=1), threads=1) is None


def test_a_leak_does_not_hide_behind_a_column_derived_from_it() -> None:
    rows = table(credit=lambda y, rng: pa.array(y * 2.0 + rng.normal(size=len(y))))
    leaks = find_suspected_leaks(rows, dataset(derived={"twice": "`credit` * 2"}), threads=1)
    assert found(leaks) == {"credit": "explains_too_much"}


def strong(y: Any, rng: Any) -> Any:
    """A contract by the month: nine in ten leavers have one, and a third of those who stay."""
    return text(np.where(rng.random(len(y)) < np.where(y == 1, 0.9, 0.33), "month", "year"))


def test_the_only_strong_column_is_not_suspected_if_its_values_are_not_those_of_leavers_alone() -> None:
    rows = table(contract=strong).drop_columns(["tenure", "calls"])
    y = np.asarray(rows["_label"])
    assert measure_univariate_auc(rows["contract"].combine_chunks(), y, FOLD) > SUSPECT_AUC
    assert measure_pure_leavers(rows["contract"].combine_chunks(), y, FOLD) == 0
    assert find_suspected_leaks(rows, dataset(), threads=1) == ()


@pytest.mark.parametrize(
    ("name", "suspected"),
    [
        ("CancelDate", True),
        ("cancellation reason", True),
        ("churn_score", True),
        ("Exit-Survey", True),
        ("termination fee", True),
        ("retention call", True),
        ("reason for leaving", True),
        ("Tags", False),
        ("contract", False),
        ("exited the app early", True),
        ("existing customer", False),
        ("determination", False),
        ("left turns", False),
        ("customer retention programme", False),
    ],
)
def test_names_that_speak_of_leaving_are_suspected(name: str, suspected: bool) -> None:
    rows = table().append_column(name, pa.array(np.random.default_rng(3).normal(size=N)))
    assert found(find_suspected_leaks(rows, dataset(), threads=1)) == ({name: "name"} if suspected else {})


def test_a_column_that_differs_in_every_row_tells_nothing_by_itself() -> None:
    rows = table()
    y = np.asarray(rows["_label"])
    assert measure_univariate_auc(text(range(N)), y, FOLD) == pytest.approx(0.5, abs=0.03)
    assert measure_univariate_auc(pa.array(np.random.default_rng(5).normal(size=N)), y, FOLD) == pytest.approx(
        0.5, abs=0.05
    )
    assert measure_univariate_auc(pa.array([None] * N, pa.float64()), y, FOLD) == pytest.approx(0.5)


def test_rows_without_a_hash_are_looked_at_too() -> None:
    rows = table(outcome_note=half).drop_columns(["_hash"])
    assert found(find_suspected_leaks(rows, dataset(), threads=1)) == {"outcome note": "explains_too_much"}


def test_what_names_a_customer_in_several_rows_tells_nothing_either() -> None:
    customer = np.repeat(np.arange(N // 3), 3)
    y = np.repeat(np.random.default_rng(6).random(N // 3) < 0.3, 3)
    rows = pa.table({"_hash": pa.array(HASHES[customer])})
    assert measure_univariate_auc(text(customer), y, assign_folds(rows)) == pytest.approx(0.5, abs=0.03)


def real(file: str, label: str, positive: str, skip: tuple[str, ...]) -> tuple[pa.Table, Dataset]:
    if not DATA.exists():
        pytest.skip("needs the real files in shared/data")
    with (DATA / file).open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    columns: dict[str, Any] = {
        "_hash": pa.array(HASHES[: len(rows)]),
        "_label": pa.array([int(row[label] == positive) for row in rows], pa.int8()),
    }
    for name in rows[0]:
        if name == label or name in skip:
            continue
        values = [row[name].strip() or None for row in rows]
        try:
            columns[name] = pa.array([None if value is None else float(value) for value in values])
        except ValueError:
            columns[name] = text(values)
    order = np.random.default_rng(0).permutation(len(rows))
    return pa.table(columns).take(pa.array(order)), dataset()


REAL = {
    "larose": ("larose_churn.csv", "Churn?", "True.", ("customer_id", "split"), set()),
    "synthetic": ("synthetic_churn.csv", "Churn?", "True.", ("Phone",), set()),
    "telco": ("telco_churn.csv", "Churn", "Yes", ("customerID",), set()),
    "leads": ("leads.csv", "Converted", "1", ("row_number", "Prospect ID", "Lead Number"), {"Tags", "Lead Quality"}),
}


@pytest.mark.parametrize("name", REAL)
def test_on_real_tables_exactly_the_known_leaks_are_suspected(name: str) -> None:
    *file, suspects = REAL[name]
    rows, spec = real(*file)  # type: ignore[arg-type]
    assert find_certain_leaks(rows, spec) == ()
    assert set(found(find_suspected_leaks(rows, spec, threads=1))) == suspects


def test_strong_honest_columns_of_real_tables_are_near_the_limits_that_were_fitted_on_them() -> None:
    rows, _ = real("synthetic_churn.csv", "Churn?", "True.", ("Phone",))
    assert measure_univariate_auc(
        rows["Day Mins"].combine_chunks(), np.asarray(rows["_label"]), assign_folds(rows)
    ) == pytest.approx(0.838, abs=0.01)
    rows, _ = real("leads.csv", "Converted", "1", ())
    assert (
        measure_univariate_auc(
            rows["Total Time Spent on Website"].combine_chunks(), np.asarray(rows["_label"]), assign_folds(rows)
        )
        < SUSPECT_AUC
    )
