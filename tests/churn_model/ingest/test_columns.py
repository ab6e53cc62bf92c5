"""Which landed columns are used, and what is said of those that are missing, extra or ambiguous."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pytest

from churn_model.errors import InputError
from churn_model.ingest.columns import Columns, resolve_columns
from churn_model.ingest.formats.base import LandedFile, Part
from churn_model.ingest.formats.csv import CsvPart
from churn_model.ingest.formats.csv_header import Header
from churn_model.ingest.formats.parquet import ParquetPart
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.costs import Contact, Costs, ValueColumn
from churn_model.spec.sections.label import Label
from churn_model.spec.sections.retention_list import RetentionList
from churn_model.spec.sections.split import Split

SHOP = Dataset(name="shop", id="Customer", label=Label(column="Left", positive=("yes",)))


def csv_part(*names: str, key: str = "a.csv") -> CsvPart:
    return CsvPart(LandedFile(key, Path(key)), Header(names, ",", 0, 1))


def parquet_part(key: str, **types: pa.DataType) -> ParquetPart:
    return ParquetPart(LandedFile(key, Path(key)), pa.schema(list(types.items())))


@dataclass(frozen=True)
class Case:
    parts: Sequence[Part]
    problems: Sequence[str]
    dataset: Dataset = SHOP


def test_names_are_matched_without_case_and_written_as_the_spec_does_or_as_first_landed() -> None:
    dataset = replace(SHOP, types={"Area Code": "category"}, words={"DAY MINS": "{value} minutes"})
    parts = [
        csv_part("CUSTOMER", "area code", "Day Mins", "Age", "left"),
        csv_part("age", "left", "DAY MINS", "Area Code", "customer", key="b.csv"),
    ]
    columns = resolve_columns(parts, dataset, None)
    assert columns == Columns(
        "Customer",
        None,
        "Left",
        {"Area Code": "category", "DAY MINS": None, "Age": None},
        (),
        frozenset({"DAY MINS", "Age"}),
    )
    assert columns.keys == ("Customer", "Left")
    assert columns.positions(parts[1], ["Customer", "Area Code", "Age"]) == [4, 3, 0]


def test_a_split_and_an_opt_out_are_words_and_worth_is_a_number() -> None:
    worth = Costs(contact=Contact(cost=10, value=ValueColumn(column="worth")))
    dataset = replace(
        SHOP, split=Split(by="column", column="part"), list=RetentionList(opt_out="no calls"), costs=worth
    )
    columns = resolve_columns([csv_part("customer", "left", "Part", "No Calls", "Worth", "x")], dataset, None)
    assert columns.kinds == {"part": "category", "no calls": "category", "worth": "number", "x": None}


def test_parquet_files_say_their_own_kinds_unless_the_spec_does() -> None:
    part = parquet_part(
        "a.parquet",
        customer=pa.int64(),
        left=pa.bool_(),
        whole=pa.int8(),
        money=pa.decimal128(9, 2),
        text=pa.string(),
        flag=pa.bool_(),
        day=pa.date32(),
        code=pa.int64(),
        nothing=pa.null(),
    )
    columns = resolve_columns([part], replace(SHOP, types={"code": "category"}), None)
    assert columns.kinds == {
        "whole": "number",
        "money": "number",
        "text": "category",
        "flag": "category",
        "day": "date",
        "code": "category",
        "nothing": None,
    }
    assert columns.undecided == {"nothing"}


def test_scoring_reads_what_the_champion_expects_and_names_the_rest() -> None:
    dataset = replace(SHOP, as_of="day", list=RetentionList(opt_out="no calls"))
    parts = [
        csv_part("day", "AGE", "customer", "left", "No Calls", "Zip", "phone", key=key) for key in ("a.csv", "b.csv")
    ]
    columns = resolve_columns(
        [*parts, csv_part("no calls", "day", "age", "customer", "More", key="c.csv")], dataset, {"Age": "number"}
    )
    assert columns == Columns(
        "Customer", "day", None, {"Age": "number", "no calls": "category"}, ("More", "phone", "Zip"), frozenset()
    )


@pytest.mark.parametrize(
    "case",
    [
        Case(
            [csv_part("customer", "", "x", "")],
            ["a.csv: Expected a name for every column; found none for column 2, 4. Name it, or remove it"],
        ),
        Case(
            [csv_part("x", "customer", "x")],
            ["a.csv: Expected each column once; found the same name twice: 'x', 'x'. Rename one"],
        ),
        Case(
            [csv_part("Age", "age")],
            ["a.csv: Expected each column once; found names that differ by case alone: 'Age', 'age'. Rename one"],
        ),
        Case(
            [csv_part("_ID", "_hash", "x")],
            ["a.csv: Expected names other than _id, _as_of, _hash, _label; found '_ID', '_hash'. Rename the column"],
        ),
        Case(
            [csv_part(*(str(n) for n in range(10_001)))],
            ["a.csv: Expected at most 10,000 columns; found 10,001. Land fewer columns"],
        ),
        Case(
            [csv_part("custmer", "x", "left")],
            [
                "a.csv: Expected the columns that the spec names; found no 'Customer'. "
                "Land the file with it, or correct the name (close to 'Customer': 'custmer')"
            ],
        ),
        Case(
            [csv_part("customer", "left")],
            [
                "Expected at least one column to learn from; found none beside those the spec sets apart. Land more columns"
            ],
        ),
        Case(
            [csv_part("customer", "left", "age", "x"), csv_part("customer", "left", "agee", "y", key="b.csv")],
            [
                "b.csv: Expected the columns of a.csv; found no 'age', 'x'. "
                "Land the file with it, or correct the name (close to 'age': 'agee')",
                "b.csv: Expected the columns of a.csv alone; found 'agee', 'y' as well. Land all files with the same columns",
            ],
        ),
        Case(
            [csv_part("x"), csv_part("x", key="b.csv")],
            [
                f"{key}: Expected the columns that the spec names; found no 'part', 'worth', 'code'. Land the file with it"
                for key in ("a.csv", "b.csv")
            ],
            replace(
                SHOP,
                id=None,
                label=Label(column="x", positive=("1",)),
                split=Split(by="column", column="part"),
                costs=Costs(contact=Contact(cost=1, value=ValueColumn(column="worth"))),
                types={"code": "number"},
            ),
        ),
        Case(
            [
                parquet_part(
                    "a.parquet",
                    customer=pa.list_(pa.int8()),
                    left=pa.month_day_nano_interval(),
                    x=pa.int8(),
                )
            ],
            [
                "a.parquet: Expected plain values in 'customer'; found list<item: int8>. Land it as numbers, text or dates",
                "a.parquet: Expected plain values in 'left'; found month_day_nano_interval. Land it as numbers, text or dates",
            ],
        ),
        Case(
            [
                parquet_part(key, customer=pa.string(), left=pa.string(), x=kind)
                for key, kind in (("a.parquet", pa.int8()), ("b.parquet", pa.string()))
            ],
            [
                "Expected 'x' of one type in all files; found numbers in a.parquet and text in b.parquet. "
                "Land it as one type, or name its type under types in the spec"
            ],
        ),
    ],
)
def test_problems_name_the_file_the_columns_and_what_to_do(case: Case) -> None:
    with pytest.raises(InputError) as raised:
        resolve_columns(case.parts, case.dataset, None)
    for problem in case.problems:
        assert problem in str(raised.value)


def test_scoring_says_what_is_missing_and_lets_nested_columns_be_that_it_drops() -> None:
    part = parquet_part("a.parquet", customer=pa.string(), tenur=pa.int8(), extra=pa.list_(pa.int8()))
    assert resolve_columns([part], SHOP, {"tenur": "number"}).ignored == ("extra",)
    with pytest.raises(
        InputError,
        match=r"a\.parquet: Expected the columns that the champion was trained with; found no 'tenure'. .*'tenur'",
    ):
        resolve_columns([part], SHOP, {"tenure": "number"})


def test_long_lists_of_names_are_cut() -> None:
    with pytest.raises(InputError, match=r"'wide 9' and 490 more"):
        resolve_columns([csv_part("customer")], SHOP, {f"wide {n}": "number" for n in range(500)})
