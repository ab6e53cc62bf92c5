"""Between frozen dataclasses and JSON: what goes out comes back, and what does not fit is refused with its path."""

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn_model.arrays import FloatArray
from churn_model.records import RecordError, finite, from_plain, to_plain
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.costs import Contact, Costs, ValueColumn
from churn_model.spec.sections.label import Label


@dataclass(frozen=True, kw_only=True)
class Point:
    x: float
    y: float = -1.0


@dataclass(frozen=True, kw_only=True)
class Everything:
    name: str
    number: float
    count: int
    holds: bool
    maybe: Point | None
    either: float | Point
    kind: Literal["a", "b"]
    points: tuple[Point, ...]
    pair: tuple[str, int]
    by_name: Mapping[str, Point]
    texts: list[str]
    curve: FloatArray
    table: FloatArray
    optional: float | None = None
    untyped: Any = None


def same(one: Any, other: Any) -> bool:
    """Equal, with NaN equal to NaN and arrays compared by value, shape and dtype."""
    if type(one) is not type(other):
        return False
    if dataclasses.is_dataclass(one):
        return all(same(getattr(one, part.name), getattr(other, part.name)) for part in dataclasses.fields(one))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=True)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other or (isinstance(one, float) and math.isnan(one) and math.isnan(other))


points = st.builds(Point, x=st.floats(allow_infinity=False), y=st.floats(allow_infinity=False))
arrays = st.lists(st.floats(allow_infinity=False), max_size=5).map(lambda values: np.array(values, dtype=np.float64))
tables = st.integers(1, 3).flatmap(
    lambda width: st.lists(
        st.lists(st.floats(allow_infinity=False), min_size=width, max_size=width), min_size=1, max_size=3
    )
)
everything = st.builds(
    Everything,
    name=st.text(),
    number=st.floats(allow_infinity=False),
    count=st.integers(),
    holds=st.booleans(),
    maybe=st.none() | points,
    either=st.floats(allow_infinity=False) | points,
    kind=st.sampled_from(["a", "b"]),
    points=st.lists(points, max_size=3).map(tuple),
    pair=st.tuples(st.text(), st.integers()),
    by_name=st.dictionaries(st.text(), points, max_size=3),
    texts=st.lists(st.text(), max_size=3),
    curve=arrays,
    table=tables.map(lambda rows: np.array(rows, dtype=np.float64)),
    optional=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    untyped=st.none() | st.integers() | st.lists(st.text()),
)


@given(everything)
def test_what_is_written_as_json_comes_back(value: Everything) -> None:
    text = json.dumps(to_plain(value), allow_nan=False)
    assert same(from_plain(Everything, json.loads(text)), value)


def test_numbers_that_json_lacks_are_null() -> None:
    assert to_plain((math.nan, math.inf, -math.inf, 1.5)) == [None, None, None, 1.5]
    assert to_plain(np.array([[1.0, math.nan]])) == [[1.0, None]]
    assert to_plain((np.int64(3), np.bool_(True))) == [3, True]


def test_a_metric_is_finite_or_nothing() -> None:
    assert [finite(value) for value in (1, 0.5, math.nan, math.inf, None)] == [1.0, 0.5, None, None, None]


def test_what_json_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot write a set"):
        to_plain({"a": {1, 2}})


def test_a_missing_key_reads_as_the_default_and_a_missing_number_as_nan() -> None:
    read = from_plain(Point, {"x": None})
    assert math.isnan(read.x)
    assert read.y == -1.0


def test_unknown_keys_are_ignored_unless_the_class_forbids_them() -> None:
    @dataclass(frozen=True)
    class Strict:
        __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
        x: int = 0

    assert from_plain(Point, {"x": 1, "later": [1]}) == Point(x=1.0)
    with pytest.raises(RecordError, match=r"(?i)Expected later to be absent"):
        from_plain(Strict, {"x": 1, "later": [1]})


@dataclass(frozen=True, kw_only=True)
class Holder:
    points: tuple[Point, ...] = ()
    by_name: Mapping[str, Point] = field(default_factory=dict)
    count: int = 0
    name: str = ""
    holds: bool = False
    kind: Literal["a", "b"] = "a"
    either: float | Point = 0.0
    pair: tuple[str, int] = ("", 0)
    curve: FloatArray = field(default_factory=lambda: np.zeros(0))


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"points": [{"x": 1}, {}]}, r"(?i)Expected points\[1\]\.x to be present.+found nothing"),
        ({"by_name": {"here": {"x": "one"}}}, r"(?i)Expected by_name\.here\.x to be a number.+found 'one'"),
        ({"count": True}, "(?i)count to be a whole number.+found True"),
        ({"count": 1.5}, "(?i)count to be a whole number.+found 1.5"),
        ({"name": None}, "(?i)name to be text.+found None"),
        ({"holds": 1}, "(?i)holds to be true or false.+found 1"),
        ({"kind": "c"}, "(?i)kind to be one of a, b.+found 'c'"),
        ({"either": {"x": "one"}}, r"(?i)Expected either\.x to be a number"),
        ({"pair": ["a"]}, "(?i)pair to be a list of 2"),
        ({"points": {}}, "(?i)points to be a list.+found {}"),
        ({"by_name": []}, r"(?i)by_name to be a mapping.+found \[\]"),
        ({"curve": [1, "x"]}, "(?i)curve to be a list of numbers"),
        ({"curve": 1}, "(?i)curve to be a list of numbers"),
        ([], r"(?i)Expected the record to be a mapping \(Holder\)"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_path(plain: Any, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        from_plain(Holder, plain)


def test_a_rule_of_the_class_is_refused_with_its_path() -> None:
    costs = to_plain(Costs())
    with pytest.raises(RecordError, match="costs: Expected false_positive above true_negative"):
        from_plain(
            Dataset,
            {"name": "a", "label": {"column": "c", "positive": ["y"]}, "costs": {**costs, "false_positive": -1.0}},
        )


@pytest.mark.parametrize("value", [450.0, ValueColumn(column="worth")])
def test_a_dataset_comes_back_from_json(value: float | ValueColumn) -> None:
    dataset = Dataset(
        name="shop",
        label=Label(column="left", positive=("yes",)),
        groups={"bills": ("a", "b")},
        costs=Costs(contact=Contact(cost=5.0, success=0.3, value=value)),
    )
    assert Dataset.from_json(dataset.to_json()) == dataset
