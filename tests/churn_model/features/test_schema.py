"""What a schema keeps of the train split, and what it leaves out."""

import json

import numpy as np
import pyarrow as pa
import pytest

from churn_model.column_types.category import MAX_LEVELS
from churn_model.column_types.number import as_numbers
from churn_model.column_types.registry import describe_field
from churn_model.errors import InputError, TooLittleData
from churn_model.features.schema import FeatureSchema, column_named, fit_schema
from churn_model.records import RecordError, from_plain, to_plain
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.label import Label
from churn_model.spec.sections.split import Split

N = 100


def dataset(**more: object) -> Dataset:
    return Dataset(name="test", id="id", label=Label(column="left", positive=("yes",)), **more)  # type: ignore[arg-type]


def rows(**columns: object) -> pa.Table:
    keys = {
        "_id": pa.array([f"c{n}" for n in range(N)]),
        "_hash": pa.array(np.arange(N, dtype=np.uint64)),
        "_label": pa.array([0, 1] * (N // 2), pa.int8()),
    }
    return pa.table(keys | columns)


def category(*values: str | None) -> pa.Array:
    return pa.array([values[n % len(values)] for n in range(N)]).dictionary_encode()


def number(*values: float | None) -> pa.Array:
    return pa.array([values[n % len(values)] for n in range(N)], pa.float64())


def test_a_number_keeps_its_statistics_of_known_values() -> None:
    feature = fit_schema(rows(x=number(1.0, 2.0, 6.0, None)), dataset()).feature("X")
    assert (feature.kind, feature.median, feature.mean, feature.missing) == ("number", 2.0, 3.0, 0.25)
    assert (feature.low, feature.high) == (1.0, 6.0)
    assert feature.scale == pytest.approx(np.std([1, 2, 6]))


def test_levels_are_ordered_by_frequency_then_by_value_with_their_shares() -> None:
    feature = fit_schema(rows(plan=category("b", "a", "a", None, "c")), dataset()).feature("plan")
    assert feature.levels == ("a", "b", "c")
    assert feature.shares == (0.4, 0.2, 0.2)
    assert feature.missing == pytest.approx(0.2)
    assert feature.levels[0] == "a"


def test_a_dictionary_that_differs_from_chunk_to_chunk_is_counted_once() -> None:
    plans = pa.chunked_array(
        [pa.array(["a"] * 60).dictionary_encode(), pa.array(["b"] * 30 + ["a"] * 10).dictionary_encode()]
    )
    assert fit_schema(rows(plan=plans), dataset()).feature("plan").shares == (0.7, 0.3)


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (number(3.0), "equal"),
        (number(None), "no value"),
        (category("same"), "equal"),
        (category(None), "no value"),
        (pa.array([f"v{n}" for n in range(N)]).dictionary_encode(), "as an id has"),
        (pa.array([f"v{n // 2}" for n in range(N)]).dictionary_encode(), "no value occurs in 3 rows"),
    ],
)
def test_a_column_that_teaches_nothing_is_left_out_with_its_reason(column: pa.Array, reason: str) -> None:
    schema = fit_schema(rows(x=number(1.0, 2.0), odd=column), dataset())
    assert schema.names == ("x",)
    assert reason in schema.left_out["odd"]


def test_one_value_and_nothing_is_no_constant() -> None:
    assert fit_schema(rows(x=number(1.0, None), plan=category("a", None)), dataset()).names == ("x", "plan")


def test_rare_levels_and_those_beyond_the_limit_are_unknown() -> None:
    values = ["common"] * 98 + ["rare", "rare"]
    assert fit_schema(rows(plan=pa.array(values).dictionary_encode()), dataset()).feature("plan").levels == ("common",)
    many = pa.table(
        {
            "_id": [str(n) for n in range(1200)],
            "city": pa.array([f"c{n % 300:03}" for n in range(1200)]).dictionary_encode(),
        }
    )
    assert len(fit_schema(many, dataset()).feature("city").levels) == MAX_LEVELS


def test_excluded_columns_are_no_features_whatever_their_case() -> None:
    split = Split(by="column", column="Part")
    table = rows(x=number(1.0, 2.0), PHONE=number(1.0, 2.0), part=category("train", "test"))
    assert fit_schema(table, dataset(ignore=("Phone",), split=split)).names == ("x",)


def test_a_derived_column_is_computed_from_columns_that_are_themselves_ignored() -> None:
    schema = fit_schema(
        rows(Day=number(1.0, 2.0), Eve=number(3.0, None)),
        dataset(ignore=("Day", "Eve"), derived={"total": "day + eve"}),
    )
    assert schema.names == ("total",)
    assert schema.feature("total").expression == "day + eve"
    assert schema.feature("total").missing == 0.5
    assert schema.required == {"day": "number", "eve": "number"}


def test_required_names_a_source_that_is_a_feature_once() -> None:
    schema = fit_schema(rows(Day=number(1.0, 2.0), plan=category("a", "b")), dataset(derived={"twice": "day + day"}))
    assert schema.required == {"Day": "number", "plan": "category"}


def test_a_source_keeps_the_format_in_which_it_landed() -> None:
    kind = "number 1.234,5 €"
    landed = pa.table([number(1.5, 2.5, 3.5)], schema=pa.schema([describe_field("Fee", kind)]))
    schema = fit_schema(landed, dataset(ignore=("fee",), derived={"twice": "fee * 2"}))
    assert from_plain(FeatureSchema, json.loads(json.dumps(to_plain(schema)))).required == {"fee": kind}


def test_a_formatted_column_of_nothing_but_0_and_1_keeps_its_format() -> None:
    kind = "number 1234.5 %"
    landed = pa.table([number(0.0, 1.0, 1.0)], schema=pa.schema([describe_field("share", kind)]))
    assert fit_schema(landed, dataset()).required == {"share": kind}


def test_every_absent_source_of_a_derived_column_is_named() -> None:
    with pytest.raises(InputError, match=r"(?s)column eve, for the derived total.*column night"):
        fit_schema(rows(day=number(1.0, 2.0)), dataset(derived={"total": "day + eve + night"}))


def test_a_derived_column_of_a_category_is_refused() -> None:
    with pytest.raises(
        InputError,
        match=r"Expected numbers in 'plan', for the derived 'twice'; found text. Take it out of the expression; or",
    ):
        fit_schema(rows(plan=category("a", "b")), dataset(derived={"twice": "plan + plan"}))


def test_text_where_a_number_must_be_is_called_text() -> None:
    with pytest.raises(InputError, match=r"Expected numbers in plan; found text. Correct .*`types: {plan: number}`"):
        as_numbers(category("a", "b"), "plan")


def test_no_feature_left_says_why() -> None:
    with pytest.raises(TooLittleData, match=r"at least one column.*x: all its values are equal"):
        fit_schema(rows(x=number(1.0)), dataset())
    with pytest.raises(TooLittleData, match="rows to train on; found none"):
        fit_schema(rows(x=number(1.0)).slice(0, 0), dataset())


def test_the_schema_survives_json() -> None:
    schema = fit_schema(
        rows(x=number(1.0, None), plan=category("a", "b"), same=number(1.0)), dataset(derived={"y": "x * 2"})
    )
    assert from_plain(FeatureSchema, json.loads(json.dumps(to_plain(schema)))) == schema


def test_something_else_is_no_schema() -> None:
    with pytest.raises(RecordError, match=r"Expected features\[0\]\.kind to be present; found nothing"):
        from_plain(FeatureSchema, {"features": [{"name": "x"}]})


def test_an_unknown_feature_is_a_key_error_and_an_unknown_column_nothing() -> None:
    with pytest.raises(KeyError, match="y"):
        fit_schema(rows(x=number(1.0, 2.0)), dataset()).feature("y")
    assert column_named(rows(), "x") is None
