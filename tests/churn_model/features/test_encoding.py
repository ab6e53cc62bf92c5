"""The matrix a model reads."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn_model.column_types.interface import Feature
from churn_model.errors import InputError
from churn_model.features.encoding import encode, feature_names_of, unknown_levels
from churn_model.features.schema import FeatureSchema, fit_schema
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.label import Label
from churn_model.spec.sections.search import Family

DATASET = Dataset(name="test", label=Label(column="left", positive=("yes",)), derived={"double": "x + x"})
NUMBER = Feature(name="x", kind="number", median=2.0, mean=3.0, scale=2.0, missing=0.5)
PLAN = Feature(name="plan", kind="category", levels=("a", "b"), shares=(0.5, 0.3), missing=0.2)
CITY = Feature(name="city", kind="category", levels=tuple("abcdefgh"), shares=(0.125,) * 8)
NAN = float("nan")


def schema(*features: Feature) -> FeatureSchema:
    return FeatureSchema(features=features, one_hot_limit=4)


def categories(*values: str | None) -> pa.Array:
    return pa.array(values, pa.string()).dictionary_encode()


@pytest.mark.parametrize(
    ("family", "feature", "column", "expected"),
    [
        ("boosted_trees", NUMBER, pa.array([1.0, None]), [[1], [NAN]]),
        ("boosted_trees", NUMBER, pa.array([1e300, -1e300]), [[3e38], [-3e38]]),
        ("boosted_trees", NUMBER, pa.array([1, None], pa.int32()), [[1], [NAN]]),
        ("boosted_trees", NUMBER, pa.nulls(2), [[NAN], [NAN]]),
        ("linear", NUMBER, pa.array([5.0, None, 1e9]), [[1, 0], [-0.5, 1], [8, 0]]),
        ("boosted_trees", PLAN, categories("b", None, "new", "a"), [[0, 1, 0], [0, 0, 1], [0, 0, 0], [1, 0, 0]]),
        ("random_forest", PLAN, pa.array(["b", None]), [[0, 1, 0], [0, 0, 1]]),
        ("linear", PLAN, categories("b", None, "new"), [[0, 1, 0], [0, 0, 1], [0, 0, 0]]),
        ("boosted_trees", PLAN, pa.nulls(1), [[0, 0, 1]]),
        ("boosted_trees", CITY, categories("c", None, "new", "a"), [[2], [NAN], [NAN], [0]]),
        ("linear", CITY, categories("b", None), [[0, 1, 0, 0, 0, 0, 0, 0], [0] * 8]),
    ],
)
def test_each_kind_is_encoded_as_its_family_reads_it(
    family: Family, feature: Feature, column: pa.Array, expected: list[list[float]]
) -> None:
    encoded = encode(pa.table({feature.name.upper(): column}), schema(feature), family)
    assert encoded.dtype == np.float32
    assert encoded.flags.c_contiguous
    np.testing.assert_array_equal(encoded, np.array(expected, dtype=np.float32))


def test_a_null_inside_a_dictionary_is_a_missing_value() -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2], pa.int32()), pa.array(["b", None, "a"]))
    np.testing.assert_array_equal(
        encode(pa.table({"plan": column}), schema(PLAN), "linear"), [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    )


def test_without_missing_values_in_training_there_is_no_column_for_them() -> None:
    never = Feature(name="x", kind="number", median=2.0, mean=3.0, scale=2.0)
    np.testing.assert_array_equal(encode(pa.table({"x": [None, 3.0]}), schema(never), "linear"), [[-0.5], [0]])


def table(values: list[tuple[float | None, str | None]]) -> pa.Table:
    return pa.table(
        {"x": pa.array([x for x, _ in values], pa.float64()), "plan": categories(*(plan for _, plan in values))}
    )


def test_owners_name_the_feature_of_each_encoded_column() -> None:
    found = fit_schema(table([(1.0, "a"), (2.0, "b"), (None, "a")] * 5), DATASET)
    assert feature_names_of(found, "boosted_trees") == ("x", "plan", "plan", "double")
    assert feature_names_of(found, "linear") == ("x", "x", "plan", "plan", "double", "double")


@given(
    st.lists(
        st.tuples(st.none() | st.floats(-1e6, 1e6), st.sampled_from(["a", "b", "c", None])), min_size=1, max_size=40
    ),
    st.integers(1, 7),
    st.sampled_from(["boosted_trees", "linear"]),
)
def test_a_row_is_encoded_alike_alone_in_chunks_and_in_any_dictionary(
    values: list[tuple[float | None, str | None]], size: int, family: Family
) -> None:
    found = fit_schema(table([(1.0, "a"), (2.0, "b"), (None, "c")] * 5), DATASET)
    whole = encode(table(values), found, family)
    chunks = pa.concat_tables([table(values[start : start + size]) for start in range(0, len(values), size)])
    np.testing.assert_array_equal(encode(chunks, found, family), whole)
    np.testing.assert_array_equal(encode(chunks.slice(1), found, family), whole[1:])
    np.testing.assert_array_equal(encode(table(values[-1:]).to_batches()[0], found, family), whole[-1:])


@pytest.mark.parametrize("threads", [1, 3])
def test_more_rows_than_a_block_are_all_encoded(threads: int) -> None:
    rows = 40_001
    found = fit_schema(table([(1.0, "a"), (2.0, "b")] * 5), DATASET)
    encoded = encode(table([(float(n), "ab"[n % 2]) for n in range(rows)]), found, "boosted_trees", threads=threads)
    np.testing.assert_array_equal(encoded[:, 0], np.arange(rows))
    np.testing.assert_array_equal(encoded[:, 2], np.arange(rows) % 2)
    np.testing.assert_array_equal(encoded[:, 3], 2 * np.arange(rows))


@pytest.mark.parametrize("family", ["boosted_trees", "linear"])
def test_neighbouring_categories_are_encoded_as_each_is_alone(family: Family) -> None:
    rng = np.random.default_rng(0)
    levels = [2, 3, 40, 5, 200, 2, 7]  # of few and of many levels: some share a table, some would make it too large
    features = [
        Feature(
            name=f"c{n}",
            kind="category",
            levels=tuple(f"l{k}" for k in range(of)),
            shares=(1 / of,) * of,
            missing=0.1 * (n % 2),
        )
        for n, of in enumerate(levels)
    ]
    codes = [rng.integers(0, of + 1, 500) for of in levels]  # one beyond the known: an unknown level
    rows = pa.table(
        {
            feature.name: categories(*(None if rng.random() < 0.1 else f"l{k}" for k in code))
            for feature, code in zip(features, codes, strict=True)
        }
    )
    alone = [encode(rows, schema(feature), family) for feature in features]
    np.testing.assert_array_equal(encode(rows, schema(*features), family), np.hstack(alone))


def test_levels_that_training_did_not_know_are_counted_and_missing_values_are_not() -> None:
    column = categories("b", None, "strange", "other", "strange")
    rows = pa.table({"plan": column, "x": [1.0] * 5}).to_batches()[0]
    assert unknown_levels(rows, schema(NUMBER, PLAN)) == {"plan": 3}


def test_what_float32_cannot_hold_is_its_largest() -> None:
    column = pa.array([1e308, -np.inf, np.inf, 1.0, None])
    encoded = encode(pa.table({"x": column}), schema(Feature(name="x", kind="number")), "boosted_trees")
    np.testing.assert_array_equal(encoded[:, 0], np.array([3e38, -3e38, 3e38, 1, np.nan], np.float32))


def test_no_rows_have_the_width_of_all() -> None:
    assert encode(pa.table({"x": pa.array([], pa.float64())}), schema(NUMBER), "linear").shape == (0, 2)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, r"(?s)1\. Expected column x \(number\); found no such column.*2\. Expected column plan"),
        (
            {"x": categories("a"), "plan": [1.0]},
            r"(?s)a number in x.*found text.*a category in plan.*found numbers",
        ),
        ({"x": [True], "plan": [None]}, None),
        ({"x": pa.array([b"1"]), "plan": ["a"]}, "found a column of binary"),
    ],
)
def test_columns_that_cannot_be_read_are_named_all_at_once(columns: dict[str, Any], message: str | None) -> None:
    rows = pa.table(columns)
    if message is None:
        assert encode(rows, schema(NUMBER, PLAN), "linear").shape == (1, 5)
    else:
        with pytest.raises(InputError, match=message):
            encode(rows, schema(NUMBER, PLAN), "linear")
