"""Numbers: what is parsed as one, and how it reads."""

import decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn_model.column_types.landed import LandedValues, ParsedColumn
from churn_model.column_types.number import NUMBER
from churn_model.column_types.number_count import NumberCount

HINT = "write its format under types in the spec, such as `number 1,234.5` or `number 1.234,5 €`"
INFINITE = "found an infinite one; write it blank if it is unknown"
FORMATTED = ("1,234.5", "1,234", "26,08", "-,5", "1.234,5", "€ 5", "-$5.00", "12 EUR", "5%")


def reasons(cells: ParsedColumn) -> dict[int, str]:
    return {row: str(reason) for row, reason in cells.wrong.items()}


def raw(*values: str) -> pa.Array:
    return pa.array([value.encode() for value in values], pa.binary())


@pytest.mark.parametrize("text", ["1", "+1.5", "-.5", "7.", " 1e3\t", "00012", "1E-400", "\u00a08", "-0"])
def test_a_plain_number_is_read(text: str) -> None:
    for others in ((), ("NA",)):
        found = NUMBER.parse(raw(text, *others))
        assert found.values[0].as_py() == float(text)
        assert not found.wrong


@pytest.mark.parametrize(
    "text", ["", "  ", "NA", "n/a", "NaN", "NULL", "none", "-", "?", "\\N", "#N/A", ".", "unknown"]
)
def test_a_word_for_missing_is_missing_in_a_number_column(text: str) -> None:
    found = NUMBER.parse(raw("1", text))
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
        *((text, f"expected a number such as 1234.5, found {text!r}; {HINT}") for text in FORMATTED),
        *((text, f"expected a finite number, {INFINITE}") for text in ("inf", "-Infinity", "1e400")),
        ("1e308", "expected a number within 3.4e+38, found 1e+308"),
        ("-3.5e38", "expected a number within 3.4e+38, found -3.5e+38"),
    ],
)
def test_what_is_no_number_is_wrong_and_says_why(text: str, reason: str) -> None:
    found = NUMBER.parse(raw("1", text, "2"))
    assert reasons(found) == {1: reason}
    assert found.values.to_pylist() == [1.0, None, 2.0]


@given(st.lists(st.one_of(st.floats(width=32, allow_nan=False, allow_infinity=False), st.none()), max_size=20))
def test_every_float_comes_back_from_its_text(values: list[float | None]) -> None:
    found = NUMBER.parse(raw(*("" if value is None else repr(value) for value in values)))
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
    assert NUMBER.parse(array).values.to_pylist() == expected


def test_an_infinity_that_landed_as_a_number_is_wrong() -> None:
    assert reasons(NUMBER.parse(pa.array([1.0, np.inf, None]))) == {1: f"expected a finite number, {INFINITE}"}


@pytest.mark.parametrize(
    ("values", "present", "numbers"),
    [
        (["1", "2.5", ""], 2, 2),
        (["1", "NA", "x", " 3 ", "inf", ""], 4, 3),
        (["", " ", "null"], 0, 0),
        (["a", "a", " 1,5", "1,5", "-1.234,50", "2"], 6, 1),
    ],
)
def test_numbers_are_counted_among_the_values_present(values: list[str], present: int, numbers: int) -> None:
    count = NumberCount()
    count.add(LandedValues(raw(*values)))
    assert (count.present, count.numbers) == (present, numbers)


def test_words_for_missing_are_counted() -> None:
    assert NUMBER.parse(raw("1", "-", " - ", "?", "", "x")).words == {"-": 2, "?": 1}
