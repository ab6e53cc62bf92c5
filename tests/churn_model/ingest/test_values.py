"""Landed values with a role of their own."""

import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from churn_model.column_types.category import CATEGORY
from churn_model.column_types.landed import FIELD_LIMIT, ParsedColumn, read_text
from churn_model.column_types.number import NUMBER
from churn_model.ingest.values import label_values, parse_as_of, parse_ids, parse_labels
from churn_model.spec.sections.label import Label


def reasons(cells: ParsedColumn) -> dict[int, str]:
    return {row: str(reason) for row, reason in cells.wrong.items()}


def raw(*values: str) -> pa.Array:
    return pa.array([value.encode() for value in values], pa.binary())


@pytest.mark.parametrize(
    "read",
    [
        CATEGORY.parse,
        NUMBER.parse,
        parse_ids,
        parse_as_of,
        read_text,
        lambda array: parse_labels(array, Label(column="x", positive=("yes",))),
    ],
)
def test_what_is_not_utf8_or_too_long_is_wrong_in_every_column(read: Any) -> None:
    array = pa.array([b"yes", b"\xff", b"x" * (FIELD_LIMIT + 1), b"x\xff"], pa.binary())
    found = reasons(read(array))
    assert found[1] == found[3] == "expected text in UTF-8, found another encoding"
    assert found[2] == "expected a value of at most 1 MiB, found a longer one"
    assert read(array).values[1:].null_count == 3


def test_ids_are_text_as_landed() -> None:
    assert parse_ids(raw("007", " a b ", "1e5")).values.to_pylist() == ["007", "a b", "1e5"]
    assert parse_ids(pa.array([7, 2**62])).values.to_pylist() == ["7", str(2**62)]
    assert parse_ids(pa.array([7.0])).values.to_pylist() == ["7"]


def test_a_blank_id_and_one_that_is_not_exact_are_wrong() -> None:
    assert reasons(parse_ids(raw("a", "", " "))) == {
        1: "expected an id, found a blank",
        2: "expected an id, found a blank",
    }
    inexact = "expected an id that is text or a whole number, found a fraction or a number too large to be exact; land ids as text or integers"
    found = reasons(parse_ids(pa.array([1.5, 1e300, None, np.inf])))
    assert found == {0: inexact, 1: inexact, 2: "expected an id, found a blank", 3: inexact}


@pytest.mark.parametrize(
    "text",
    ["2024-01-31", " 2024-01-31 ", "2024-01-31T10:20:30Z", "2024-01-31 23:59:59.123456+02:00", "2024-01-31T10:20"],
)
def test_a_date_is_the_date_part_as_written(text: str) -> None:
    found = parse_as_of(raw(text))
    assert found.values.type == pa.date32()
    assert found.values.to_pylist() == [datetime.date(2024, 1, 31)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected a date, found a blank"),
        ("31.01.2024", "expected a date such as 2024-01-31, found '31.01.2024'"),
        ("20240131", "expected a date such as 2024-01-31, found '20240131'"),
        ("2024-02-30", "expected a date that the calendar has, found '2024-02-30'"),
    ],
)
def test_what_is_no_date_is_wrong(text: str, reason: str) -> None:
    assert reasons(parse_as_of(raw("2024-01-31", text))) == {1: reason}


def test_dates_and_timestamps_are_read_by_their_own_calendar() -> None:
    late = datetime.datetime(2024, 1, 31, 23, 30, tzinfo=datetime.UTC)
    assert parse_as_of(pa.array([datetime.date(2024, 1, 31)])).values.to_pylist() == [datetime.date(2024, 1, 31)]
    assert parse_as_of(pa.array([late])).values.to_pylist() == [datetime.date(2024, 1, 31)]
    assert parse_as_of(pa.array([late]).cast(pa.timestamp("us", tz="Europe/Berlin"))).values.to_pylist() == [
        datetime.date(2024, 2, 1)
    ]
    assert parse_as_of(pa.array([None], pa.date32())).wrong


@pytest.mark.parametrize(
    ("positive", "negative", "values", "expected"),
    [
        (("True.",), (), ["True.", " true ", "FALSE.", "false"], [1, 1, 0, 0]),
        (("yes",), (), ["Yes", "No", "n", "0", "F"], [1, 0, 0, 0, 0]),
        (("1",), (), ["1", "1.0", "0.00", "0."], [1, 1, 0, 0]),
        (("No",), ("Yes",), ["no", "yes"], [1, 0]),
        (("churned", "lapsed"), ("active",), ["Lapsed", "churned", "Active"], [1, 1, 0]),
    ],
)
def test_labels_are_recognised_as_people_write_them(
    positive: tuple[str, ...], negative: tuple[str, ...], values: list[str], expected: list[int]
) -> None:
    found = parse_labels(raw(*values), Label(column="x", positive=positive, negative=negative))
    assert found.values.type == pa.int8()
    assert found.values.to_pylist() == expected
    assert not found.wrong


@pytest.mark.parametrize("array", [pa.array([1.0, 0.0]), pa.array([1, 0]), pa.array([True, False])])
def test_labels_of_other_types_are_recognised(array: pa.Array) -> None:
    assert parse_labels(array, Label(column="x", positive=("1", "true"))).values.to_pylist() == [1, 0]


def test_a_blank_and_an_unknown_label_are_wrong() -> None:
    found = reasons(
        parse_labels(pa.array(["yes", "", "maybe", None]), Label(column="x", positive=("yes",), negative=("no",)))
    )
    assert found[1] == found[3] == "expected a label, found a blank; if it means stayed, write so, such as 0 or no"
    assert found[2] == "expected one of yes, no, found 'maybe'; list it under label.positive or label.negative"


def test_the_date_of_leaving_is_no_label() -> None:
    found = reasons(parse_labels(pa.array(["2024-01-31"]), Label(column="x", positive=("1",))))
    assert found == {
        0: "expected one of 1, 0, f, false, n, no, found '2024-01-31'; write yes for a date and no for a blank"
    }


def test_a_value_listed_as_positive_is_no_longer_a_default_negative() -> None:
    positive, negative = label_values(Label(column="x", positive=("No",)))
    assert positive == {"no"}
    assert negative > {"false", "0", "n", "f", "nein", "non", "falsch"}
    assert "no" not in negative
