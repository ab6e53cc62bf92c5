"""The retention list as a step: predictions and earlier lists to assignments, contacts and a file for people."""

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from churn_model.errors import InputError
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.costs import Contact, Costs, ValueColumn
from churn_model.spec.sections.label import Label
from churn_model.spec.sections.retention_list import RetentionList
from churn_model.steps import retention_list
from churn_model.steps.contract import Layout
from churn_model.tables import open_table, write_table

DAYS = [date(2026, 1, 1), date(2026, 2, 1)]


def dataset(**limits: Any) -> Dataset:
    return Dataset(
        name="shop",
        id="id",
        label=Label(column="left", positive=("yes",)),
        costs=Costs(contact=Contact(cost=10.0, success=0.5, value=500.0)),
        list=RetentionList(**limits),
    )


def predictions(count: int, **more: Any) -> pa.Table:
    p = np.random.default_rng(count).random(count)
    columns = {
        "id": [f"C{n:05d}" for n in range(count)],
        "churn_probability": p,
        "will_churn": p >= 0.2,
        "expected_saving": 500 * p - 100,
        "reason_1": pa.array([f"=reason {n}" for n in range(count)]),
    }
    return pa.table({**columns, **more})


def run(root: Path, rows: pa.Table, spec: Dataset, opt_out: pa.Table | None = None, **earlier: list[Path]) -> Layout:
    inputs = root / "processing" / "input"
    (inputs / "config").mkdir(parents=True)
    (inputs / "config" / "dataset.json").write_text(spec.to_json(), "utf-8")
    (inputs / "config" / "request.json").write_text('{"version": "v1", "threads": 2, "period": "225"}', "utf-8")
    write_table(inputs / "predictions" / "predictions", rows, key="id")
    if opt_out is not None:
        write_table(inputs / "rows" / "rows", opt_out)
    for name, tables in earlier.items():
        if len(tables) == 1:
            (inputs / name).symlink_to(tables[0])
        for table in tables if len(tables) > 1 else ():
            link = inputs / name / table.relative_to("/")
            link.parent.mkdir(parents=True)
            link.symlink_to(table)
    layout = Layout(root)
    layout.result.mkdir(parents=True)
    layout.write_report("retention_list", retention_list.step(layout))
    return layout


def table(layout: Layout, name: str) -> pa.Table:
    return open_table(layout.result / name).read()


def counts(layout: Layout) -> dict[str, int]:
    report: dict[str, dict[str, int]] = json.loads((layout.result / "report.json").read_text("utf-8"))
    return report["counts"]


def test_every_row_keeps_what_was_decided_and_the_contacts_come_best_first(tmp_path: Path) -> None:
    rows = predictions(500)
    done = run(tmp_path, rows, dataset(capacity=50, holdout=0.3))
    assigned, contacts = table(done, "assignments"), table(done, "contacts")
    assert assigned.select(rows.column_names).equals(rows)
    listed, held, contacted = (
        assigned[name].to_numpy(zero_copy_only=False) for name in ("listed", "held_out", "contacted")
    )
    assert (contacted == (listed & ~held)).all()
    assert not (held & ~listed).any()
    assert assigned["propensity"].to_numpy() == pytest.approx(np.where(listed, 0.7, 0.0))
    assert assigned["left_out"].is_null().to_numpy(zero_copy_only=False).tolist() == listed.tolist()
    saving = contacts["expected_saving"].to_numpy()
    assert (np.diff(saving) <= 0).all()
    assert contacts["rank"].to_pylist() == list(range(1, contacted.sum() + 1))
    assert set(contacts["id"].to_pylist()) == set(assigned.filter(assigned["contacted"])["id"].to_pylist())
    found = counts(done)
    assert (found["rows"], found["listed"], found["held_out"]) == (500, 50, held.sum())
    assert (
        found["listed"]
        + sum(n for name, n in found.items() if name not in ("rows", "listed", "held_out", "to_contact", "customers"))
        == 500
    )


def test_what_is_at_stake_is_the_worth_of_each_customer(tmp_path: Path) -> None:
    spec = replace(dataset(), costs=Costs(contact=Contact(cost=10.0, success=0.5, value=ValueColumn(column="Worth"))))
    ids = ["a", "a", "b", "c"]
    rows = predictions(
        4, id=pa.array(ids), will_churn=[True, True, True, False], churn_probability=[0.9, 0.5, 0.2, 0.1]
    )
    done = run(tmp_path, rows, spec, pa.table({"worth": [1.0, 100.0, 50.0, 10.0]}))
    assert table(done, "assignments")["value_at_stake"].to_pylist() == [1.0, 100.0, 50.0, 10.0]
    report = json.loads((done.result / "report.json").read_text("utf-8"))
    # A customer counts once, by the latest row.
    assert report["counts"]["customers"] == 3
    money = report["metrics"]
    assert (money["value_at_stake"], money["expected_loss"]) == pytest.approx((150.0, 60.0))
    assert money["expected_loss_of_all"] == pytest.approx(61.0)


def test_with_one_worth_for_all_everybody_is_worth_it(tmp_path: Path) -> None:
    done = run(tmp_path, predictions(20), dataset())
    assert table(done, "contacts")["value_at_stake"].unique().to_pylist() == [500.0]


@pytest.mark.parametrize("part_bytes", [64_000_000, 2_000])
def test_earlier_lists_are_respected_whatever_the_parts(
    tmp_path: Path, part_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("churn_model.tables.PART_BYTES", part_bytes)
    rows = predictions(400)
    first = run(tmp_path / "a", rows.slice(0, 300), dataset(capacity=30, holdout=0.4))
    second = run(tmp_path / "b", rows.slice(200), dataset(capacity=30, holdout=0.4))
    earlier = [each.result / "assignments" for each in (first, second)]
    listed = {name for each in (first, second) for name in listed_ids(each)}
    both = run(tmp_path / "c", rows, dataset(holdout=0.4), recent=earlier)
    assert not listed & set(listed_ids(both))
    assert counts(both)["listed_not_long_ago"] == len(listed)
    one = run(tmp_path / "d", rows, dataset(), recent=earlier[:1], settled=earlier)
    assert not set(listed_ids(first)) & set(listed_ids(one))
    # The second list's draw holds, though nobody would be held out today.
    held = set(listed_ids(second, "held_out")) - set(listed_ids(first))
    assert held
    assert set(listed_ids(one, "held_out")) == held


def test_a_hold_out_says_before_sending_what_it_can_show(tmp_path: Path) -> None:
    done = run(tmp_path, predictions(2000), dataset(holdout=0.2))
    report = json.loads((done.result / "report.json").read_text("utf-8"))
    power = report["detail"]["holdout"]["power"]
    assert power["compared"] == report["counts"]["listed"]
    assert power["held_out"] == report["counts"]["held_out"]
    assert power["half_width"] > 0
    assert [check["passed"] for check in report["checks"]] == [True]
    assert "with 80% power" in (done.result / "list" / "holdout.txt").read_text("utf-8")


def listed_ids(layout: Layout, column: str = "listed") -> list[str]:
    assigned = table(layout, "assignments")
    ids: list[str] = assigned.filter(assigned[column])["id"].to_pylist()
    return ids


def test_a_customer_is_listed_once_by_the_latest_row_also_across_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [name for name in (f"C{n:03d}" for n in range(50)) for _ in DAYS]
    rows = predictions(100, id=ids, as_of=pa.array(DAYS * 50))
    monkeypatch.setattr("churn_model.tables.BLOCK_ROWS", 7)
    done = run(tmp_path, rows, dataset(opt_out="No Calls"), pa.table({"no calls": ["yes", *["no"] * 99]}))
    assigned = table(done, "assignments")
    latest = rows.filter(pa.array([False, True] * 50))
    wanted = latest.filter(latest["will_churn"])["id"].to_pylist()
    assert listed_ids(done) == [name for name in wanted if name != "C000"]
    assert set(assigned.filter(assigned["listed"])["as_of"].to_pylist()) == {DAYS[1]}
    assert counts(done)["opted_out"] == ("C000" in wanted)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (pa.table({"other": ["no"]}), "the opt-out column calls"),
        (pa.table({"calls": ["perhaps"]}), "(?s)in the opt-out column 'calls'.*'perhaps'"),
    ],
)
def test_an_opt_out_that_cannot_be_read_is_never_taken_for_a_no(tmp_path: Path, rows: pa.Table, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(tmp_path, predictions(1), dataset(opt_out="calls"), rows)


def test_an_empty_batch_gives_an_empty_list(tmp_path: Path) -> None:
    done = run(tmp_path, predictions(5).slice(0, 0), dataset(holdout=0.1))
    assert table(done, "assignments").num_rows == table(done, "contacts").num_rows == 0
    assert counts(done)["to_contact"] == 0
