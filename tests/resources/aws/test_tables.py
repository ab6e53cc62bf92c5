"""What is Glue's and Athena's own: names, types, partitions, tables of users, and queries that are stopped."""

import io
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resources.aws.lake import S3Lake
from resources.aws.queries import Athena
from resources.aws.tables import AthenaTables
from resources.catalog.source_tables import TableCopy, copy_table
from resources.errors import LakeError, TablesError
from tests.aws.faults import KILLED, Death, Faults, Killed, failing
from tests.aws.tables import make_aws_tables

LEAST_LIMIT = 10_000_000
"""Bytes of a query, of which Athena takes no smaller limit."""


@pytest.fixture
def tables(aws_lake: S3Lake) -> AthenaTables:
    return make_aws_tables(aws_lake)


def put(lake: S3Lake, key: str, table: pa.Table) -> None:
    written = io.BytesIO()
    pq.write_table(table, written)
    lake.put(key, written.getvalue())


def read(tables: AthenaTables, sql: str) -> list[dict[str, Any]]:
    return [
        {str(name): value for name, value in row.items()}
        for row in tables.athena.result(sql, tables.database).to_dict("records")
    ]


def make_user_table(tables: AthenaTables, name: str, columns: dict[str, str], **more: Any) -> str:
    storage = {
        "Columns": [{"Name": name, "Type": kind} for name, kind in columns.items()],
        "Location": tables.lake.uri(f"own/{name}/"),
    }
    table = {"Name": name, "TableType": "EXTERNAL_TABLE", "StorageDescriptor": storage} | more
    tables.session.client("glue").create_table(DatabaseName=tables.database, TableInput=table)
    return f"{tables.database}.{name}"


def test_names_are_read_in_lower_case_with_whatever_is_in_them_and_hashes_are_left_out(tables: AthenaTables) -> None:
    columns = {"Int'l Plan": ["yes", "no"], "Day Mins": [1.5, 2.5], "_hash": pa.array([1, 2], pa.uint64())}
    put(tables.lake, "telco/raw/v1/rows/part-00000.parquet", pa.table(columns))
    tables.publish("telco", "raw", "v1", "telco/raw/v1/rows/")
    rows = read(tables, 'select "int\'l plan" as plan, "day mins" as mins from telco_raw order by 2')
    assert rows == [{"plan": "yes", "mins": 1.5}, {"plan": "no", "mins": 2.5}]
    table = tables.session.client("glue").get_table(DatabaseName=tables.database, Name="telco_raw")["Table"]
    assert [each["Name"] for each in table["StorageDescriptor"]["Columns"]] == ["int'l plan", "day mins"]


def test_a_batch_with_a_new_column_widens_the_table(tables: AthenaTables) -> None:
    for batch, columns in (("b1", {"id": ["a"]}), ("b2", {"id": ["b"], "extra": [1.0]})):
        put(tables.lake, f"telco/p/{batch}/v/part-00000.parquet", pa.table(columns))
        tables.publish("telco", "p", "v", f"telco/p/{batch}/v/", batch)
    rows = read(tables, "select id, extra, batch from telco_p order by id")
    assert [(row["id"], row["batch"]) for row in rows] == [("a", "b1"), ("b", "b2")]
    assert rows[1]["extra"] == 1.0


def test_a_column_whose_type_changes_from_batch_to_batch_is_reported_before_it_is_published(
    tables: AthenaTables,
) -> None:
    put(tables.lake, "telco/p/b1/v/part-00000.parquet", pa.table({"id": ["a"], "plan": [1.0]}))
    put(tables.lake, "telco/p/b2/v/part-00000.parquet", pa.table({"id": ["b"], "plan": ["gold"]}))
    tables.publish("telco", "p", "v", "telco/p/b1/v/", "b1")
    with pytest.raises(TablesError, match=r"found plan as string after double\. Drop the table .*telco_p in Glue"):
        tables.publish("telco", "p", "v", "telco/p/b2/v/", "b2")
    assert tables.count("telco", "p") == 1


def test_batches_published_at_once_are_all_there(tables: AthenaTables) -> None:
    batches = [f"b{number}" for number in range(6)]
    for batch in batches:
        put(tables.lake, f"telco/p/{batch}/v/part-00000.parquet", pa.table({"id": [batch], batch: [1]}))
    threads = [
        threading.Thread(target=tables.publish, args=("telco", "p", "v", f"telco/p/{batch}/v/", batch))
        for batch in batches
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tables.count("telco", "p") == len(batches)


def test_a_partitioned_table_of_a_user_is_copied_with_its_partition_columns(tables: AthenaTables) -> None:
    table = make_user_table(tables, "crm", {"id": "string"}, PartitionKeys=[{"Name": "day", "Type": "string"}])
    for day in ("2026-01", "2026-02"):
        put(tables.lake, f"own/crm/day={day}/x.parquet", pa.table({"id": [f"in {day}"]}))
        storage = {"Columns": [{"Name": "id", "Type": "string"}], "Location": tables.lake.uri(f"own/crm/day={day}/")}
        tables.session.client("glue").create_partition(
            DatabaseName=tables.database,
            TableName="crm",
            PartitionInput={"Values": [day], "StorageDescriptor": storage},
        )
    keys = tables.unload(table, "copies/")
    rows = [row for key in keys for row in pq.read_table(io.BytesIO(tables.lake.read(key))).to_pylist()]
    assert sorted((row["id"], row["day"]) for row in rows) == [("in 2026-01", "2026-01"), ("in 2026-02", "2026-02")]
    assert [entry.key for entry in tables.lake.entries("jobs/")] == []


def test_a_copy_that_fails_leaves_no_customers_outside_of_it(tables: AthenaTables) -> None:
    table = make_user_table(tables, "crm", {"id": "string"})
    put(tables.lake, "own/crm/x.parquet", pa.table({"id": ["a", "b"]}))
    with denied(tables, "s3.CopyObject"), pytest.raises(LakeError, match=r"to copy .*found AccessDenied"):
        tables.unload(table, "copies/")
    assert list(tables.lake.entries("jobs/")) == []


def test_a_copy_is_made_and_what_it_was_made_by_is_named_if_it_cannot_be_removed(
    tables: AthenaTables, caplog: pytest.LogCaptureFixture
) -> None:
    table = make_user_table(tables, "crm", {"id": "string"})
    put(tables.lake, "own/crm/x.parquet", pa.table({"id": ["a", "b"]}))
    with denied(tables, "s3.DeleteObjects"):
        keys = tables.unload(table, "copies/")
    assert [entry.key for entry in tables.lake.entries("copies/")] == keys
    assert f"Rows of customers are left below {tables.lake.uri('jobs/unload-')}" in caplog.text


def unload_and_die(tables: AthenaTables, table: str, operation: str, number: int = 1) -> None:
    """Copy a table, and be killed after a call."""
    with failing(Death(operation, KILLED, number)), pytest.raises(Killed):
        tables.unload(table, "copies/")


def queries_of(tables: AthenaTables) -> list[str]:
    found = tables.session.client("athena").list_query_executions(WorkGroup=tables.athena.workgroup)
    return list(found["QueryExecutionIds"])


def read_copy(tables: AthenaTables, keys: Sequence[str]) -> list[str]:
    parts = [pq.read_table(io.BytesIO(tables.lake.read(key))) for key in keys]
    return sorted(str(value) for part in parts for value in part["id"].to_pylist())


@pytest.fixture
def crm(tables: AthenaTables) -> str:
    """A table of two customers."""
    put(tables.lake, "own/crm/x.parquet", pa.table({"id": ["a", "b"]}))
    return make_user_table(tables, "crm", {"id": "string"})


@pytest.mark.parametrize(
    ("operation", "number"), [("athena.StartQueryExecution", 1), ("s3.CopyObject", 1), ("s3.CopyObject", 2)]
)
def test_a_copy_that_a_killed_worker_began_is_gone_on_with_and_paid_for_once(
    tables: AthenaTables, crm: str, operation: str, number: int
) -> None:
    unload_and_die(tables, crm, operation, number)
    keys = tables.unload(crm, "copies/")
    assert len(queries_of(tables)) == 1
    assert read_copy(tables, keys) == ["a", "b"]
    assert list(tables.lake.entries("jobs/")) == []


def test_a_query_that_failed_is_not_found_again(tables: AthenaTables, crm: str) -> None:
    tables.lake.put("own/crm/y.parquet", b"no Parquet")
    unload_and_die(tables, crm, "athena.StartQueryExecution")
    with pytest.raises(TablesError, match="found FAILED"):
        tables.unload(crm, "copies/")
    tables.lake.remove(["own/crm/y.parquet"])
    assert read_copy(tables, tables.unload(crm, "copies/")) == ["a", "b"]


def test_a_copy_that_was_begun_long_ago_is_made_anew(
    tables: AthenaTables, crm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows may have expired since, all or some, while Athena still knows the query."""
    unload_and_die(tables, crm, "athena.StartQueryExecution")
    tables.athena.run("select 1", tables.database)  # the other has ended by the time that its rows are looked for
    while not (left := [entry.key for entry in tables.lake.entries("jobs/") if not entry.key.endswith(".json")]):
        pass
    tables.lake.remove(left[:1])
    monkeypatch.setattr("resources.aws.table_copies.utc_now", lambda: "2999-01-01T00:00:00+00:00")
    assert read_copy(tables, tables.unload(crm, "copies/")) == ["a", "b"]


def test_rows_that_another_worker_removes_while_they_are_listed_are_no_whole_copy(
    tables: AthenaTables, crm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two go on with the same query; the one that is done first removes its rows, and the other may see a part of them."""
    unload_and_die(tables, crm, "athena.StartQueryExecution")
    run, copied = tables.athena.run, list[Sequence[str]]()

    def run_and_fall_behind(athena: Athena, sql: str, database: str, token: str = "") -> str:
        query = run(sql, database, token)
        if not copied:
            copied.append([])
            copied[0] = tables.unload(crm, "copies/")
        return query

    monkeypatch.setattr(Athena, "run", run_and_fall_behind)
    keys = tables.unload(crm, "copies/")
    assert read_copy(tables, copied[0]) == read_copy(tables, keys) == ["a", "b"]


def test_copies_that_are_made_at_once_do_not_mix(tables: AthenaTables, crm: str) -> None:
    """Athena gives rows to files as it happens: of two copies, a file from each would hold some customers twice and others not at all."""
    assert set(tables.unload(crm, "copies/")).isdisjoint(tables.unload(crm, "copies/"))


def test_of_two_copies_that_are_made_at_once_both_runs_go_on_with_the_one_that_is_published(
    tables: AthenaTables, crm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, others = tables.athena.run, list[TableCopy]()

    def run_behind_another(athena: Athena, sql: str, database: str, token: str = "") -> str:
        query = run(sql, database, token)
        monkeypatch.setattr(Athena, "run", lambda _, *given, **more: run(*given, **more))
        if not others:
            others.append(copy_table(tables.lake, tables, "shop", crm))
        return query

    monkeypatch.setattr(Athena, "run", run_behind_another)
    assert copy_table(tables.lake, tables, "shop", crm) == others[0]


def test_a_query_is_started_once_for_a_token_and_refused_for_another_with_it(tables: AthenaTables) -> None:
    token = "t" * 32
    first = tables.athena.run("select 1", tables.database, token)
    assert tables.athena.run("select 1", tables.database, token) == first
    with pytest.raises(TablesError, match="found InvalidRequestException: Idempotent parameters do not match"):
        tables.athena.run("select 2", tables.database, token)
    assert tables.athena.run("select 1", tables.database) != tables.athena.run("select 1", tables.database)


@contextmanager
def denied(tables: AthenaTables, operation: str) -> Iterator[None]:
    """Deny the next call of an operation of S3."""
    faults, events = Faults(operation, "access denied"), tables.session.client("s3").meta.events
    events.register_first("before-send", faults)
    try:
        yield
    finally:
        events.unregister("before-send", faults)
    assert not faults.way, f"{operation} was not called"


def test_a_partition_that_gets_another_value_is_another_version(tables: AthenaTables) -> None:
    table = make_user_table(tables, "crm", {"id": "string"}, PartitionKeys=[{"Name": "day", "Type": "string"}])
    put(tables.lake, "own/crm/x.parquet", pa.table({"id": ["a"]}))
    glue, where = tables.session.client("glue"), {"DatabaseName": tables.database, "TableName": "crm"}
    storage = {"Columns": [{"Name": "id", "Type": "string"}], "Location": tables.lake.uri("own/crm/")}
    versions = []
    for day in ("2026-01", "2026-02"):
        glue.create_partition(**where, PartitionInput={"Values": [day], "StorageDescriptor": storage})
        versions.append(tables.version(table))
        glue.delete_partition(**where, PartitionValues=[day])
    assert versions[0] != versions[1]


def test_a_table_whose_partitions_are_projected_is_refused(tables: AthenaTables) -> None:
    """The catalog does not list them, so nothing there would tell that the table has changed."""
    more = {
        "PartitionKeys": [{"Name": "day", "Type": "string"}],
        "Parameters": {"projection.enabled": "TRUE", "projection.day.type": "injected"},
    }
    table = make_user_table(tables, "projected", {"id": "string"}, **more)
    with pytest.raises(TablesError, match="partitions that are projected"):
        tables.version(table)


def test_an_iceberg_table_has_the_version_of_its_metadata(tables: AthenaTables) -> None:
    versions: list[str] = []
    for number in (1, 1, 2):
        name = f"ice{len(versions)}"
        parameters = {"metadata_location": f"s3://b/t/metadata/{number}.json"}
        versions.append(tables.version(make_user_table(tables, name, {"id": "string"}, Parameters=parameters)))
    assert versions[0] == versions[1] != versions[2]


@pytest.mark.parametrize(
    ("columns", "more", "message"),
    [
        ({"id": "string", "calls": "array<int>", "who": "struct<a:int>"}, {}, "found nested columns: calls, who"),
        ({}, {}, "Expected columns in the table .*found none"),
        ({"id": "string"}, {"TableType": "VIRTUAL_VIEW"}, "found a view"),
    ],
)
def test_a_table_that_cannot_be_copied_is_refused_before_anything_is_spent(
    tables: AthenaTables, columns: dict[str, str], more: dict[str, Any], message: str
) -> None:
    table = make_user_table(tables, "odd", columns, **more)
    with pytest.raises(TablesError, match=message):
        tables.version(table)
    with pytest.raises(TablesError, match=message):
        tables.unload(table, "copies/")
    assert not tables.session.client("athena").list_query_executions(WorkGroup=tables.athena.workgroup)[
        "QueryExecutionIds"
    ]


def test_an_empty_table_is_reported(tables: AthenaTables) -> None:
    table = make_user_table(tables, "empty", {"id": "string"})
    with pytest.raises(TablesError, match=r"Expected rows in the table .*found none"):
        tables.unload(table, "copies/")


def test_a_query_that_fails_is_explained(tables: AthenaTables) -> None:
    with pytest.raises(TablesError, match=r"FAILED: TABLE_NOT_FOUND.*no_such.*Create the table"):
        tables.athena.run("select * from no_such", tables.database)


def test_a_query_that_scans_more_than_the_workgroup_allows_is_explained(tables: AthenaTables) -> None:
    database, _, name = make_user_table(tables, "long", {"id": "bigint"}).partition(".")
    rows = LEAST_LIMIT // 8 + 1  # of eight bytes each, which no codec makes fewer
    put(tables.lake, "own/long/rows.parquet", pa.table({"id": np.random.default_rng(1).integers(2**62, size=rows)}))
    configuration = {
        "BytesScannedCutoffPerQuery": LEAST_LIMIT,
        "ResultConfiguration": {"OutputLocation": tables.lake.uri("queries/")},
    }
    tables.session.client("athena").create_work_group(Name=f"small-{database}", Configuration=configuration)
    with pytest.raises(
        TablesError, match=r"CANCELLED: .*Bytes scanned limit was exceeded\. Raise the workgroup's limit"
    ):
        Athena(session=tables.session, workgroup=f"small-{database}").run(f"select * from {name}", database)
    assert tables.athena.result(f"select count(*) as n from {name}", database)["n"].iloc[0] == rows


def test_a_query_is_stopped_with_the_process_that_awaits_it(
    tables: AthenaTables, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("resources.aws.queries.time.sleep", interrupt)
    numbers = ", ".join(f"unnest(sequence(1, 100000)) as {table}(x{table})" for table in "abc")
    endless = f"select count(*) from {numbers} where xa * xb % 7 = xc"
    with pytest.raises(KeyboardInterrupt):
        tables.athena.run(endless, tables.database)
    athena = tables.session.client("athena")
    (query,) = athena.list_query_executions(WorkGroup=tables.athena.workgroup)["QueryExecutionIds"]
    assert athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"]["State"] == "CANCELLED"
