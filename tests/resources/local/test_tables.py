"""Versions as views in a DuckDB file: batches that come, move and are taken away, and what a source may name."""

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resources.errors import TablesError
from resources.local.lake import LocalLake
from resources.local.tables import LocalTables


@pytest.fixture
def tables(lake: LocalLake, tmp_path: Path) -> LocalTables:
    return LocalTables(lake=lake, database=str(tmp_path / "tables.duckdb"))


def put(lake: LocalLake, prefix: str, **columns: Any) -> None:
    path = Path(lake.uri(prefix + "part-0.parquet"))
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def read_local(tmp_path: Path, query: str) -> list[Any]:
    with duckdb.connect(str(tmp_path / "tables.duckdb"), read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_a_batch_may_have_other_columns_than_earlier_ones(tables: LocalTables, lake: LocalLake, tmp_path: Path) -> None:
    put(lake, "telco/p/b1/v1/", id=["a"], x=[1])
    put(lake, "telco/p/b2/v1/", id=["b"], x=[0.5], y=["new"])
    put(lake, "telco/p/b3/v1/", y=["last"], id=["c"])
    for batch in ("b1", "b2", "b3"):
        tables.publish("telco", "p", "v1", f"telco/p/{batch}/v1/", batch)
    rows = read_local(tmp_path, "select batch, id, x, y from telco.p order by batch")
    assert rows == [("b1", "a", 1.0, None), ("b2", "b", 0.5, "new"), ("b3", "c", None, "last")]


def test_a_view_shows_what_is_there_and_batches_that_were_taken_away_stop_no_later_one(
    tables: LocalTables, lake: LocalLake, tmp_path: Path
) -> None:
    for batch in ("b1", "b2"):
        put(lake, f"telco/p/{batch}/v1/", id=[batch], only_before=["x"])
        tables.publish("telco", "p", "v1", f"telco/p/{batch}/v1/", batch)
    shutil.rmtree(lake.uri("telco/p/b1"))
    assert read_local(tmp_path, "from telco.p") == [("b2", "b2", "x")]
    shutil.rmtree(lake.uri("telco"))
    assert read_local(tmp_path, "from telco.p") == []
    put(lake, "telco/p/b3/v2/", id=["b3"])
    tables.publish("telco", "p", "v2", "telco/p/b3/v2/", "b3")
    assert read_local(tmp_path, "from telco.p") == [("b3", "b3", None)]


def test_a_working_folder_that_was_moved_is_shown_anew_by_its_next_batch(lake: LocalLake, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for home, batch in ((old, "b1"), (new, "b2")):
        at_home = LocalLake(root=str(home / "lake"))
        put(at_home, f"telco/p/{batch}/v1/", id=[batch])
        LocalTables(lake=at_home, database=str(home / "tables.duckdb")).publish(
            "telco", "p", "v1", f"telco/p/{batch}/v1/", batch
        )
        if home == old:
            old.rename(new)
    assert read_local(new, "select batch, id from telco.p order by all") == [("b1", "b1"), ("b2", "b2")]


def test_a_copy_that_has_folders_in_the_place_of_links_goes_on(lake: LocalLake, tmp_path: Path) -> None:
    home, copy = tmp_path / "home", tmp_path / "copy"
    for root, versions in ((home, ["v1"]), (copy, ["v1", "v2", "v3"])):
        at = LocalLake(root=str(root / "lake"))
        for version in versions:
            put(at, f"telco/p/b/{version}/", id=[version])
            LocalTables(lake=at, database=str(root / "tables.duckdb")).publish(
                "telco", "p", version, f"telco/p/b/{version}/", "b"
            )
        if root == home:
            shutil.copytree(home, copy)  # follows links
    assert read_local(copy, "from telco.p") == [("b", "v3")]


def test_a_database_from_before_there_were_links_keeps_its_batches(lake: LocalLake, tmp_path: Path) -> None:
    for batch in ("b1", "b2", "b3"):
        put(lake, f"telco/p/{batch}/v1/", id=[batch])
    shutil.rmtree(lake.uri("telco/p/b2"))
    with duckdb.connect(str(tmp_path / "tables.duckdb")) as connection:
        connection.execute("create schema telco")
        connection.execute(
            "create table telco._shown (kind varchar, batch varchar, version varchar, prefix varchar, primary key (kind, batch))"
        )
        connection.execute(
            "insert into telco._shown values ('p', 'b1', 'v1', 'telco/p/b1/v1/'), ('p', 'b2', 'v1', 'telco/p/b2/v1/')"
        )
    tables = LocalTables(lake=lake, database=str(tmp_path / "tables.duckdb"))
    tables.publish("telco", "p", "v1", "telco/p/b3/v1/", "b3")
    assert read_local(tmp_path, "from telco.p order by all") == [("b1", "b1"), ("b3", "b3")]


def test_a_reader_that_began_before_a_batch_moved_reads_on(
    tables: LocalTables, lake: LocalLake, tmp_path: Path
) -> None:
    for version in ("v1", "v2", "v3"):
        put(lake, f"telco/p/b1/{version}/", id=[version])
    shown = []
    for version in ("v1", "v2", "v3"):
        tables.publish("telco", "p", version, f"telco/p/b1/{version}/", "b1")
        shown.append(sorted(link.name for link in (tmp_path / "tables/telco/p/b1").iterdir()))
    assert shown == [["v1"], ["v1", "v2"], ["v2", "v3"]]
    assert read_local(tmp_path, "from telco.p") == [("b1", "v3")]


def count_writes(lake: LocalLake, tmp_path: Path, batches: int) -> tuple[int, int]:
    """Publish so many batches. Return how many entries the last one wrote below the tables' folder, and the length of the view's text."""
    tables = LocalTables(lake=lake, database=str(tmp_path / "tables.duckdb"))
    for number in range(batches):
        put(lake, f"telco/p/b{number}/v1/", id=["a"])
        before = {path: path.lstat().st_ino for path in (tmp_path / "tables").rglob("*")}
        tables.publish("telco", "p", "v1", f"telco/p/b{number}/v1/", f"b{number}")
    after = {path: path.lstat().st_ino for path in (tmp_path / "tables").rglob("*")}
    ((sql,),) = read_local(tmp_path, "select sql from duckdb_views() where view_name = 'p'")
    return len(after.items() - before.items()), len(sql)


def test_a_batch_costs_the_same_however_many_there_are_already(lake: LocalLake, tmp_path: Path) -> None:
    few, many = (
        count_writes(LocalLake(root=str(tmp_path / name / "lake")), tmp_path / name, batches)
        for name, batches in (("a", 2), ("b", 12))
    )
    assert few == many
    assert few[0] == 2  # the batch's folder, and the link in it


@pytest.mark.parametrize("name", ["main.{file}", "no.{file}", "main.range", "information_schema.tables", "temp.t"])
def test_a_source_names_a_table_of_this_database_and_nothing_else(lake: LocalLake, tmp_path: Path, name: str) -> None:
    file = tmp_path / "secret.csv"
    file.write_text("id\na\n")
    tables = LocalTables(lake=lake, database=str(tmp_path / "tables.duckdb"))
    for act in (tables.version, lambda table: tables.unload(table, "telco/unloaded/")):
        with pytest.raises(TablesError, match="no table or view"):
            act(name.format(file=file))
    assert not Path(lake.uri("telco/unloaded")).exists()


def test_a_source_is_found_whatever_its_case(lake: LocalLake, tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "tables.duckdb")) as connection:
        connection.execute('create schema crm; create table crm."odd "" name.csv" as select 1 as x')
    tables = LocalTables(lake=lake, database=str(tmp_path / "tables.duckdb"))
    assert tables.version('CRM.odd " name.csv') == tables.version('crm.ODD " name.CSV')
