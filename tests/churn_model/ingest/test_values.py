"""What a landed value means."""

import datetime
import decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn_model.ingest.formats.base import FIELD_LIMIT
from churn_model.ingest.values import (
    ParsedColumn,
    categories,
    count_numbers,
    dates,
    ids,
    label_values,
    labels,
    numbers,
    texts,
)
from churn_model.spec.dataset import Label


def reasons(cells: ParsedColumn) -> dict[int, str]:
    return {row: str(reason) for row, reason in cells.wrong.items()}


def raw(*values: str) -> pa.Array:
    return pa.array([value.encode() for value in values], pa.binary())


@pytest.mark.parametrize("text", ["1", "+1.5", "-.5", "7.", " 1e3\t", "00012", "1E-400", "\u00a08", "-0"])
def test_a_plain_number_is_read(text: str) -> None:
    for others in ((), ("NA",)):
        found = numbers(raw(text, *others))
        assert found.values[0].as_py() == float(text)
        assert not found.wrong


@pytest.mark.parametrize("text", ["", "  ", "NA", "n/a", "NaN", "NULL", "none"])
def test_a_word_for_missing_is_missing_in_a_number_column(text: str) -> None:
    found = numbers(raw("1", text))
    assert found.values.to_pylist() == [1.0, None]
    assert not found.wrong


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("abc", "expected a number, found 'abc'"),
        ("x" * 41, "expected a number, found a value of 41 characters"),
        ("--1", "expected a number, found '--1'"),
        ("0x10", "expected a number, found '0x10'"),
        ("1_000", "expected a number, found '1_000'"),
        ("٣", "expected a number, found '٣'"),
        ("12abc", "expected a number, found '12abc'"),
        (
            "1,234.5",
            "expected a number without thousands separators, currency or percent signs, such as 1234.5, found '1,234.5'",
        ),
        (
            "1,234",
            "expected a number without thousands separators, currency or percent signs, such as 1234.5, found '1,234'",
        ),
        ("26,08", "expected a number with a decimal point, not a comma, found '26,08'; write 26.08 for 26,08"),
        ("-,5", "expected a number with a decimal point, not a comma, found '-,5'; write 26.08 for 26,08"),
        ("1.234,5", "expected a number with a decimal point, not a comma, found '1.234,5'; write 26.08 for 26,08"),
        (
            "€ 5",
            "expected a number without thousands separators, currency or percent signs, such as 1234.5, found '€ 5'",
        ),
        (
            "-$5.00",
            "expected a number without thousands separators, currency or percent signs, such as 1234.5, found '-$5.00'",
        ),
        (
            "12 EUR",
            "expected a number without thousands separators, currency or percent signs, such as 1234.5, found '12 EUR'",
        ),
        ("5%", "expected a number without thousands separators, currency or percent signs, such as 1234.5, found '5%'"),
        ("inf", "expected a finite number within 3.4e+38, found one beyond"),
        ("-Infinity", "expected a finite number within 3.4e+38, found one beyond"),
        ("1e400", "expected a finite number within 3.4e+38, found one beyond"),
        ("1e308", "expected a number within 3.4e+38, found 1e+308"),
        ("-3.5e38", "expected a number within 3.4e+38, found -3.5e+38"),
    ],
)
def test_what_is_no_number_is_wrong_and_says_why(text: str, reason: str) -> None:
    found = numbers(raw("1", text, "2"))
    assert reasons(found) == {1: reason}
    assert found.values.to_pylist() == [1.0, None, 2.0]


@given(st.lists(st.one_of(st.floats(width=32, allow_nan=False, allow_infinity=False), st.none()), max_size=20))
def test_every_float_comes_back_from_its_text(values: list[float | None]) -> None:
    found = numbers(raw(*("" if value is None else repr(value) for value in values)))
    assert found.values.to_pylist() == values
    assert not found.wrong


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([1, None], pa.int64()), [1.0, None]),
        (pa.array([2**63], pa.uint64()), [float(2**63)]),
        (pa.array([1.5, float("nan")], pa.float32()), [1.5, None]),
        (pa.array([decimal.Decimal("1.50")]), [1.5]),
        (pa.array([True, False, None]), [1.0, 0.0, None]),
        (pa.nulls(2), [None, None]),
        (pa.array([" 2 ", "x", None]).dictionary_encode(), [2.0, None, None]),
        (pa.array(["3", None], pa.large_string()), [3.0, None]),
    ],
)
def test_other_types_become_numbers(array: pa.Array, expected: list[float | None]) -> None:
    assert numbers(array).values.to_pylist() == expected


def test_an_infinity_that_landed_as_a_number_is_wrong() -> None:
    assert reasons(numbers(pa.array([1.0, np.inf, None]))) == {
        1: "expected a finite number within 3.4e+38, found one beyond"
    }


def test_a_category_is_kept_as_landed_but_for_the_blanks_around_it() -> None:
    values = ["  a b ", "NA", "None", "", "   ", "=1+1", "<b>", "7.0"]
    assert categories(raw(*values)).values.to_pylist() == ["a b", "NA", "None", None, None, "=1+1", "<b>", "7.0"]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([True, False]), ["true", "false"]),
        (pa.array([1, -2]), ["1", "-2"]),
        (pa.array([1.0, 0.5, float("nan"), None, float("inf"), -0.0]), ["1", "0.5", None, None, "inf", "0"]),
        (pa.array([datetime.date(2024, 1, 2)]), ["2024-01-02"]),
        (pa.array([datetime.datetime(2024, 1, 2, 3, 4)], pa.timestamp("s")), ["2024-01-02 03:04:00"]),  # noqa: DTZ001
        (pa.array(["x"]).cast(pa.string_view()), ["x"]),
        (pa.array([b"xy"], pa.binary(2)), ["xy"]),
        (pa.array(["x", None]).dictionary_encode(), ["x", None]),
        (pa.nulls(1), [None]),
    ],
)
def test_other_types_become_plain_text(array: pa.Array, expected: list[Any]) -> None:
    assert categories(array).values.to_pylist() == expected


@pytest.mark.parametrize(
    "read", [categories, numbers, ids, dates, texts, lambda array: labels(array, Label(column="x", positive=("yes",)))]
)
def test_what_is_not_utf8_or_too_long_is_wrong_in_every_column(read: Any) -> None:
    array = pa.array([b"yes", b"\xff", b"x" * (FIELD_LIMIT + 1), b"x\xff"], pa.binary())
    found = reasons(read(array))
    assert found[1] == found[3] == "expected text in UTF-8, found another encoding"
    assert found[2] == "expected a value of at most 1 MiB, found a longer one"
    assert read(array).values[1:].null_count == 3


def test_ids_are_text_as_landed() -> None:
    assert ids(raw("007", " a b ", "1e5")).values.to_pylist() == ["007", "a b", "1e5"]
    assert ids(pa.array([7, 2**62])).values.to_pylist() == ["7", str(2**62)]
    assert ids(pa.array([7.0])).values.to_pylist() == ["7"]


def test_a_blank_id_and_one_that_is_not_exact_are_wrong() -> None:
    assert reasons(ids(raw("a", "", " "))) == {1: "expected an id, found a blank", 2: "expected an id, found a blank"}
    inexact = "expected an id that is text or a whole number, found a fraction or a number too large to be exact; land ids as text or integers"
    found = reasons(ids(pa.array([1.5, 1e300, None, np.inf])))
    assert found == {0: inexact, 1: inexact, 2: "expected an id, found a blank", 3: inexact}


@pytest.mark.parametrize(
    "text",
    ["2024-01-31", " 2024-01-31 ", "2024-01-31T10:20:30Z", "2024-01-31 23:59:59.123456+02:00", "2024-01-31T10:20"],
)
def test_a_date_is_the_date_part_as_written(text: str) -> None:
    found = dates(raw(text))
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
    assert reasons(dates(raw("2024-01-31", text))) == {1: reason}


def test_dates_and_timestamps_are_read_by_their_own_calendar() -> None:
    late = datetime.datetime(2024, 1, 31, 23, 30, tzinfo=datetime.UTC)
    assert dates(pa.array([datetime.date(2024, 1, 31)])).values.to_pylist() == [datetime.date(2024, 1, 31)]
    assert dates(pa.array([late])).values.to_pylist() == [datetime.date(2024, 1, 31)]
    assert dates(pa.array([late]).cast(pa.timestamp("us", tz="Europe/Berlin"))).values.to_pylist() == [
        datetime.date(2024, 2, 1)
    ]
    assert dates(pa.array([None], pa.date32())).wrong


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
    found = labels(raw(*values), Label(column="x", positive=positive, negative=negative))
    assert found.values.type == pa.int8()
    assert found.values.to_pylist() == expected
    assert not found.wrong


@pytest.mark.parametrize("array", [pa.array([1.0, 0.0]), pa.array([1, 0]), pa.array([True, False])])
def test_labels_of_other_types_are_recognised(array: pa.Array) -> None:
    assert labels(array, Label(column="x", positive=("1", "true"))).values.to_pylist() == [1, 0]


def test_a_blank_and_an_unknown_label_are_wrong() -> None:
    found = reasons(
        labels(pa.array(["yes", "", "maybe", None]), Label(column="x", positive=("yes",), negative=("no",)))
    )
    assert found[1] == found[3] == "expected a label, found a blank; if it means stayed, write so, such as 0 or no"
    assert found[2] == "expected one of yes, no, found 'maybe'; list it under label.positive or label.negative"


def test_the_date_of_leaving_is_no_label() -> None:
    found = reasons(labels(pa.array(["2024-01-31"]), Label(column="x", positive=("1",))))
    assert found == {
        0: "expected one of 1, 0, f, false, n, no, found '2024-01-31'; write yes for a date and no for a blank"
    }


def test_a_value_listed_as_positive_is_no_longer_a_default_negative() -> None:
    positive, negative = label_values(Label(column="x", positive=("No",)))
    assert positive == {"no"}
    assert negative == {"false", "0", "n", "f"}


@pytest.mark.parametrize(
    ("values", "counts"),
    [
        (["1", "2.5", ""], (2, 2, {})),
        (["1", "NA", "x", " 3 ", "inf", ""], (4, 2, {})),
        (["", " ", "null"], (0, 0, {})),
        (["a", "a", " 1,5", "1,5", "-1.234,50", "2"], (6, 1, {"1,5": 2, "-1.234,50": 1})),
    ],
)
def test_numbers_are_counted_among_the_values_present(
    values: list[str], counts: tuple[int, int, dict[str, int]]
) -> None:
    assert count_numbers(raw(*values)) == counts
