"""Published versions as views in a DuckDB file, so that a reader in SQL sees what the assets show."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from churn_model.errors import problem
from churn_model.tables import part_name
from resources.catalog.digests import digest_of
from resources.durable import PARTIAL, replace_file
from resources.errors import TablesBusy, TablesError
from resources.local.lake import LocalLake
from resources.local.version_links import VersionLinks
from resources.ports.tables import Tables

_DAMAGED = (
    "restore it from a copy, or move it away: each retrain and score shows its own tables again, yours in it are lost"
)
_UNREADABLE = (
    "run `churn verify --repair`, then the same command again; if no damaged table is found, report this: it is a bug"
)
_SPACE = "see to the space and the permissions of that folder, then run the same command again"
_PATIENCE_SECONDS = 20  # a DuckDB file has one writer at a time; ours hold it for milliseconds
_OPTIONS = "union_by_name = true, hive_partitioning = false"
_FILE = '"churn:file"'  # the column in which DuckDB names a row's file
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    # A name that is no table's is looked for among Python's variables, and an unknown function is downloaded: neither is asked for.
    "python_enable_replacements": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}


class LocalTables(Tables):
    """One DuckDB file: a schema per dataset, a view per kind, and `_shown`: which version each view or batch of it shows.

    A view of batches reads what `VersionLinks` finds and `_shown` names. It is written again only if its columns change, not for each batch.
    """

    lake: LocalLake
    database: str

    def name(self, dataset: str, kind: str) -> str:
        return f"{dataset}.{kind}"

    def publish(self, dataset: str, kind: str, version: str, prefix: str, batch: str | None = None) -> None:
        schema = quoted(dataset)
        with self._connected() as connection:
            _make_schema(connection, schema)
            if batch is None:
                definition = f"select * {_read_files([f'{self._folder(prefix)}/*.parquet'])}"
                _show(connection, schema, kind, "", version, prefix, definition)
                return
            links = VersionLinks(Path(self.database).with_suffix(""), dataset, kind)
            before = connection.execute(
                f"select version from {schema}._shown where (kind, batch) = (?, ?)", [kind, batch]
            ).fetchall()
            if not links.columns.exists():  # the first batch, or the first since there are links
                self._link_shown(connection, links, schema, kind)
            self._link(connection, links, batch, version, prefix)
            definition = _define_view_of_batches(connection, links, schema, kind)
            _show(connection, schema, kind, batch, version, prefix, definition)
            links.keep(batch, {version, *(earlier for (earlier,) in before)})

    def _folder(self, prefix: str) -> Path:
        return Path(self.lake.uri(prefix))

    def _link_shown(self, connection: duckdb.DuckDBPyConnection, links: VersionLinks, schema: str, kind: str) -> None:
        """Link each version that is shown already, and is still there."""
        shown = connection.execute(
            f"select batch, version, prefix from {schema}._shown where kind = ?", [kind]
        ).fetchall()
        for batch, version, prefix in shown:
            if self._folder(prefix).is_dir():
                self._link(connection, links, batch, version, prefix)

    def _link(
        self, connection: duckdb.DuckDBPyConnection, links: VersionLinks, batch: str, version: str, prefix: str
    ) -> None:
        """Link a version, and add its columns to those that the table has had."""
        folder = self._folder(prefix)
        links.add(batch, version, folder)
        known = [str(links.columns)] if links.columns.exists() else []
        both = _read_files([*known, f"{folder}/*.parquet"])
        if known and _describe(connection, both) == _describe(connection, _read_files(known)):
            return
        with tempfile.TemporaryDirectory(prefix=PARTIAL) as partial:
            written = Path(partial, links.columns.name)
            connection.execute(f"copy ({both} limit 0) to {_literal(str(written))} (format parquet)")
            replace_file(links.columns, lambda target: target.write(written.read_bytes()))

    def count(self, dataset: str, kind: str) -> int:
        with self._connected() as connection:
            row = connection.execute(f"select count(*) from {quoted(dataset)}.{quoted(kind)}").fetchone()
        return int(row[0]) if row else 0

    def shown(self, dataset: str) -> Sequence[str]:
        if not Path(self.database).exists():
            return ()
        with self._connected() as connection:
            schema = quoted(dataset)
            known = connection.execute(
                "select 1 from duckdb_tables() where schema_name = ? and table_name = '_shown'", [dataset]
            )
            if known.fetchone() is None:
                return ()
            return [prefix for (prefix,) in connection.execute(f"select prefix from {schema}._shown").fetchall()]

    def version(self, table: str) -> str:
        with self._connected() as connection:
            name = self._find_table(connection, table)
            columns = _describe(connection, f"from {name}")
            names = ", ".join(quoted(column) for column, _ in columns)
            # Independent of the rows' order. DuckDB combines the hashes of a row's values by exclusive or, so that values which change places
            # would cancel each other: hence the hash of the hash. The sum counts repeated rows, which cancel each other in `bit_xor`.
            content = connection.execute(
                f"select count(*), sum(row), bit_xor(row) from (select hash(hash({names})) as row from {name})"
            ).fetchone()
        return digest_of(repr((columns, content)).encode())

    def crawl(self, crawler: str) -> None:
        raise TablesError(
            problem(
                expected="no crawler: the tables of this machine are those of its DuckDB file",
                found=crawler,
                todo="remove `source.crawler` from the spec, or run on AWS",
            )
        )

    def unload(self, table: str, prefix: str) -> Sequence[str]:
        key = prefix + part_name(0)
        target = Path(self.lake.uri(key))
        with self._connected() as connection:
            name = self._find_table(connection, table)
            target.parent.mkdir(parents=True, exist_ok=True)
            connection.execute(f"copy (from {name}) to {_literal(str(target))} (format parquet, compression zstd)")
        return [key]

    def _find_table(self, connection: duckdb.DuckDBPyConnection, table: str) -> str:
        """Return the name of a table or view of this database as SQL: nothing else is read, such as a file of that name. Raise TablesError."""
        found = connection.execute(
            "select database_name, schema_name, name from ("
            "select database_name, schema_name, table_name as name, internal from duckdb_tables() union all "
            "select database_name, schema_name, view_name as name, internal from duckdb_views()) "
            "where not internal and database_name = current_database() and lower(schema_name || '.' || name) = lower(?)",
            [table],
        ).fetchone()
        if found is None:
            raise TablesError(
                problem(
                    expected=f"the table in {self.database}",
                    found=f"no table or view {table[:200]!r}",
                    todo="create it there, correct `source` in the spec, or remove `source` and land files: `churn land`",
                )
            )
        return ".".join(map(quoted, found))

    @contextmanager
    def _connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        patience = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                connection = duckdb.connect(self.database, config=_CONFIG)
                break
            except duckdb.IOException as error:
                if "lock" not in str(error):
                    raise TablesError(
                        problem(
                            expected=f"to open {self.database}",
                            found=f"DuckDB's error ({error})",
                            todo=_DAMAGED if "not a valid DuckDB database" in str(error) else _SPACE,
                        )
                    ) from error
                if time.monotonic() > patience:
                    raise TablesBusy(
                        problem(
                            expected=f"to open {self.database}",
                            found=f"it held by another process ({error})",
                            todo="close that process, or read the database with `duckdb -readonly`",
                        )
                    ) from error
                time.sleep(0.1)
        try:
            yield connection
        except duckdb.Error as error:
            todo = _SPACE if isinstance(error, (duckdb.IOException, duckdb.TransactionException)) else _UNREADABLE
            raise TablesError(
                problem(expected="DuckDB to run the statement", found=f"its error ({error})", todo=todo)
            ) from error
        finally:
            connection.close()


def _make_schema(connection: duckdb.DuckDBPyConnection, schema: str) -> None:
    connection.execute(f"create schema if not exists {schema}")
    connection.execute(
        f"create table if not exists {schema}._shown "
        "(kind varchar, batch varchar, version varchar, prefix varchar, primary key (kind, batch))"
    )
    connection.execute(f"create table if not exists {schema}._views (kind varchar primary key, definition varchar)")


def _define_view_of_batches(connection: duckdb.DuckDBPyConnection, links: VersionLinks, schema: str, kind: str) -> str:
    """Return the query of a view that shows batches. It names none of them: it is the same until the columns change."""
    batch, version = (f"string_split({_FILE}, '/')[{place}]" for place in (-3, -2))
    columns = "".join(
        f", {quoted(name)}::{type_} as {quoted(name)}"
        for name, type_ in _describe(connection, _read_files([str(links.columns)]))
    )
    files = _read_files([links.pattern], f"filename = '{_FILE[1:-1]}'")
    shown = f"select batch, version from {schema}._shown where kind = {_literal(kind)}"
    return f"select {batch} as batch{columns} {files} where ({batch}, {version}) in ({shown})"


def _show(
    connection: duckdb.DuckDBPyConnection,
    schema: str,
    kind: str,
    batch: str,
    version: str,
    prefix: str,
    definition: str,
) -> None:
    """Show a version, and write the view again if it is defined otherwise, in one transaction."""
    connection.begin()
    connection.execute(f"insert or replace into {schema}._shown values (?, ?, ?, ?)", [kind, batch, version, prefix])
    known = connection.execute(f"select definition from {schema}._views where kind = ?", [kind]).fetchone()
    if known != (definition,):
        connection.execute(f"create or replace view {schema}.{quoted(kind)} as {definition}")
        connection.execute(f"insert or replace into {schema}._views values (?, ?)", [kind, definition])
    connection.commit()


def _read_files(files: Sequence[str], *options: str) -> str:
    return f"from read_parquet([{', '.join(map(_literal, files))}], {', '.join([_OPTIONS, *options])})"


def _describe(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[str, str]]:
    """Return the names and the types of a query's columns."""
    return [(name, kind) for name, kind, *_ in connection.execute(f"describe {query}").fetchall()]


def quoted(name: str) -> str:
    """Quote an identifier as SQL takes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
