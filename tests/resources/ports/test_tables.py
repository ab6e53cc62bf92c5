"""What every catalogue of tables promises."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resources.errors import TablesError
from resources.local.lake import LocalLake
from resources.local.tables import LocalTables
from resources.ports.tables import Tables

MakeTables = Callable[[LocalLake, Path], Tables]
TABLES: dict[str, MakeTables] = {
    "local": lambda lake, path: LocalTables(lake=lake, database=str(path / "tables.duckdb"))
}


@pytest.fixture(params=TABLES)
def tables(request: pytest.FixtureRequest, lake: LocalLake, tmp_path: Path) -> Tables:
    return TABLES[request.param](lake, tmp_path)


def put(lake: LocalLake, prefix: str, **columns: Any) -> None:
    path = Path(lake.uri(prefix + "part-0.parquet"))
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def test_a_published_version_is_what_sql_reads(tables: Tables, lake: LocalLake) -> None:
    put(lake, "telco/raw_customers/v1/rows/", _id=["a", "b"], x=[1, 2])
    put(lake, "telco/raw_customers/v2/rows/", _id=["a", "b", "c"], x=[1, 2, 3])
    tables.publish("telco", "raw_customers", "v1", "telco/raw_customers/v1/rows/")
    assert tables.count("telco", "raw_customers") == 2
    for _ in range(2):
        tables.publish("telco", "raw_customers", "v2", "telco/raw_customers/v2/rows/")
        assert tables.count("telco", "raw_customers") == 3


def test_batches_are_parts_of_one_table_and_move_by_themselves(tables: Tables, lake: LocalLake) -> None:
    for prefix, ids in (("b1/v1/", ["a"]), ("b2/v1/", ["b", "c"]), ("b1/v2/", ["d", "e", "f"])):
        put(lake, "telco/p/" + prefix, id=ids)
    tables.publish("telco", "batch_predictions", "v1", "telco/p/b1/v1/", "b1")
    tables.publish("telco", "batch_predictions", "v1", "telco/p/b2/v1/", "b2")
    assert tables.count("telco", "batch_predictions") == 3
    tables.publish("telco", "batch_predictions", "v2", "telco/p/b1/v2/", "b1")
    assert tables.count("telco", "batch_predictions") == 5


def test_a_batch_named_like_a_partition_is_no_column(tables: Tables, lake: LocalLake) -> None:
    name = "churn_probability=0"
    put(lake, f"telco/p/{name}/v1/", id=["a", "b"], churn_probability=[0.25, 0.75])
    tables.publish("telco", "batch_predictions", "v1", f"telco/p/{name}/v1/", name)
    (key,) = tables.unload("telco.batch_predictions", "telco/unloaded/")
    with lake.open(key) as stream:
        assert pq.read_table(stream)["churn_probability"].to_pylist() == [0.25, 0.75]


def test_what_is_unloaded_can_be_read_back(tables: Tables, lake: LocalLake) -> None:
    put(lake, "telco/raw_customers/v1/rows/", _id=["a", "b"], x=[1, 2])
    tables.publish("telco", "raw_customers", "v1", "telco/raw_customers/v1/rows/")
    (key,) = tables.unload("telco.raw_customers", "telco/unloaded/")
    assert [entry.key for entry in lake.entries("telco/unloaded/")] == [key]
    with lake.open(key) as stream:
        assert pq.read_table(stream).to_pydict() == {"_id": ["a", "b"], "x": [1, 2]}


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
    tables: Tables, lake: LocalLake, changed: dict[str, list[Any]]
) -> None:
    versions = []
    for number, columns in enumerate((ROWS, ROWS, changed)):
        put(lake, f"telco/own/v{number}/", **columns)
        tables.publish("telco", "own", f"v{number}", f"telco/own/v{number}/")
        versions += [tables.version("telco.own"), tables.version("telco.own")]
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
def test_names_are_quoted_whatever_is_in_them(tables: Tables, lake: LocalLake, name: str) -> None:
    put(lake, "telco/o'dd/v1/", _id=["a"])
    tables.publish("telco", name, "v1", "telco/o'dd/v1/")
    assert tables.count("telco", name) == 1


def test_what_the_engine_refuses_is_said_in_our_words(tables: Tables) -> None:
    with pytest.raises(TablesError, match="Expected DuckDB to run the statement"):
        tables.count("no", "such")


def test_a_reader_of_the_local_file_sees_which_batch_a_row_is_of(lake: LocalLake, tmp_path: Path) -> None:
    tables = LocalTables(lake=lake, database=str(tmp_path / "t.duckdb"))
    put(lake, "telco/p/b1/v1/", id=["a"])
    tables.publish("telco", "batch_predictions", "v1", "telco/p/b1/v1/", "b1")
    with duckdb.connect(str(tmp_path / "t.duckdb"), read_only=True) as connection:
        assert connection.execute("select * from telco.batch_predictions").fetchall() == [("b1", "a")]
