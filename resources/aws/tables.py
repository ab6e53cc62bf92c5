"""Published versions as tables of the Glue catalog, which Athena reads where the lake keeps them."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from churn_model.errors import problem
from resources.aws.crawlers import require_resting, run_crawler
from resources.aws.lake import S3Lake
from resources.aws.queries import Athena
from resources.aws.session import AwsSession, aws_errors, code_of
from resources.aws.table_copies import TableCopier
from resources.aws.user_tables import CRAWLER, ICEBERG_METADATA, UserTable, find_refusal, report_missing
from resources.catalog.digests import digest_of
from resources.catalog.names import RETENTION_LIST, TABLE_ASSETS
from resources.errors import TablesError
from resources.ports.tables import Tables

_BATCH = "batch"
_ATTEMPTS = 5  # at moving a table that others move at the same time
_STORAGE = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
}
# Athena's names of Arrow's types. A type that is not here, such as the unsigned 64 bits of a hash, has no column in the table.
_TYPES: Sequence[tuple[pa.DataType, str]] = (
    (pa.bool_(), "boolean"),
    (pa.int8(), "tinyint"),
    (pa.int16(), "smallint"),
    (pa.int32(), "int"),
    (pa.int64(), "bigint"),
    (pa.float32(), "float"),
    (pa.float64(), "double"),
    (pa.string(), "string"),
    (pa.large_string(), "string"),
    (pa.date32(), "date"),
)


class AthenaTables(Tables):
    """One Glue database. `<dataset>_<kind>` shows a version; the table of a kind that has batches has one partition for each."""

    session: AwsSession
    lake: S3Lake
    athena: Athena
    database: str

    def name(self, dataset: str, kind: str) -> str:
        return f"{self.database}.{dataset}_{kind}"

    def publish(self, dataset: str, kind: str, version: str, prefix: str, batch: str | None = None) -> None:
        columns = self._columns(prefix)
        for _ in range(_ATTEMPTS):
            if batch is None:
                moved = self._move_table(dataset, kind, columns, self.lake.uri(prefix), version)
            else:
                moved = self._widen_table(dataset, kind, columns)
                moved = moved and self._move_partition(dataset, kind, columns, prefix, version, batch)
            if moved:
                return
        raise TablesError(
            problem(
                expected=f"to move the table {self.name(dataset, kind)}",
                found=f"that others moved it in {_ATTEMPTS} attempts",
                todo="run the job again; published results are reused",
            )
        )

    def count(self, dataset: str, kind: str) -> int:
        rows = self.athena.result(f'select count(*) as n from "{dataset}_{kind}"', self.database)  # noqa: S608
        return int(rows["n"].iloc[0])

    def shown(self, dataset: str) -> Sequence[str]:
        lake = self.lake.uri("")
        locations = [each for kind in (*TABLE_ASSETS, RETENTION_LIST) for each in self._locations(dataset, kind)]
        return [each.removeprefix(lake) for each in locations if each.startswith(lake)]

    def version(self, table: str) -> str:
        found = self._describe(table)
        if found.iceberg_metadata:  # a new file for each commit
            return digest_of(found.iceberg_metadata.encode())
        # A partition's values are columns of its rows.
        objects = [(values, *each) for values, location in found.locations.items() for each in self._objects(location)]
        return digest_of(repr((list(found.columns.items()), sorted(objects))).encode())

    def crawl(self, crawler: str) -> None:
        run_crawler(self.session, crawler, say=dg.get_dagster_logger().info)

    def unload(self, table: str, prefix: str) -> Sequence[str]:
        database, _, name = table.partition(".")
        found = self._describe(table)
        if found.crawler:
            require_resting(self.session, found.crawler, table, warn=dg.get_dagster_logger().warning)
        columns = ", ".join(_quoted(column) for column in found.columns)
        select = f"select {columns} from {_quoted(database)}.{_quoted(name)}"  # noqa: S608
        return TableCopier(self.lake, self.athena).copy(table, select, database, prefix)

    # --- tables of our own

    def _columns(self, prefix: str) -> dict[str, str]:
        """Return Athena's types of the columns of the first part below a prefix, by their names in lower case, as the catalog keeps them."""
        first = next((entry.key for entry in self.lake.entries(prefix) if entry.key.endswith(".parquet")), None)
        if first is None:
            raise TablesError(
                problem(
                    expected=f"a table's parts below {self.lake.uri(prefix)}", found="none", todo="run the job again"
                )
            )
        with self.lake.open(first) as stream, pq.ParquetFile(stream) as file:
            schema = file.schema_arrow
        return {field.name.lower(): kind for field in schema if (kind := _athena_type(field.type))}

    def _move_table(self, dataset: str, kind: str, columns: Mapping[str, str], location: str, version: str) -> bool:
        wanted = self._table_input(dataset, kind, columns, location, version)
        current = self._get_table(dataset, kind)
        if current is not None and current.get("Parameters", {}).get("version") == version:
            return True
        return self._write_table(wanted, current)

    def _widen_table(self, dataset: str, kind: str, columns: Mapping[str, str]) -> bool:
        """Let the table have every column of its batches."""
        current = self._get_table(dataset, kind)
        known = {each["Name"]: each["Type"] for each in current["StorageDescriptor"]["Columns"]} if current else {}
        if changed := {name: kind for name, kind in columns.items() if known.get(name, kind) != kind}:
            raise TablesError(
                problem(
                    expected=f"the columns of {self.name(dataset, kind)} to keep their types from batch to batch",
                    found=", ".join(f"{name} as {new} after {known[name]}" for name, new in changed.items()),
                    todo=f"drop the table {self.name(dataset, kind)} in Glue (its files stay), and run the job again",
                )
            )
        if current is not None and columns.keys() <= known.keys():
            return True
        location = self.lake.uri(f"{dataset}/")
        return self._write_table(self._table_input(dataset, kind, {**known, **columns}, location, None), current)

    def _move_partition(
        self, dataset: str, kind: str, columns: Mapping[str, str], prefix: str, version: str, batch: str
    ) -> bool:
        from botocore.exceptions import ClientError

        names = {"DatabaseName": self.database, "TableName": f"{dataset}_{kind}"}
        wanted = {
            "Values": [batch],
            "StorageDescriptor": _storage(columns, self.lake.uri(prefix)),
            "Parameters": {"version": version},
        }
        with aws_errors(TablesError, f"to show the batch {batch} in {self.name(dataset, kind)}"):
            try:
                self._glue.update_partition(**names, PartitionValueList=[batch], PartitionInput=wanted)
            except ClientError as error:
                if code_of(error) != "EntityNotFoundException":
                    return _is_conflict(error)
                try:
                    self._glue.create_partition(**names, PartitionInput=wanted)
                except ClientError as creating:
                    return _is_conflict(creating)
        return True

    def _table_input(
        self, dataset: str, kind: str, columns: Mapping[str, str], location: str, version: str | None
    ) -> dict[str, Any]:
        return {
            "Name": f"{dataset}_{kind}",
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {"classification": "parquet", **({"version": version} if version else {})},
            "StorageDescriptor": _storage(columns, location),
            "PartitionKeys": [] if version else [{"Name": _BATCH, "Type": "string"}],
        }

    def _get_table(self, dataset: str, kind: str) -> dict[str, Any] | None:
        from botocore.exceptions import ClientError

        with aws_errors(TablesError, f"to read the table {self.name(dataset, kind)}"):
            try:
                return dict(self._glue.get_table(DatabaseName=self.database, Name=f"{dataset}_{kind}")["Table"])
            except ClientError as error:
                if code_of(error) == "EntityNotFoundException":
                    return None
                raise

    def _locations(self, dataset: str, kind: str) -> Sequence[str]:
        """Return where the rows of a table are: its own place, or those of its batches."""
        table = self._get_table(dataset, kind)
        if table is None:
            return ()
        if not table.get("PartitionKeys"):
            return (table["StorageDescriptor"]["Location"],)
        return tuple(self._list_partitions(self.database, f"{dataset}_{kind}").values())

    def _list_partitions(self, database: str, table: str) -> dict[tuple[str, ...], str]:
        """Return the place of each partition, by its values."""
        with aws_errors(TablesError, f"to read the partitions of {database}.{table}"):
            pages = self._glue.get_paginator("get_partitions").paginate(DatabaseName=database, TableName=table)
            return {
                tuple(each["Values"]): each["StorageDescriptor"]["Location"]
                for page in pages
                for each in page["Partitions"]
            }

    def _write_table(self, wanted: Mapping[str, Any], current: Mapping[str, Any] | None) -> bool:
        """Create or move a table in one call. Return False if another run has done so meanwhile."""
        from botocore.exceptions import ClientError

        with aws_errors(TablesError, f"to move the table {self.database}.{wanted['Name']}"):
            try:
                if current is None:
                    self._glue.create_table(DatabaseName=self.database, TableInput=wanted)
                else:
                    self._glue.update_table(
                        DatabaseName=self.database,
                        TableInput=wanted,
                        SkipArchive=True,  # Glue archives each version of a table otherwise, up to a limit that stops it
                        # Refused if another machine has changed the table since it was read.
                        **({"VersionId": current["VersionId"]} if "VersionId" in current else {}),
                    )
            except ClientError as error:
                return _is_conflict(error)
        return True

    # --- tables of users

    def _describe(self, table: str) -> UserTable:
        """Return what the catalog knows of a user's table. Raise TablesError if it is missing or cannot be copied."""
        from botocore.exceptions import ClientError

        database, _, name = table.partition(".")
        with aws_errors(TablesError, f"to read the table {table} in the Glue catalog"):
            try:
                found = self._glue.get_table(DatabaseName=database, Name=name)["Table"]
            except ClientError as error:
                if code_of(error) != "EntityNotFoundException":
                    raise
                raise report_missing(table, str(error.response["Error"].get("Message", "none")).rstrip(".")) from error
            storage, keys = found.get("StorageDescriptor", {}), found.get("PartitionKeys", [])
            locations: dict[tuple[str, ...], str] = {(): storage.get("Location", "")}
            if keys:
                locations = self._list_partitions(database, name)
        columns = {each["Name"]: each["Type"] for each in (*storage.get("Columns", []), *keys)}
        if refusal := find_refusal(table, found, columns, locations):
            raise refusal
        parameters = found.get("Parameters", {})
        return UserTable(columns, locations, parameters.get(ICEBERG_METADATA), parameters.get(CRAWLER))

    def _objects(self, location: str) -> list[tuple[str, int, str]]:
        """Return name, size and ETag of each object below a location."""
        bucket, _, prefix = location.removeprefix("s3://").partition("/")
        prefix = prefix.rstrip("/") + "/" if prefix else ""
        with aws_errors(TablesError, f"to list {location}"):
            pages = self.session.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            return [
                (each["Key"].removeprefix(prefix), each["Size"], each["ETag"])
                for page in pages
                for each in page.get("Contents", [])
            ]

    @property
    def _glue(self) -> Any:
        return self.session.client("glue")


def _athena_type(kind: pa.DataType) -> str | None:
    if pa.types.is_dictionary(kind):
        return _athena_type(kind.value_type)
    if pa.types.is_timestamp(kind):
        return "timestamp"
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_list(kind) and (inner := _athena_type(kind.value_type)):
        return f"array<{inner}>"
    return next((name for known, name in _TYPES if kind == known), None)


def _storage(columns: Mapping[str, str], location: str) -> dict[str, Any]:
    return {**_STORAGE, "Columns": [{"Name": n, "Type": t} for n, t in columns.items()], "Location": location}


def _is_conflict(error: Any) -> bool:
    """Return False for an error that says that another run was faster, so that the table is looked at again; raise every other."""
    if code_of(error) in ("AlreadyExistsException", "ConcurrentModificationException", "EntityNotFoundException"):
        return False
    raise error


def _quoted(name: str) -> str:
    """Return an identifier as Athena's queries take it."""
    return '"' + name.replace('"', '""') + '"'
