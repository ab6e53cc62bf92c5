"""A retention list as people read it, as a step."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from churn_model.errors import InputError
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.label import Label
from churn_model.spec.sections.retention_list import RetentionList
from churn_model.steps import list_layout
from churn_model.steps.contract import Layout, digest_file
from churn_model.steps.list_layout import count_reasons
from churn_model.tables import write_table

LANDED = "customer,name,phone\nb,=cmd|x,＋49\na,Ada,12\n"


def run(root: Path, contacts: pa.Table, landed: str = LANDED, digest: str | None = None, **limits: Any) -> Layout:
    inputs = root / "processing" / "input"
    (inputs / "config").mkdir(parents=True)
    spec = Dataset(
        name="shop", id="customer", label=Label(column="left", positive=("yes",)), list=RetentionList(**limits)
    )
    (inputs / "config" / "dataset.json").write_text(spec.to_json(), "utf-8")
    write_table(inputs / "list" / "contacts", contacts)
    contents = {}
    if limits.get("columns"):
        path = inputs / "landed" / "landing" / "shop" / "score" / "monday" / "a.csv"
        path.parent.mkdir(parents=True)
        path.write_text(landed, "utf-8")
        contents = {"landing/shop/score/monday/a.csv": f"{path.stat().st_size}:{digest or digest_file(path)}"}
    request = {"version": "v1", "threads": 1, "contents": contents}
    (inputs / "config" / "request.json").write_text(json.dumps(request), "utf-8")
    layout = Layout(root)
    layout.result.mkdir(parents=True)
    layout.write_report("list_layout", list_layout.step(layout))
    return layout


def contacts(*ids: str) -> pa.Table:
    count = len(ids)
    return pa.table(
        {
            "rank": range(1, count + 1),
            "id": pa.array(ids, pa.string()),
            "churn_probability": [0.5] * count,
            "value_at_stake": [600.0] * count,
            "expected_saving": [10.0] * count,
            "reason_1": pa.array(["=plan: 5G"] * count, pa.string()),
        }
    )


def lines(layout: Layout) -> list[dict[str, str]]:
    with (layout.result / "list.csv").open(newline="", encoding="utf-8-sig") as stream:
        return list(csv.DictReader(stream))


def checks(layout: Layout) -> list[dict[str, Any]]:
    report = json.loads((layout.result / "report.json").read_text("utf-8"))
    return list(report["checks"])


def test_named_columns_stand_beside_the_id_and_run_nothing(tmp_path: Path) -> None:
    done = run(tmp_path, contacts("a", "b"), columns=("name", "phone"))
    assert [(line["rank"], line["id"], line["name"], line["phone"]) for line in lines(done)] == [
        ("1", "a", "Ada", "12"),
        ("2", "b", "'=cmd|x", "'＋49"),
    ]
    assert all(line["reason_1"] == "'=plan: 5G" for line in lines(done))
    assert [check["passed"] for check in checks(done)] == [True]


def test_a_column_that_the_batch_lacks_stays_blank_and_is_said(tmp_path: Path) -> None:
    done = run(tmp_path, contacts("a"), columns=("names", "phone"))
    assert [(line["names"], line["phone"]) for line in lines(done)] == [("", "12")]
    (check,) = checks(done)
    assert not check["passed"]
    assert check["found"] == "names not in 1 of 1 file (close to it: name)"


def test_landed_files_that_have_changed_since_they_were_scored_are_not_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.csv to stay as it is while it is read"):
        run(tmp_path, contacts("a"), digest="00" * 16, columns=("name",))


def test_an_empty_list_has_its_columns_and_a_mark_for_excel(tmp_path: Path) -> None:
    done = run(tmp_path, contacts(), columns=("name",), excel=True)
    assert lines(done) == []
    assert (done.result / "list.csv").read_bytes().startswith(b'\xef\xbb\xbf"rank","id","name"')


def test_reasons_are_counted_whatever_their_numbers_and_strength() -> None:
    reasons = [
        "4 calls to customer service (most have 1): raises the risk strongly",
        "11 calls to customer service (most have 1): raises the risk",
        "plan: 5G: raises the risk slightly",
        "a bill of $84.9 for calls (typical: $60): raises the risk",
        None,
    ]
    counted = count_reasons(pa.table({"reason_1": pa.array(reasons, pa.string())}))
    assert counted == {"… calls to customer service": 2, "a bill of $… for calls": 1, "plan: 5G": 1}
