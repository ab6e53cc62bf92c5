"""Numbers as people write them."""

import math

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn_model.column_types.landed import LandedValues
from churn_model.column_types.number_count import NumberCount
from churn_model.column_types.number_format import SEPARATORS, NumberFormat, find_mark, parse_format
from churn_model.column_types.registry import column_type


@pytest.mark.parametrize(
    ("example", "text", "number"),
    [
        ("1234.5", "(12.5)", -12.5),
        ("1234.5 $", "$57", 57.0),
        ("1234.5 $", "-$5.00", -5.0),
        ("1234.5 $", "$-5.00", -5.0),
        ("1234.5 $", "($5)", -5.0),
        ("1,234.5 $", "$1,234.50", 1234.5),
        ("1234.5 CHF", "CHF 12", 12.0),
        ("1234.5 %", "12 %", 0.12),
        ("1.234,5", "1.234,5", 1234.5),
        ("1.234,5", "26,08", 26.08),
        ("1.234,5", ",5", 0.5),
        ("1.234,5 €", "1.234 €", 1234.0),
        ("1 234,5", "1\u00a0234,5", 1234.5),
        ("1'234.5", "1’234.5", 1234.5),
        ("1234.5 %", "12", None),
        ("1234.5 $", "€5", None),
        ("1234.5", "$5", None),
        ("1,234.5", "1,23", None),
        ("1,234.5", "12,34,567", None),
        ("1.234,5", "1.5", None),
        ("1234.5 $", "$", None),
        ("1234.5", "(5", None),
        ("1234.5", "(-5)", None),
        ("1234.5", ".", None),
        ("1,234.5", ",", None),
    ],
)
def test_a_number_is_read_in_its_format_alone(example: str, text: str, number: float | None) -> None:
    assert parse_format(example).read(text) == number


@pytest.mark.parametrize("text", ["1.5", "1234", "abc", "1234.5 xyz", "1,234.5 $ $"])
def test_what_is_no_example_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a number written as "):
        parse_format(text)


def written(number: float, form: NumberFormat, places: int) -> str:
    """Write a number as its format has it."""
    thousands, decimal = SEPARATORS[form.example]
    text = f"{abs(number):,.{places}f}".replace(",", "T").replace(".", decimal).replace("T", thousands)
    sign = "-" if number < 0 else ""
    return f"{form.mark}{sign}{text}" if form.mark in ("$", "CHF ") else f"{sign}{text}{form.mark}"


@settings(deadline=None)
@given(
    numbers=st.lists(st.integers(10**5, 10**9), min_size=30, max_size=60, unique=True),
    example=st.sampled_from(list(SEPARATORS)),
    mark=st.sampled_from(["", "$", "€", "CHF"]),
)
def test_a_column_in_one_format_is_the_column_of_plain_numbers(numbers: list[int], example: str, mark: str) -> None:
    values = [1234567.25, *(number / 100 for number in numbers)]
    texts = pa.array([written(value, NumberFormat(example, mark), 2) for value in values])
    count = NumberCount()
    count.add(LandedValues(texts))
    assert count.kind is not None
    parsed = column_type(count.kind).parse(texts)
    assert parsed.wrong == {}
    assert all(map(math.isclose, parsed.values.to_pylist(), values))


@pytest.mark.parametrize(
    ("texts", "kind", "problem"),
    [
        ([f"${n}" for n in range(30)], "number 1234.5 $", None),
        ([f"{n},{n:02}" for n in range(30)], "number 1.234,5", None),
        ([f"{n},5" for n in range(5)], None, None),
        ([str(n) for n in range(50)] + ["1,234.50"], "number 1,234.5", None),
        ([f"{n}%" for n in range(30)], "number 1234.5 %", None),
        ([f"{n}%" for n in range(30)] + ["5"] * 5, None, "one currency or percent sign in 'x'; found none and %"),
        ([f"${n}" for n in range(30)] + ["€5"], None, "one currency or percent sign in 'x'; found $ and €"),
        (
            [f"{n},{n + 100}" for n in range(30)],
            None,
            "found numbers such as '0,100', which may be read in several ways",
        ),
        (
            [f"{n}.{n + 100} €" for n in range(1, 30)],
            None,
            "`types: {x: 'number 1.234,5 €'}` or `types: {x: 'number 1234.5 €'}`",
        ),
        (["a", "b"], None, None),
        (["ABC123", "USB 5"], None, None),
        (["inf", "2"], "number", None),
        (["1", "0", "yes"], None, None),
        (["12", "-", "\\N", "?"], "number", None),
    ],
)
def test_a_format_is_recognised_where_it_can_be_no_other(
    texts: list[str], kind: str | None, problem: str | None
) -> None:
    count = NumberCount()
    count.add(LandedValues(pa.array(texts)))
    assert count.kind == kind
    assert (problem is None and count.problem("x") is None) or (problem or "none") in str(count.problem("x"))


@pytest.mark.parametrize("kind", ["number", "number 0/1", "number 1.234,5", "number 1 234.5 €"])
def test_a_format_is_a_type_that_a_spec_can_name(kind: str) -> None:
    assert column_type(kind).kind == kind


@pytest.mark.parametrize("size", [1_000, 1_000_000])
@pytest.mark.parametrize("begin", ["+", "1", "(", "1 ", "$", "\u00a0"])
@pytest.mark.parametrize("piece", [" ", "1", ",", "\u00a0", "1,"])
def test_a_text_however_long_is_read_or_refused_at_once(begin: str, piece: str, size: int) -> None:
    """A million blanks would take days where the time grows with the square of the length."""
    text = begin + piece * size + "x"
    assert find_mark(text) == ""
    assert NumberFormat("1,234.5").read(text) is None


@pytest.mark.parametrize("example", SEPARATORS)
@pytest.mark.parametrize("mark", ["", "€", "%"])
def test_a_plain_number_written_in_a_format_is_read_as_itself(example: str, mark: str) -> None:
    form = NumberFormat(example, mark)
    for text in ("0", "1", "12.3", "-5.25", "1.234", "1234.5", "1234567"):
        number = float(text) / 100 if mark == "%" else float(text)
        assert form.read(form.write(repr(number))) == number
