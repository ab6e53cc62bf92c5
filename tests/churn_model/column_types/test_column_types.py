"""What holds for every column type, and that a new one is registered and nothing else is changed."""

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn_model.arrays import FloatArray
from churn_model.column_types import registry
from churn_model.column_types.interface import ColumnType, Feature, FittedColumn, Layout, Readable, TypeCount
from churn_model.column_types.landed import MISSING_WORDS, LandedValues, ParsedColumn, Reason, parse_distinct, read_text
from churn_model.column_types.number import encode_numbers, fit_numbers
from churn_model.column_types.parts import EncodedPart
from churn_model.column_types.registry import column_type, column_types, describe_field, kind_of, register, type_of
from churn_model.features.encoding import encode, feature_names_of
from churn_model.features.schema import FeatureSchema, fit_schema
from churn_model.ingest.canonical_rows import ingest
from churn_model.ingest.formats.base import LandedFile
from churn_model.models.families import Hyperparameters, fit_model
from churn_model.models.reasons import make_explainer, reasons
from churn_model.records import from_plain, to_plain
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.label import Label
from churn_model.spec.sections.search import Family
from churn_model.wording import value_text

SAMPLES = {
    "number": ["1", "2.5", "", "-3", "2.5", "7", "1"],
    "category": ["a", "b", "", "a", "b", "a", "b"],
    "date": ["2024-05-01", "2024-06-12", "", "2023-01-03", "2024-05-01", "2024-05-01", "1999-12-31"],
}
SHOP = Dataset(name="shop", label=Label(column="left", positive=("yes",)))


@pytest.fixture(params=SAMPLES)
def sample(request: pytest.FixtureRequest) -> tuple[ColumnType, pa.Array]:
    one = column_type(request.param)
    return one, one.parse(pa.array(SAMPLES[request.param])).values.cast(one.stored_type)


def test_every_registered_type_has_a_sample() -> None:
    assert {one.name for one in column_types()} == set(SAMPLES)


def test_parsed_values_have_the_type_and_only_blanks_are_missing(sample: tuple[ColumnType, pa.Array]) -> None:
    one, stored = sample
    parsed = one.parse(pa.array(SAMPLES[one.name]))
    assert parsed.values.type == one.arrow_type
    assert not parsed.wrong
    assert parsed.values.is_null().to_pylist() == [value == "" for value in SAMPLES[one.name]]
    assert type_of(stored.type) is one
    assert type_of(parsed.values.type) is one


def test_a_field_keeps_the_kind() -> None:
    for kind in ("number", "category", "date", "date %d.%m.%Y"):
        assert kind_of(describe_field("x", kind)) == kind


def test_a_column_comes_back_from_json(sample: tuple[ColumnType, pa.Array]) -> None:
    one, stored = sample
    assert one.from_json(one.to_json(stored)).cast(one.arrow_type).equals(stored.cast(one.arrow_type))


def test_every_feature_has_its_width_and_words(sample: tuple[ColumnType, pa.Array]) -> None:
    one, stored = sample
    rows = pa.table({"x": stored})
    schema = fit_schema(rows, SHOP)
    for feature in schema.features:
        for family in ("boosted_trees", "linear"):
            layout = Layout(family, 16)
            assert one.encode(stored, feature, layout, None).width == one.width(feature, layout)
        readable = one.describe(rows["x"], feature, None)
        assert np.isnan(readable.numbers).tolist() == [value == "" for value in SAMPLES[one.name]]
        assert all(value_text(readable.value(number)) for number in readable.numbers if not np.isnan(number))


ROWS = st.lists(
    st.tuples(
        st.none() | st.floats(-1e6, 1e6),
        st.none() | st.sampled_from(["a", "b", "c", "new"]),
        st.none() | st.dates(datetime.date(1900, 1, 1), datetime.date(2100, 1, 1)),
    ),
    min_size=1,
    max_size=30,
)


def table(rows: list[tuple[Any, ...]]) -> pa.Table:
    number, category, date = zip(*rows, strict=True)
    return pa.table(
        {
            "n": pa.array(number, pa.float64()),
            "c": pa.array(category, pa.string()).dictionary_encode(),
            "d": pa.array(date, pa.date32()),
        }
    )


FITTED = fit_schema(
    table([(1.0, "a", datetime.date(2024, 5, 1)), (None, None, None), (2.0, "b", datetime.date(2023, 2, 7))] * 3), SHOP
)


@given(rows=ROWS, family=st.sampled_from(["boosted_trees", "linear"]))
def test_a_batch_is_encoded_as_its_rows_are_one_by_one(rows: list[tuple[Any, ...]], family: Family) -> None:
    batch = table(rows)
    alone = np.vstack([encode(batch.slice(n, 1), FITTED, family) for n in range(len(rows))])
    np.testing.assert_array_equal(encode(batch, FITTED, family), alone)


KINDS = [
    *("number", "number 0/1", "number 1.234,5 €", "number 1,234.5", "number 1234.5 %"),
    *("category", "category any case", "date", "date %d.%m.%Y"),
]
HOSTILE = st.sampled_from(
    [
        *(
            "",
            " ",
            "0",
            "-0",
            "-0.0",
            "1.",
            ".5",
            "+7",
            "007",
            "1e400",
            "-1e400",
            "3.5e38",
            "1e-400",
            "4.9e-324",
            "NaN",
            "-inf",
        ),
        *(
            "Infinity",
            "0x10",
            "1_000",
            "1,5",
            "1.234",
            "1.234,5",
            "12 %",
            "(5)",
            "$3",
            "3 €",
            "٣",
            "１",
            "1\u00a0",
            "1\x00",
        ),
        *(
            "yes",
            "TRUE",
            "t",
            "no",
            "408.0",
            "408",
            "null",
            "NULL",
            "n/a",
            "#N/A",
            "-",
            "?",
            "a",
            "A",
            " a ",
            "é",
            "e\u0301",
        ),
        *(
            "2024-02-30",
            "2024-02-29",
            "2024-5-1",
            "01.02.2024",
            "31.12.1999",
            "2024-05-01T10:00:00Z",
            "9999-12-31",
            "<b>",
            "x" * 70,
        ),
        *("9007199254740993", "0.1", "123456789012345678901234567890", "1e5", "2.5E-3", "17976931348623157e292"),
    ]
)
TEXTS = st.lists(
    st.none() | HOSTILE | st.text(max_size=12) | st.floats().map(str) | st.dates().map(str), min_size=1, max_size=12
)


@pytest.mark.parametrize("kind", KINDS)
@given(texts=TEXTS)
def test_a_text_alone_is_parsed_as_it_is_in_a_column(kind: str, texts: list[str | None]) -> None:
    one = column_type(kind)
    column, parse = one.parse(pa.array(texts, pa.string())), one.value_parser()
    alone = [parse(text) for text in texts]
    together = column.values.cast(one.arrow_type).to_pylist()
    assert repr([value.value for value in alone]) == repr(together)  # tells -0.0 from 0.0
    assert {row: value.wrong for row, value in enumerate(alone) if value.wrong} == column.wrong


@given(rows=ROWS, family=st.sampled_from(["boosted_trees", "linear"]))
def test_a_value_alone_is_encoded_as_it_is_in_a_column(rows: list[tuple[Any, ...]], family: Family) -> None:
    layout, values = FITTED.layout(family), dict(zip("ncd", zip(*rows, strict=True), strict=True))
    columns = []
    for feature in FITTED.features:
        encode_value = column_type(feature.kind).value_encoder(feature, layout)
        columns.append(np.array([encode_value(value, None) for value in values[feature.source]], dtype=np.float32))
    np.testing.assert_array_equal(np.hstack(columns), encode(table(rows), FITTED, family))


class OnOffCount(TypeCount):
    def __init__(self) -> None:
        self.values: set[str] = set()

    def add(self, values: LandedValues) -> None:
        self.values |= {value for value in values.distinct[0].to_pylist() if value}

    @property
    def kind(self) -> str | None:
        return "switch" if self.values and self.values <= {"on", "off"} else None


class Switch(ColumnType):
    """On or off."""

    name = "switch"
    noun = "switches"
    pattern = "switch"
    arrow_type = pa.bool_()
    stored_type = pa.bool_()

    def accepts(self, stored: pa.DataType) -> bool:
        return bool(pa.types.is_boolean(stored))

    def count(self) -> TypeCount:
        return OnOffCount()

    def parse(self, array: pa.Array) -> ParsedColumn:
        if pa.types.is_boolean(array.type):
            return ParsedColumn(array, {})

        def parse_one(value: str) -> bool | Reason | None:
            if value in MISSING_WORDS:
                return None
            return value == "on" if value in ("on", "off") else Reason("on or off", value)

        return parse_distinct(read_text(array).values, parse_one, pa.bool_(), None)

    def holds(self, kind: pa.DataType) -> bool:
        return bool(pa.types.is_boolean(kind))

    def _numbers(self, column: Any) -> FloatArray:
        numbers: FloatArray = column.cast(pa.float64()).to_numpy()
        return numbers

    def fit(self, name: str, column: Any, as_of: Any) -> FittedColumn:
        return fit_numbers(name, self._numbers(column), kind=self.name)

    def width(self, feature: Feature, layout: Layout) -> int:
        return 1

    def encode(self, column: Any, feature: Feature, layout: Layout, as_of: Any) -> EncodedPart:
        numbers: FloatArray = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
        return encode_numbers(numbers, feature, layout, 1)

    def to_json(self, column: Any) -> list[Any]:
        values: list[Any] = column.to_pylist()
        return values

    def from_json(self, values: list[Any]) -> pa.Array:
        return pa.array(values, pa.bool_())

    def describe(self, column: Any, feature: Feature, as_of: Any) -> Readable:
        return Readable(numbers=self._numbers(column), value=lambda one: "on" if one else "off", ordered=True)

    def describe_usual(self, feature: Feature) -> tuple[str, str] | None:
        return None

    def to_numbers(self, column: Any) -> FloatArray | None:
        return self._numbers(column)


@pytest.fixture
def switch(monkeypatch: pytest.MonkeyPatch) -> Switch:
    monkeypatch.setattr(registry, "_TYPES", list(column_types()))
    added = Switch()
    register(added)
    return added


@pytest.mark.usefixtures("switch")
def test_a_fourth_type_goes_from_a_file_to_a_reason_by_its_registration_alone(tmp_path: Path) -> None:
    lines = ["customer,alarm,x,left"]
    lines += [f"{n},{'on' if n % 2 else 'off'},{n % 7},{'yes' if n % 2 and n % 3 else 'no'}" for n in range(200)]
    (tmp_path / "a.csv").write_text("\n".join([*lines, "999,broken,1,no", ""]))
    dataset = Dataset(name="shop", label=Label(column="left", positive=("yes",)), id="customer")
    # 1 of 201 values is neither on nor off, so the type is told.
    dataset = Dataset(name="shop", label=dataset.label, id="customer", types={"alarm": "switch"})
    found = ingest([LandedFile(key="a.csv", path=tmp_path / "a.csv")], dataset, tmp_path / "out", expected=None)
    assert found.kinds == {"alarm": "switch", "x": "number"}
    assert found.reasons == {"alarm: expected on or off": 1}
    rows = pq.read_table(tmp_path / "out" / "rows")
    assert rows.schema.field("alarm").type == pa.bool_()
    schema = from_plain(FeatureSchema, to_plain(fit_schema(rows, dataset)))
    assert schema.required == {"alarm": "switch", "x": "number"}
    encoded = encode(rows, schema, "boosted_trees")
    model = fit_model(
        encoded,
        rows["_label"].to_numpy(),
        Hyperparameters(family="boosted_trees", rounds=20, values={"eta": 0.3}),
        seed=0,
        threads=1,
    )
    explainer = make_explainer(schema, "boosted_trees", words={}, groups={})
    first = reasons(rows, encoded, model, explainer).words[0].to_pylist()
    assert {text.split(":")[1] for text in first if text and text.startswith("alarm")} == {" on"}
    assert feature_names_of(schema, "boosted_trees") == ("alarm", "x")


@pytest.mark.usefixtures("switch")
def test_a_fourth_type_is_recognised_among_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("customer,alarm,left\n1,on,yes\n2,off,no\n3,,no\n")
    dataset = Dataset(name="shop", label=Label(column="left", positive=("yes",)), id="customer")
    found = ingest([LandedFile(key="a.csv", path=tmp_path / "a.csv")], dataset, tmp_path / "out", expected=None)
    assert found.kinds == {"alarm": "switch"}
