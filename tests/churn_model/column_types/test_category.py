"""Categories: text as landed."""

import datetime
from typing import Any

import pyarrow as pa
import pytest

from churn_model.column_types.category import CATEGORY


def raw(*values: str) -> pa.Array:
    return pa.array([value.encode() for value in values], pa.binary())


def test_a_category_is_kept_as_landed_but_for_the_blanks_around_it() -> None:
    values = ["  a b ", "NA", "None", "", "   ", "=1+1", "<b>", "7.0"]
    assert CATEGORY.parse(raw(*values)).values.to_pylist() == ["a b", "NA", "None", None, None, "=1+1", "<b>", "7.0"]


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
    assert CATEGORY.parse(array).values.to_pylist() == expected
