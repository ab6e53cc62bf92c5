"""The SQL functions, on DuckDB."""

from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pytest

from churn_assets.sql.functions import call, quote_name, register_functions
from churn_model.serving.plan import Plan
from tests.churn_model.serving.shop import DATASETS, landed, made_bundle, records, rows_of

COUNT = 5_000


@pytest.fixture(scope="module")
def plan() -> Plan:
    return Plan(made_bundle("boosted_trees"), DATASETS["shop"])


@pytest.fixture
def connection(plan: Plan) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        register_functions(opened, plan)
        yield opened


def test_each_row_is_answered_as_by_itself(connection: duckdb.DuckDBPyConnection, plan: Plan) -> None:
    columns = landed(COUNT, seed=4)
    customers = pa.table(columns)  # noqa: F841  # DuckDB finds it by name
    connection.execute(
        "create table t as select * replace (nullif(minutes, '') as minutes, nullif(calls, '') as calls, "
        "nullif(since, '') as since, nullif(flag, '') as flag) from customers"
    )
    found = connection.execute("select churn_probability(t), will_churn(t) from t order by rowid").fetchall()
    step = COUNT // 250
    expected = [plan.answer(each) for each in records(columns)[::step]]
    assert found[::step] == [(each.churn_probability, each.will_churn) for each in expected]
    assert len(found) == COUNT
    written = connection.execute(f"select {call(plan)}, {call(plan, 'will_churn')} from t order by rowid").fetchall()
    assert written == found


def test_types_of_a_table_are_taken_as_they_are(connection: duckdb.DuckDBPyConnection, plan: Plan) -> None:
    record = {name: values[0] for name, values in landed(1, seed=5).items()}
    text = ", ".join(f"nullif('{value}', '') as {name}" for name, value in record.items())
    typed = (
        "select * replace (minutes::float as minutes, calls::smallint as calls, (roams = 'yes') as roams, "
        "since::date as since, worth::decimal(9, 2) as worth)"
    )
    query = f"with t as ({typed} from (select {text})) select churn_probability(t) from t"
    changed = record | {
        "roams": "true" if record["roams"] == "yes" else "false",
        "minutes": repr(float(pa.scalar(float(record["minutes"]), pa.float32()).as_py())),
    }
    assert connection.execute(query).fetchone() == (plan.answer(changed).churn_probability,)


def test_a_published_table_is_answered_as_its_file_is_whatever_format_the_file_had(
    connection: duckdb.DuckDBPyConnection, plan: Plan
) -> None:
    """The text 1.234 of such a column is 1234, and the number 1.234 is not."""
    columns = landed(200, seed=6)
    columns["bill"] = [f"{at},{at:03}" for at in range(200)]
    schema = plan.bundle.schema.required
    assert schema["bill"] == "number 1.234,5 €"
    customers = rows_of(columns, DATASETS["shop"], schema)  # noqa: F841  # DuckDB finds it by name
    connection.execute("create table t as select *, _as_of as day from customers")
    assert connection.execute("select distinct typeof(bill) from t").fetchall() == [("DOUBLE",)]
    found = dict(connection.execute("select _id, churn_probability(t) from t").fetchall())
    expected = {each["customer"]: plan.answer(each).churn_probability for each in records(columns)}
    assert found == expected
    written = dict(connection.execute(f"select _id, {call(plan)} from t").fetchall())
    assert written == expected


def test_null_is_missing_a_blank_row_is_null_and_what_cannot_be_read_fails(
    connection: duckdb.DuckDBPyConnection, plan: Plan
) -> None:
    record = {name: values[0] for name, values in landed(1, seed=5).items()}
    literals = {name: f"'{value}'" if value else "null" for name, value in record.items()}

    def ask(values: dict[str, str]) -> object:
        query = f"with t as (select {', '.join(f'{text} as {name}' for name, text in values.items())}) select churn_probability(t) from t"
        return connection.execute(query).fetchall()[0][0]

    assert ask(literals | {"minutes": "null"}) == plan.answer(record | {"minutes": None}).churn_probability
    assert ask(dict.fromkeys(literals, "null")) is None
    with pytest.raises(duckdb.Error, match=r"worth: Expected a worth from 0 to 1e\+12; found a blank"):
        ask(literals | {"worth": "null"})
    with pytest.raises(duckdb.Error, match="since"):
        ask({name: text for name, text in literals.items() if name != "since"})


def test_names_with_quotes_are_columns_and_nothing_else(plan: Plan) -> None:
    assert call(plan).startswith('churn_probability("day", "minutes", "calls", ')
    assert quote_name('a"; drop table t; --') == '"a""; drop table t; --"'
