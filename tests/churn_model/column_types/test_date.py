"""Dates: which formats are recognised, what is parsed, and how an age is counted."""

import datetime

import numpy as np
import pyarrow as pa
import pytest

from churn_model.column_types.date import DATE, Date, DateCount
from churn_model.column_types.landed import LandedValues
from churn_model.column_types.registry import column_type
from churn_model.errors import InputError
from churn_model.features.encoding import encode, feature_names_of
from churn_model.features.schema import FeatureSchema, fit_schema
from churn_model.models.reasons import make_explainer
from churn_model.records import from_plain, to_plain
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.label import Label


def count(*values: str) -> DateCount:
    found = DateCount()
    for value in values:  # one chunk each: chunks add up
        found.add(LandedValues(pa.array([value])))
    return found


def day(text: str) -> datetime.date:
    return datetime.date.fromisoformat(text)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (("2024-05-01", "", "NA"), "date"),
        (("2024-05-01 10:30:00", "2024-05-02T00:00:00Z"), "date"),
        (("2024/05/01",), "date %Y/%m/%d"),
        (("01.05.2024", "02.05.2024"), "date %d.%m.%Y"),
        (("01/05/2024", "13/05/2024"), "date %d/%m/%Y"),
        (("01/05/2024", "05/13/2024 9:30 AM"), "date %m/%d/%Y"),
        (("01-05-2024", "31-05-2024"), "date %d-%m-%Y"),
        (("2024-05", "2024-06"), "date %Y-%m"),
        (("05/2024", "12/2024"), "date %m/%Y"),
        (("2024-05-01",) * 19 + ("soon",), "date"),
        (("2024-05-01",) * 18 + ("soon",), None),
        (("2024-05-01", "2024/05/01"), None),
        (("20240501", "202405"), None),
        (("2024-13-01",), None),
        (("12.5", "3.4"), None),
        (("a", "b"), None),
        (("", " "), None),
    ],
)
def test_dates_are_recognised_in_one_format_that_cannot_mean_anything_else(
    values: tuple[str, ...], kind: str | None
) -> None:
    assert count(*values).kind == kind
    assert count(*values).problem("x") is None


def test_a_format_that_may_mean_two_things_is_refused_with_both() -> None:
    found = count("01/02/2024", "03/04/2024")
    assert found.kind is None
    text = found.problem("signup") or ""
    assert "`types: {signup: date %d/%m/%Y}` or `types: {signup: date %m/%d/%Y}`" in text


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("date", " 2024-05-01 ", "2024-05-01"),
        ("date", "2024-05-01 23:59:59.5+02:00", "2024-05-01"),
        ("date %d.%m.%Y", "1.5.2024", "2024-05-01"),
        ("date %Y%m%d", "20240501", "2024-05-01"),
        ("date %Y%m", "202405", "2024-05-01"),
        ("date %d.%m.%y", "01.05.24", "2024-05-01"),
        ("date %Y-%m-%d %H:%M", "2024-05-01 09:30", "2024-05-01"),
    ],
)
def test_a_date_is_parsed_in_its_format(kind: str, text: str, expected: str) -> None:
    parsed = column_type(kind).parse(pa.array([text, "", "n/a", None]))
    assert parsed.values.to_pylist() == [day(expected), None, None, None]
    assert not parsed.wrong


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("date", "01.05.2024", "expected a date such as 2024-01-31, found '01.05.2024'; write its format under types"),
        ("date %d.%m.%Y", "2024-05-01", "expected a date such as 31.01.2024, found '2024-05-01'"),
        ("date %d.%m.%Y", "31.04.2024", "expected a date that the calendar has"),
        ("date %Y%m%d", "2024131", "expected a date such as 20240131"),
    ],
)
def test_what_is_no_date_is_wrong_and_says_why(kind: str, text: str, message: str) -> None:
    parsed = column_type(kind).parse(pa.array(["", text]))
    assert message in str(parsed.wrong[1])
    assert parsed.values.to_pylist() == [None, None]


def test_timestamps_are_read_by_their_own_calendar() -> None:
    late = pa.array([datetime.datetime(2024, 1, 31, 23, 30, tzinfo=datetime.UTC), None])
    assert DATE.parse(late).values.to_pylist() == [day("2024-01-31"), None]
    assert DATE.parse(late.cast(pa.timestamp("us", tz="Europe/Berlin"))).values.to_pylist() == [day("2024-02-01"), None]
    early = pa.array([datetime.datetime(1969, 12, 30, 1)], pa.timestamp("ms"))  # noqa: DTZ001
    assert DATE.parse(early).values.to_pylist() == [day("1969-12-30")]


@pytest.mark.parametrize("text", ["%d.%m", "%Y", "soon", "%d.%m.%Y %Q"])
def test_a_format_needs_a_year_and_a_month(text: str) -> None:
    with pytest.raises(ValueError, match="a format"):
        DATE.configure(text)
    assert Date("%d.%m.%Y").kind == "date %d.%m.%Y"


def dataset(as_of: str | None = None) -> Dataset:
    return Dataset(name="shop", label=Label(column="left", positive=("yes",)), as_of=as_of)


def dates(*texts: str | None) -> pa.Array:
    return pa.array([text and day(text) for text in texts], pa.date32())


def fitted(rows: pa.Table, as_of: str | None = None) -> FeatureSchema:
    return fit_schema(rows, dataset(as_of))


def test_an_age_is_counted_from_the_rows_snapshot_and_may_lie_ahead() -> None:
    rows = pa.table(
        {
            "signup": dates("2024-05-01", "2024-04-11", None),
            "_as_of": dates("2024-05-02", "2024-04-01", "2024-04-01"),
        }
    )
    schema = fitted(rows, "snapshot")
    assert feature_names_of(schema, "boosted_trees") == ("signup", "signup (month)", "signup (weekday)")
    assert schema.required == {"signup": "date"}
    np.testing.assert_array_equal(
        encode(rows, schema, "boosted_trees"), [[1, 5, 2], [-10, 4, 3], [np.nan, np.nan, np.nan]]
    )
    with pytest.raises(InputError, match="snapshot"):
        encode(rows.drop_columns(["_as_of"]), schema, "boosted_trees")


def test_without_a_snapshot_an_age_is_counted_from_the_latest_date_of_training_in_every_batch() -> None:
    schema = fitted(pa.table({"signup": dates("2024-05-01", "2024-04-21", "2024-04-30")}))
    assert schema.features[0].reference == "2024-05-01"
    batch = pa.table({"signup": dates("2024-05-03", "2024-04-21")})
    assert encode(batch, schema, "boosted_trees")[:, 0].tolist() == [-2, 10]
    assert encode(batch.slice(1), schema, "boosted_trees")[:, 0].tolist() == [10]


def test_a_linear_model_has_a_column_for_each_month_and_weekday_and_one_for_missing() -> None:
    rows = pa.table({"signup": dates("2024-05-01", None, "2024-12-15")})
    schema = fitted(rows)
    assert encode(rows, schema, "linear").shape == (3, 2 + 13 + 8)
    month = encode(rows, schema, "linear")[:, 2:15]
    assert month.argmax(axis=1).tolist() == [4, 12, 11]
    assert month.sum(axis=1).tolist() == [1, 1, 1]


def test_months_alone_have_no_weekday_and_a_name_that_is_taken_is_left_to_the_landed_column() -> None:
    rows = pa.table(
        {"signup": dates("2024-05-01", "2024-06-01", "2024-07-01"), "signup (month)": pa.array([1.0, 2.0, 3.0])}
    )
    schema = fitted(rows)
    assert schema.names == ("signup", "signup (month)")
    assert schema.feature("signup (month)").kind == "number"
    assert schema.left_out == {
        "signup (weekday)": "all dates are the first of a month",
        "signup (month)": "another column has this name",
    }


def test_a_date_reads_as_time_passed_if_a_snapshot_says_when_and_as_a_day_otherwise() -> None:
    rows = pa.table({"signup": dates("2024-05-01", "2024-05-02", "2024-05-12"), "_as_of": dates(*["2024-05-02"] * 3)})
    schema = fitted(rows, "snapshot")
    said = []
    for feature in schema.features:
        readable = DATE.describe(rows["signup"], feature, rows["_as_of"])
        said.append([readable.value(number) for number in readable.numbers])
    assert said == [["1 day ago", "on that day", "in 10 days"], ["on a Wednesday", "on a Thursday", "on a Sunday"]]
    assert DATE.describe_usual(schema.features[0]) == ("typical:", "on that day")
    plain = fitted(rows.drop_columns(["_as_of"]))
    readable = DATE.describe(rows["signup"], plain.features[0], None)
    assert [readable.value(number) for number in readable.numbers] == ["2024-05-01", "2024-05-02", "2024-05-12"]
    assert DATE.describe_usual(plain.features[0]) == ("typical:", "2024-05-02")


def test_all_features_of_a_date_are_one_reason() -> None:
    schema = fitted(pa.table({"signup": dates("2024-05-01", "2024-06-11", None), "x": pa.array([1.0, 2.0, 3.0])}))
    assert make_explainer(schema, "linear", words={}, groups={}).names == ("signup", "x")
    together = make_explainer(schema, "linear", words={}, groups={"both": ("signup", "x")})
    assert together.names == ("both",)


def test_a_schema_with_dates_survives_json() -> None:
    schema = fitted(pa.table({"signup": dates("2024-05-01", "2024-06-11", None)}))
    assert from_plain(FeatureSchema, to_plain(schema)) == schema


def test_no_row_depends_on_the_day_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pa.table({"signup": dates("2024-05-01", "2024-04-21", None)})
    made = []
    for run_day in ("2024-06-01", "2031-01-01"):

        class Day(datetime.date):
            @classmethod
            def today(cls, day: str = run_day) -> "Day":
                return cls.fromisoformat(day)

        monkeypatch.setattr(datetime, "date", Day)
        schema = fitted(rows)
        made.append((to_plain(schema), encode(rows, schema, "boosted_trees").tobytes()))
        monkeypatch.undo()
    assert made[0] == made[1]


@pytest.mark.parametrize("form", ["", " %d.%m.%Y", " %m/%d/%Y", " %d/%m/%Y %H:%M"])
@pytest.mark.parametrize("plain", ["2024-02-29", "2024-02-29 10:30:00"])
def test_a_plain_date_written_in_a_format_is_read_as_itself(form: str, plain: str) -> None:
    kind = column_type(f"date{form}")
    assert kind.parse(pa.array([kind.write(plain)])).values.to_pylist() == [datetime.date(2024, 2, 29)]
