"""The list as a spreadsheet reads it."""

import csv
from pathlib import Path

import pyarrow as pa
import pytest

from churn_model.decisions.list_csv import select_list_columns, write_csv


def read(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))


def test_text_comes_back_as_it_was_written(tmp_path: Path) -> None:
    ids = ["007", "00", "a\nb", "'; x", "null", "", "😀", 'say "no"', "a,b"]
    write_csv(pa.table({"rank": range(9), "id": ids}), tmp_path / "t.csv")
    assert read(tmp_path / "t.csv") == [["rank", "id"], *([str(n), name] for n, name in enumerate(ids))]


@pytest.mark.parametrize("text", ["=x: y", "+1", "-1", "@x", "\tx", "\rx", '=HYPERLINK("x")'])
def test_a_formula_gets_an_apostrophe_in_values_and_names(tmp_path: Path, text: str) -> None:
    columns = {text: [text, "plain"], "coded": pa.array([text, "plain"]).dictionary_encode(), "number": [-1.5, 2.0]}
    write_csv(pa.table(columns), tmp_path / "t.csv")
    assert read(tmp_path / "t.csv") == [
        [f"'{text}", "coded", "number"],
        [f"'{text}", f"'{text}", "-1.5"],
        ["plain", "plain", "2"],
    ]


def test_people_get_the_columns_they_need_rounded() -> None:
    contacts = pa.table(
        {"rank": [1], "id": ["a"], "churn_probability": [0.12345], "expected_saving": [1.239], "propensity": [1.0]}
    )
    assert select_list_columns(contacts).to_pylist() == [
        {"rank": 1, "id": "a", "churn_probability": 0.123, "expected_saving": 1.24}
    ]
