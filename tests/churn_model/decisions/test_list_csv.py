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


@pytest.mark.parametrize(
    "text",
    [
        "=x: y",
        "+1",
        "-1",
        "@x",
        "\tx",
        "\rx",
        "\n=x",
        '=HYPERLINK("x")',
        "＝1",
        "＋1",
        "－1",
        "＠x",
        " =1",
        "\u3000＝1",
    ],
)
def test_a_formula_gets_an_apostrophe_in_values_and_names(tmp_path: Path, text: str) -> None:
    columns = {text: [text, "plain"], "coded": pa.array([text, "plain"]).dictionary_encode(), "number": [-1.5, 2.0]}
    write_csv(pa.table(columns), tmp_path / "t.csv")
    assert read(tmp_path / "t.csv") == [
        [f"'{text}", "coded", "number"],
        [f"'{text}", f"'{text}", "-1.5"],
        ["plain", "plain", "2"],
    ]


@pytest.mark.parametrize(("excel", "start"), [(False, b'"id"'), (True, b'\xef\xbb\xbf"id"')])
def test_excel_gets_a_byte_order_mark(tmp_path: Path, excel: bool, start: bytes) -> None:
    write_csv(pa.table({"id": ["Zoë"]}), tmp_path / "t.csv", excel=excel)
    assert (tmp_path / "t.csv").read_bytes().startswith(start)
    assert (tmp_path / "t.csv").read_text("utf-8-sig").splitlines() == ['"id"', '"Zoë"']


def test_people_get_the_columns_they_need_rounded_and_those_of_the_spec_beside_the_id() -> None:
    contacts = pa.table(
        {
            "rank": [1],
            "id": ["a"],
            "churn_probability": [0.12345],
            "expected_saving": [1.239],
            "model_version": ["v1"],
            "value_at_stake": [600.004],
            "propensity": [1.0],
        }
    )
    added = pa.table({"Name": ["Ada"], "phone": pa.array([None], pa.string())})
    people = select_list_columns(contacts, added)
    assert people.column_names == [
        "rank",
        "id",
        "Name",
        "phone",
        "churn_probability",
        "value_at_stake",
        "expected_saving",
    ]
    assert people.to_pylist() == [
        {
            "rank": 1,
            "id": "a",
            "Name": "Ada",
            "phone": None,
            "churn_probability": 0.123,
            "value_at_stake": 600.0,
            "expected_saving": 1.24,
        }
    ]


def test_a_list_of_earlier_code_lacks_what_that_code_did_not_know() -> None:
    contacts = pa.table({"rank": [1], "id": ["a"], "churn_probability": [0.5], "expected_saving": [1.0]})
    assert select_list_columns(contacts).equals(contacts)
