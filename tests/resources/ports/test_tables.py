"""What every catalogue of tables promises."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resources.aws.lake import S3Lake
from resources.errors import TablesError
from resources.local.lake import LocalLake
from resources.local.tables import LocalTables
from resources.ports.lake import Lake
from resources.ports.tables import Tables
from tests.aws.tables import make_aws_tables

# Each adapter as a fixture that gives an empty catalogue over an empty lake.
TABLES = ["local_tables", "aws_tables"]


@dataclass(frozen=True)
class Catalogue:
    """An adapter and the lake that it shows."""

    tables: Tables
    lake: Lake


@pytest.fixture
def local_tables(lake: LocalLake, tmp_path: Path) -> Catalogue:
    return Catalogue(LocalTables(lake=lake, database=str(tmp_path / "tables.duckdb")), lake)


@pytest.fixture
def aws_tables(aws_lake: S3Lake) -> Catalogue:
    return Catalogue(make_aws_tables(aws_lake), aws_lake)


@pytest.fixture(params=TABLES)
def catalogue(request: pytest.FixtureRequest) -> Catalogue:
    found: Catalogue = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def tables(catalogue: Catalogue) -> Tables:
    return catalogue.tables


@pytest.fixture
def any_lake(catalogue: Catalogue) -> Lake:
    return catalogue.lake


def put(lake: Lake, prefix: str, **columns: Any) -> None:
    written = io.BytesIO()
    pq.write_table(pa.table(columns), written)
    lake.put(prefix + "part-0.parquet", written.getvalue())


def test_a_published_version_is_what_sql_reads(tables: Tables, any_lake: Lake) -> None:
    put(any_lake, "telco/raw_customers/v1/rows/", _id=["a", "b"], x=[1, 2])
    put(any_lake, "telco/raw_customers/v2/rows/", _id=["a", "b", "c"], x=[1, 2, 3])
    tables.publish("telco", "raw_customers", "v1", "telco/raw_customers/v1/rows/")
    assert tables.count("telco", "raw_customers") == 2
    for _ in range(2):
        tables.publish("telco", "raw_customers", "v2", "telco/raw_customers/v2/rows/")
        assert tables.count("telco", "raw_customers") == 3


def test_batches_are_parts_of_one_table_and_move_by_themselves(tables: Tables, any_lake: Lake) -> None:
    for prefix, ids in (("b1/v1/", ["a"]), ("b2/v1/", ["b", "c"]), ("b1/v2/", ["d", "e", "f"])):
        put(any_lake, "telco/p/" + prefix, id=ids)
    tables.publish("telco", "batch_predictions", "v1", "telco/p/b1/v1/", "b1")
    tables.publish("telco", "batch_predictions", "v1", "telco/p/b2/v1/", "b2")
    assert tables.count("telco", "batch_predictions") == 3
    tables.publish("telco", "batch_predictions", "v2", "telco/p/b1/v2/", "b1")
    assert tables.count("telco", "batch_predictions") == 5


def test_a_batch_named_like_a_partition_is_no_column(tables: Tables, any_lake: Lake) -> None:
    name = "churn_probability=0"
    put(any_lake, f"telco/p/{name}/v1/", id=["a", "b"], churn_probability=[0.25, 0.75])
    tables.publish("telco", "batch_predictions", "v1", f"telco/p/{name}/v1/", name)
    keys = tables.unload(tables.name("telco", "batch_predictions"), "telco/unloaded/")
    read = [pq.read_table(io.BytesIO(any_lake.read(key)))["churn_probability"] for key in keys]
    assert sorted(value for column in read for value in column.to_pylist()) == [0.25, 0.75]


def test_what_is_unloaded_can_be_read_back(tables: Tables, any_lake: Lake) -> None:
    put(any_lake, "telco/raw_customers/v1/rows/", _id=["a", "b"], x=[1, 2])
    tables.publish("telco", "raw_customers", "v1", "telco/raw_customers/v1/rows/")
    keys = tables.unload(tables.name("telco", "raw_customers"), "telco/unloaded/")
    assert [entry.key for entry in any_lake.entries("telco/unloaded/")] == keys
    assert all(key.endswith(".parquet") for key in keys)
    read = [pq.read_table(io.BytesIO(any_lake.read(key))) for key in keys]
    assert pa.concat_tables(read).sort_by("_id").to_pydict() == {"_id": ["a", "b"], "x": [1, 2]}


ROWS: dict[str, list[Any]] = {"x": [1, 2, 2], "y": ["a", "b", None]}


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({**ROWS, "x": [1, 2, 3]}, id="a value"),
        pytest.param({**ROWS, "y": ["a", "b", ""]}, id="a missing value that becomes an empty one"),
        pytest.param({**ROWS, "x": [2, 1, 2]}, id="two values that change places"),
        pytest.param({"x": [1, 2], "y": ["a", "b"]}, id="a row less"),
        pytest.param({"x": [1, 2, 2, 2, 2], "y": ["a", "b", None, "b", "b"]}, id="a row twice more"),
        pytest.param({"z": ROWS["x"], "y": ROWS["y"]}, id="a column's name"),
        pytest.param({"x": [1.0, 2.0, 2.0], "y": ROWS["y"]}, id="a column's type"),
        pytest.param({**ROWS, "new": [None, None, None]}, id="a column more"),
        pytest.param({"y": ROWS["y"], "x": ROWS["x"]}, id="the order of the columns"),
    ],
)
def test_a_table_has_another_version_exactly_if_its_content_changes(
    tables: Tables, any_lake: Lake, changed: dict[str, list[Any]]
) -> None:
    versions = []
    for number, columns in enumerate((ROWS, ROWS, changed)):
        put(any_lake, f"telco/own/v{number}/", **columns)
        tables.publish("telco", "own", f"v{number}", f"telco/own/v{number}/")
        versions += [tables.version(tables.name("telco", "own")), tables.version(tables.name("telco", "own"))]
    assert len(set(versions[:4])) == 1
    assert len(set(versions[4:])) == 1
    assert versions[0] != versions[5]
    assert versions[0].isalnum()


@pytest.mark.parametrize(
    "act", [lambda tables: tables.version("no.such"), lambda tables: tables.unload("no.such", "x/")]
)
def test_a_table_that_is_missing_is_reported_with_what_to_do(tables: Tables, act: Callable[[Tables], object]) -> None:
    with pytest.raises(TablesError, match=r"(?i)the table in .*no.*such.*`churn land`"):
        act(tables)


@pytest.mark.parametrize("name", ['odd "name"', "semi;colon", "O'Brien"])
def test_names_are_quoted_whatever_is_in_them(local_tables: Catalogue, lake: LocalLake, name: str) -> None:
    tables = local_tables.tables
    put(lake, "telco/o'dd/v1/", _id=["a"])
    tables.publish("telco", name, "v1", "telco/o'dd/v1/")
    assert tables.count("telco", name) == 1


def test_what_the_engine_refuses_is_said_in_our_words(local_tables: Catalogue) -> None:
    with pytest.raises(TablesError, match="Expected DuckDB to run the statement"):
        local_tables.tables.count("no", "such")


def test_a_reader_of_the_local_file_sees_which_batch_a_row_is_of(lake: LocalLake, tmp_path: Path) -> None:
    tables = LocalTables(lake=lake, database=str(tmp_path / "t.duckdb"))
    put(lake, "telco/p/b1/v1/", id=["a"])
    tables.publish("telco", "batch_predictions", "v1", "telco/p/b1/v1/", "b1")
    with duckdb.connect(str(tmp_path / "t.duckdb"), read_only=True) as connection:
        assert connection.execute("select * from telco.batch_predictions").fetchall() == [("b1", "a")]
