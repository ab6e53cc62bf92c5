"""An Athena that executes: moto keeps its queries and workgroups, DuckDB runs them over what the Glue catalog says of the bucket."""

import io
import json
import re
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import sqlglot
from moto.athena.models import AthenaBackend, Execution, QueryResults
from moto.athena.responses import AthenaResponse
from sqlglot import exp

_UNLOAD = re.compile(
    r"\s*unload\s*\((?P<query>.*)\)\s*to\s*'(?P<target>s3://[^']+)'\s*with\s*\((?P<options>[^)]*)\)\s*", re.I | re.S
)
_ASKED = ("QueryString", "QueryExecutionContext", "ResultConfiguration", "WorkGroup", "ExecutionParameters")
_FINISHED = ("SUCCEEDED", "FAILED", "CANCELLED")
_TYPES = {"int64": "bigint", "int32": "integer", "double": "double", "bool": "boolean", "date32[day]": "date"}


class QueryFailed(Exception):
    """What Athena would give as the reason of a failed query."""


class ScansTooMuch(Exception):
    """A query that Athena cancels, since its workgroup lets none scan so much."""


class _Query(Execution):
    """A query in a thread of its own, which its status follows."""

    def start(self, backend: AthenaBackend) -> None:
        self._transitions = []  # the status is that of the thread
        self.status, self.reason = "RUNNING", ""
        # Open while the query runs: moto keeps the query itself for as long as the process lives.
        self._connection: duckdb.DuckDBPyConnection | None = duckdb.connect()
        # No daemon: DuckDB aborts the process if the interpreter ends in the middle of a query.
        self._thread = threading.Thread(target=self._run, args=[backend], daemon=False)
        self._thread.start()

    def stop(self) -> None:
        self.status = "CANCELLED"
        threading.Thread(target=self._interrupt, daemon=False).start()

    def _interrupt(self) -> None:
        """Interrupt the query until it has ended: an interruption that comes before it begins is lost."""
        while (connection := self._connection) is not None:
            with suppress(duckdb.ConnectionException):  # it has just been closed
                connection.interrupt()
            self._thread.join(0.05)

    def _run(self, backend: AthenaBackend) -> None:
        connection = self._connection
        assert connection is not None
        try:
            with tempfile.TemporaryDirectory() as folder:
                context: Any = self.context or {}
                database = context.get("Database", "default")
                limit = _configuration_of(self.workgroup).get("BytesScannedCutoffPerQuery")
                table = _execute(connection, self.query, database, Path(folder), limit)
            backend.query_results[self.id] = _as_results(table)
            _store(self.config["OutputLocation"], table)
            outcome = "SUCCEEDED"
        except ScansTooMuch:
            outcome, self.reason = "CANCELLED", "Query cancelled! : Bytes scanned limit was exceeded"
        except Exception as error:
            outcome, self.reason = "FAILED", str(error)
        self._connection = None
        connection.close()
        if self.status not in _FINISHED:
            self.status = outcome


def install() -> None:
    """Let moto's Athena execute its queries."""

    def start(
        self: AthenaBackend, query: str, context: Any, config: Any, workgroup: str, execution_parameters: Any
    ) -> str:
        group = self.work_groups.get(workgroup)
        if group is not None:
            config = {**(config or {}), **_location_of(group.configuration)}
        execution = _Query(query, context, config, group, execution_parameters)
        self.executions[execution.id] = execution
        execution.start(self)
        return execution.id

    def stop(self: AthenaBackend, exec_id: str) -> None:
        execution = self.executions[exec_id]
        if execution.status not in _FINISHED:
            execution.stop()  # type: ignore[attr-defined]

    begin, starting = AthenaResponse.start_query_execution, threading.Lock()

    def start_once(self: AthenaResponse) -> str | tuple[str, dict[str, int]]:
        """Start a query, or answer as before for a token that is known: whatever has become of that query."""
        token = self._get_param("ClientRequestToken")
        asked = {name: self._get_param(name) for name in _ASKED}
        with starting:
            known = vars(self.athena_backend).setdefault("tokens", {})  # moto's own reset forgets them
            if token in known and known[token][0] != asked:
                return self.error("Idempotent parameters do not match", 400)
            if token not in known:
                answered = begin(self)
                if not isinstance(answered, str):
                    return answered
                known[token] = asked, answered
            return str(known[token][1])

    answer = AthenaResponse.get_query_execution

    def describe(self: AthenaResponse) -> str:
        found = json.loads(answer(self))
        reason = getattr(self.athena_backend.executions[found["QueryExecution"]["QueryExecutionId"]], "reason", "")
        if reason:
            found["QueryExecution"]["Status"]["StateChangeReason"] = reason
        return json.dumps(found)

    if AthenaBackend.start_query_execution.__module__ != __name__:
        setattr(AthenaBackend, "start_query_execution", start)  # noqa: B010 -- a method is replaced
        setattr(AthenaBackend, "stop_query_execution", stop)  # noqa: B010 -- a method is replaced
        setattr(AthenaResponse, "start_query_execution", start_once)  # noqa: B010 -- a method is replaced
        setattr(AthenaResponse, "get_query_execution", describe)  # noqa: B010 -- a method is replaced


def _location_of(configuration: Mapping[str, Any]) -> dict[str, str]:
    location = configuration.get("ResultConfiguration", {}).get("OutputLocation")
    return {"OutputLocation": location} if location else {}


def _configuration_of(group: Any) -> Mapping[str, Any]:
    return {} if group is None else dict(group.configuration)


def _execute(
    connection: duckdb.DuckDBPyConnection, sql: str, database: str, folder: Path, limit: int | None
) -> pa.Table:
    unload = _UNLOAD.fullmatch(sql)
    statement = sqlglot.parse_one(unload["query"] if unload else sql, read="athena")
    for number, table in enumerate({(each.db or database, each.name) for each in statement.find_all(exp.Table)}):
        _make_view(connection, *table, folder / str(number))
    if limit is not None and sum(path.stat().st_size for path in folder.rglob("*.parquet")) > limit:
        raise ScansTooMuch
    connection.execute(f'create schema if not exists "{database}"')
    connection.execute(f'use "{database}"')
    result = connection.sql(statement.sql("duckdb")).to_arrow_table()
    if not unload:
        return result
    _write_unloaded(result, unload["target"])
    return pa.table({"rows": [result.num_rows]})


def _make_view(connection: duckdb.DuckDBPyConnection, database: str, name: str, folder: Path) -> None:
    glue = boto3.client("glue")
    try:
        table = glue.get_table(DatabaseName=database, Name=name)["Table"]
    except glue.exceptions.EntityNotFoundException:
        raise QueryFailed(f"TABLE_NOT_FOUND: Table 'awsdatacatalog.{database}.{name}' does not exist") from None
    columns = {each["Name"]: each["Type"] for each in table["StorageDescriptor"]["Columns"]}
    keys = [each["Name"] for each in table.get("PartitionKeys", [])]
    selects = []
    for values, storage in _parts(glue, database, name, table):
        own = {each["Name"]: each["Type"] for each in storage["Columns"]}
        for column, kind in own.items():
            if columns.get(column, kind) != kind:
                raise QueryFailed(
                    f"HIVE_PARTITION_SCHEMA_MISMATCH: column '{column}' is {columns[column]}, partition {kind}"
                )
        files = [str(path) for path in _download(storage["Location"], folder)]
        if files:
            selects.append(_select(connection, files, columns, dict(zip(keys, values, strict=True))))
    empty = ", ".join(f'null::{_duckdb_type(kind)} as "{column}"' for column, kind in columns.items())
    connection.execute(f'create schema if not exists "{database}"')
    body = " union all by name ".join(selects) or f"select {empty} where false"
    connection.execute(f'create view "{database}"."{name}" as {body}')


def _parts(
    glue: Any, database: str, name: str, table: Mapping[str, Any]
) -> Iterator[tuple[list[str], Mapping[str, Any]]]:
    if not table.get("PartitionKeys"):
        yield [], table["StorageDescriptor"]
        return
    for page in glue.get_paginator("get_partitions").paginate(DatabaseName=database, TableName=name):
        for partition in page["Partitions"]:
            yield partition["Values"], partition["StorageDescriptor"]


def _download(location: str, folder: Path) -> Iterator[Path]:
    """Fetch every object below a location but those whose name hides them from Athena."""
    s3, (bucket, _, prefix) = boto3.client("s3"), location.removeprefix("s3://").partition("/")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix.rstrip("/") + "/"):
        for each in page.get("Contents", []):
            if each["Key"].rpartition("/")[2].startswith(("_", ".")) or each["Key"].endswith("/"):
                continue
            folder.mkdir(exist_ok=True)
            path = folder / f"{len(list(folder.iterdir()))}.parquet"
            s3.download_file(bucket, each["Key"], str(path))
            yield path


def _select(
    connection: duckdb.DuckDBPyConnection, files: list[str], columns: Mapping[str, str], keys: Mapping[str, str]
) -> str:
    source = f"read_parquet({files!r}, hive_partitioning = false, union_by_name = true)"
    there = {row[0].lower(): row[0] for row in connection.execute(f"describe select * from {source}").fetchall()}
    picked = [
        f'"{there[name]}"::{_duckdb_type(kind)} as "{name}"'
        if name in there
        else f'null::{_duckdb_type(kind)} as "{name}"'
        for name, kind in columns.items()
    ]
    constants = [f"""'{value.replace("'", "''")}' as "{name}\"""" for name, value in keys.items()]
    return f"select {', '.join(picked + constants)} from {source}"


def _duckdb_type(kind: str) -> str:
    return {"string": "varchar"}.get(kind, kind)


def _write_unloaded(result: pa.Table, target: str) -> None:
    s3, (bucket, _, prefix) = boto3.client("s3"), target.removeprefix("s3://").partition("/")
    if s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("KeyCount"):
        raise QueryFailed(f"HIVE_PATH_ALREADY_EXISTS: Target directory for table is not empty: {target}")
    middle = result.num_rows // 2
    for number, part in enumerate((result.slice(0, middle), result.slice(middle))):
        if part.num_rows:
            written = io.BytesIO()
            pq.write_table(part, written)
            s3.put_object(Bucket=bucket, Key=f"{prefix}2026_{number}_random", Body=written.getvalue())


def _as_results(table: pa.Table) -> QueryResults:
    names = [{"VarCharValue": name} for name in table.column_names]
    rows = [
        [{} if value is None else {"VarCharValue": _text(value)} for value in row.values()] for row in table.to_pylist()
    ]
    info = [
        {
            "CatalogName": "hive",
            "Name": field.name,
            "Label": field.name,
            "Type": _TYPES.get(str(field.type), "varchar"),
            "Precision": 0,
            "Scale": 0,
            "Nullable": "UNKNOWN",
            "CaseSensitive": False,
        }
        for field in table.schema
    ]
    return QueryResults([{"Data": data} for data in (names, *rows)], info)


def _store(location: str, table: pa.Table) -> None:
    bucket, _, key = location.removeprefix("s3://").partition("/")
    rows = [table.column_names, *(row.values() for row in table.to_pylist())]
    # As the service does: every value in quotes, a null as nothing.
    lines = [
        ",".join("" if value is None else '"' + _text(value).replace('"', '""') + '"' for value in row) for row in rows
    ]
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body="\n".join(lines).encode())


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
