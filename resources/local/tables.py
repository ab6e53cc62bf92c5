"""Published versions as views in a DuckDB file, so that a reader in SQL sees what the assets show."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from churn_model.errors import problem
from churn_model.tables import part_name
from resources.catalog.digests import digest_of
from resources.errors import TablesError
from resources.local.lake import LocalLake
from resources.ports.tables import Tables

_SPACE = "see to the space and the permissions of that folder, then run the same command again"
_PATIENCE_SECONDS = 20  # a DuckDB file has one writer at a time; ours hold it for milliseconds


class LocalTables(Tables):
    """One DuckDB file: a schema a dataset, a view a kind, and `_shown`: which version each view or batch of it shows."""

    lake: LocalLake
    database: str

    def name(self, dataset: str, kind: str) -> str:
        return f"{dataset}.{kind}"

    def publish(self, dataset: str, kind: str, version: str, prefix: str, batch: str | None = None) -> None:
        schema, view = quoted(dataset), f"{quoted(dataset)}.{quoted(kind)}"
        with self._connected() as connection:
            connection.execute(f"create schema if not exists {schema}")
            connection.execute(
                f"create table if not exists {schema}._shown "
                "(kind varchar, batch varchar, version varchar, prefix varchar, primary key (kind, batch))"
            )
            connection.begin()
            connection.execute(
                f"insert or replace into {schema}._shown values (?, ?, ?, ?)", [kind, batch or "", version, prefix]
            )
            shown = connection.execute(
                f"select batch, prefix from {schema}._shown where kind = ? order by batch", [kind]
            ).fetchall()
            parts = (
                f"select {_literal(name) + ' as batch, ' if name else ''}* "
                f"from read_parquet({_literal(self._files(key))}, hive_partitioning = false)"
                for name, key in shown
            )
            connection.execute(f"create or replace view {view} as {' union all by name '.join(parts)}")
            connection.commit()

    def _files(self, prefix: str) -> str:
        return self.lake.uri(prefix).rstrip("/") + "/*.parquet"

    def count(self, dataset: str, kind: str) -> int:
        with self._connected() as connection:
            row = connection.execute(f"select count(*) from {quoted(dataset)}.{quoted(kind)}").fetchone()
        return int(row[0]) if row else 0

    def version(self, table: str) -> str:
        name = _table_name(table)
        with self._connected() as connection, self._missing_table_explained():
            columns = [(column, kind) for column, kind, *_ in connection.execute(f"describe {name}").fetchall()]
            names = ", ".join(quoted(column) for column, _ in columns)
            # Independent of the rows' order. DuckDB combines the hashes of a row's values by exclusive or, so that values which change places
            # would cancel each other: hence the hash of the hash. The sum counts repeated rows, which cancel each other in `bit_xor`.
            content = connection.execute(
                f"select count(*), sum(row), bit_xor(row) from (select hash(hash({names})) as row from {name})"
            ).fetchone()
        return digest_of(repr((columns, content)).encode())

    def unload(self, table: str, prefix: str) -> Sequence[str]:
        key = prefix + part_name(0)
        target = Path(self.lake.uri(key))
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._connected() as connection, self._missing_table_explained():
            connection.execute(
                f"copy (from {_table_name(table)}) to {_literal(str(target))} (format parquet, compression zstd)"
            )
        return [key]

    @contextmanager
    def _missing_table_explained(self) -> Iterator[None]:
        try:
            yield
        except duckdb.CatalogException as error:
            raise TablesError(
                problem(
                    expected=f"the table in {self.database}",
                    found=str(error).partition("\n")[0].removeprefix("Catalog Error: ").rstrip("."),
                    todo="create it there, correct `source` in the spec, or remove `source` and land files: `churn land`",
                )
            ) from error

    @contextmanager
    def _connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        patience = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                connection = duckdb.connect(self.database)
                break
            except duckdb.IOException as error:
                if "lock" not in str(error):
                    raise TablesError(
                        problem(expected=f"to open {self.database}", found=f"DuckDB's error ({error})", todo=_SPACE)
                    ) from error
                if time.monotonic() > patience:
                    raise TablesError(
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
            todo = (
                _SPACE
                if isinstance(error, (duckdb.IOException, duckdb.TransactionException))
                else "report this: it is a bug"
            )
            raise TablesError(
                problem(expected="DuckDB to run the statement", found=f"its error ({error})", todo=todo)
            ) from error
        finally:
            connection.close()


def _table_name(table: str) -> str:
    """Return the name `<database>.<table>` as SQL."""
    return ".".join(quoted(part) for part in table.split(".", 1))


def quoted(name: str) -> str:
    """An identifier as SQL takes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
