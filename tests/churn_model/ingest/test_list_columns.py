"""The columns that a caller needs, found again in the landed files."""

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from churn_model.errors import InputError
from churn_model.ingest.formats.base import LandedFile
from churn_model.ingest.list_columns import Lacking, read_list_columns
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.label import Label
from churn_model.spec.sections.retention_list import RetentionList


def dataset(*columns: str, **more: Any) -> Dataset:
    label = Label(column="left", positive=("yes",))
    return Dataset(name="shop", id="customer", label=label, list=RetentionList(columns=columns), **more)


def land(folder: Path, **files: pa.Table | str) -> list[LandedFile]:
    landed = []
    for name, content in files.items():
        is_table = isinstance(content, pa.Table)
        path = folder / f"{name}.{'parquet' if is_table else 'csv'}"
        pq.write_table(content, path) if is_table else path.write_text(content, "utf-8")
        landed.append(LandedFile(key=f"landing/shop/score/monday/{path.name}", path=path))
    return landed


def ids(*values: str) -> pa.ChunkedArray:
    return pa.chunked_array([list(values)])


def test_columns_are_as_landed_in_the_order_of_the_list(tmp_path: Path) -> None:
    files = land(tmp_path, a="Customer, NAME ,phone\n 7 ,Zoë  , 007\n8,=1+1,\n9,null,+49 1\n")
    found = read_list_columns(files, dataset("name", "Phone"), ids("9", "7", "8", "unknown"), None)
    assert found.table.column_names == ["name", "Phone"]
    assert found.table.to_pylist() == [
        {"name": "null", "Phone": "+49 1"},
        {"name": "Zoë  ", "Phone": " 007"},
        {"name": "=1+1", "Phone": ""},
        {"name": None, "Phone": None},
    ]
    assert found.lacking == ()


def test_with_a_date_the_record_of_that_date_counts_and_of_equal_ones_the_first(tmp_path: Path) -> None:
    text = "customer,day,name\na,2026-01-01,old\na,2026-02-01,new\na,2026-02-01,later\n"
    files = land(tmp_path, b="customer,day,name\na,2026-02-01,other file\n", a=text)
    days = pa.chunked_array([[date(2026, 2, 1), date(2026, 1, 1)]])
    found = read_list_columns(files, dataset("name", as_of="day"), ids("a", "a"), days)
    assert found.table["name"].to_pylist() == ["new", "old"]


def test_typed_files_are_read_as_text_and_what_has_none_counts_as_lacking(tmp_path: Path) -> None:
    stored = pa.table(
        {
            "customer": pa.array([1, 2], pa.int64()),
            "phone": [491701234567.0, None],
            "since": [date(2020, 5, 1), date(2021, 1, 1)],
            "tags": [["a"], ["b"]],
        }
    )
    found = read_list_columns(land(tmp_path, a=stored), dataset("phone", "since", "tags"), ids("2", "1"), None)
    assert found.table.to_pylist() == [
        {"phone": None, "since": "2021-01-01", "tags": None},
        {"phone": "491701234567", "since": "2020-05-01", "tags": None},
    ]
    assert [(each.column, each.files) for each in found.lacking] == [("tags", 1)]


def test_a_column_that_some_files_lack_is_named_with_what_is_close(tmp_path: Path) -> None:
    files = land(tmp_path, a="customer,phones\n1,5\n", b="customer,phone\n2,6\n")
    found = read_list_columns(files, dataset("phone"), ids("1", "2"), None)
    assert found.table["phone"].to_pylist() == [None, "6"]
    assert found.lacking == (Lacking(column="phone", files=1, of=2, close=("phone", "phones")),)


def test_a_file_without_ids_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Expected the columns that name customers"):
        read_list_columns(land(tmp_path, a="name\nx\n"), dataset("name"), ids("1"), None)


def test_large_files_are_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("churn_model.ingest.list_columns._PENDING_ROWS", 1_000)
    table = pa.table({"customer": [str(n) for n in range(70_000)], "name": [f"n{n}" for n in range(70_000)]})
    csv.write_csv(table, tmp_path / "a.csv")
    files = [LandedFile(key="a.csv", path=tmp_path / "a.csv")]
    wanted = [str(n) for n in range(69_999, 0, -7)]
    found = read_list_columns(files, dataset("name"), ids(*wanted), None)
    assert found.table["name"].to_pylist() == [f"n{name}" for name in wanted]
