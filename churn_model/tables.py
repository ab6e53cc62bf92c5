"""Tables in parts: Parquet files of a folder, part-00000.parquet onwards, whose names sort in the order of the rows.

A table is written by `TableWriter` and read by `TableReader`: rows, order and blocks are the same for any number of parts.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from churn_model.errors import ChurnError, problem

PART_BYTES = 64_000_000
"""Upper limit of a part's size, in bytes on disk."""
BLOCK_ROWS = 131_072
"""Rows of a row group, and of a block when a table is streamed; wide tables have shorter ones."""
_BLOCK_VALUES = 64 * BLOCK_ROWS
_FOOTER_BYTES = 300  # of a part's footer, for each column of each row group

Source = Path | Callable[[], BinaryIO]
"""A part: a path, or a function that opens a seekable stream."""


def part_name(number: int) -> str:
    """Return the file name of a part."""
    return f"part-{number:05d}.parquet"


def block_rows(schema: pa.Schema) -> int:
    """Return the rows of one block: a block is held in memory, so wide tables have shorter ones."""
    return min(BLOCK_ROWS, max(1024, _BLOCK_VALUES // max(1, len(schema))))


class TableWriter(AbstractContextManager["TableWriter"]):
    """Write a table into a folder in parts of at most `PART_BYTES`.

    Rows that agree in column `key` (neighbours, such as those of one customer) never end up in two parts. Row groups have `block_rows`
    rows whatever the sizes of the batches, except at the boundary of a part. Text is encoded if `schema` has a dictionary type, anew
    for each row group, so that equal rows make equal bytes. `dictionaries`: columns that Parquet stores as dictionaries; None: all.
    """

    def __init__(
        self, folder: Path, schema: pa.Schema, *, key: str | None = None, dictionaries: Sequence[str] | None = None
    ) -> None:
        self.rows = 0
        self._folder = folder
        self._schema = schema
        self._key = key
        self._options: dict[str, Any] = {"compression": "zstd"}
        if dictionaries is not None:
            self._options["use_dictionary"] = list(dictionaries)
        self._group = block_rows(schema)
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        self._parts = 0
        self._last_key: Any = None
        self._file = ExitStack()
        folder.mkdir(parents=True, exist_ok=True)
        self._open_part()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._pending_rows:
                self._write_group(pa.Table.from_batches(self._pending))
        finally:
            self._file.close()

    def write(self, rows: pa.RecordBatch | pa.Table) -> None:
        """Append rows."""
        self._pending += rows.to_batches() if isinstance(rows, pa.Table) else [rows]
        self._pending_rows += rows.num_rows
        self.rows += rows.num_rows
        if self._pending_rows < self._group:
            return
        table = pa.Table.from_batches(self._pending)
        whole = self._pending_rows - self._pending_rows % self._group
        for start in range(0, whole, self._group):
            self._write_group(table.slice(start, self._group))
        self._pending = table.slice(whole).to_batches()
        self._pending_rows -= whole

    def _write_group(self, group: pa.Table) -> None:
        # Encoded and compressed, rows take no more than they do in memory.
        pieces = min(group.num_rows, -(-group.nbytes // PART_BYTES))
        most = -(-group.num_rows // max(1, pieces))
        for start in range(0, group.num_rows, most):
            self._write_piece(group.slice(start, most))

    def _write_piece(self, piece: pa.Table) -> None:
        footer = _FOOTER_BYTES * len(self._schema) * (self._groups + 1)
        if self._groups and self._sink.tell() + piece.nbytes + footer > PART_BYTES:
            head = self._rows_of_last_key(piece)
            self._append(piece.slice(0, head))
            piece = piece.slice(head)
            if piece.num_rows:
                self._open_part()
        self._append(piece)

    def _append(self, piece: pa.Table) -> None:
        if not piece.num_rows:
            return
        columns = [_encode(column, kind) for column, kind in zip(piece.columns, self._schema.types, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema), row_group_size=piece.num_rows)
        self._groups += 1
        if self._key is not None:
            self._last_key = piece[self._key][-1]

    def _rows_of_last_key(self, piece: pa.Table) -> int:
        """Return how many rows at the head of a piece continue the key that was written last."""
        if self._key is None:
            return 0
        other = pc.not_equal(piece[self._key], self._last_key).combine_chunks().to_numpy(zero_copy_only=False)
        return int(np.argmax(other)) if other.any() else piece.num_rows

    def _open_part(self) -> None:
        self._file.close()
        self._sink = self._file.enter_context(pa.OSFile(str(self._folder / part_name(self._parts)), "wb"))
        self._writer = self._file.enter_context(pq.ParquetWriter(self._sink, self._schema, **self._options))
        self._groups = 0
        self._parts += 1


def _encode(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    array = column.combine_chunks()
    return array.dictionary_encode() if pa.types.is_dictionary(kind) and array.type != kind else array


def write_table(folder: Path, table: pa.Table, *, key: str | None = None) -> None:
    """Write a table that is in memory into a folder in parts."""
    with TableWriter(folder, table.schema, key=key) as writer:
        writer.write(table)


class TableReader:
    """Read a table's parts, one after the other, in the order of the rows."""

    def __init__(self, parts: Sequence[Source]) -> None:
        self._parts = parts
        with _open_next(parts[0]) as file:
            self.schema: pa.Schema = file.schema_arrow

    @property
    def rows(self) -> int:
        """Rows of all parts."""
        count = 0
        for part in self._parts:
            with _open_next(part) as file:
                count += file.metadata.num_rows
        return count

    def blocks(self, columns: Sequence[str] | None = None, *, rows: int | None = None) -> Iterator[pa.RecordBatch]:
        """Yield blocks of exactly `rows` rows (default: `block_rows`; the last may be shorter), wherever the parts begin and end."""
        size = rows or block_rows(self.schema)
        pending: list[pa.RecordBatch] = []
        count = 0
        for batch in self._batches(columns, size):
            pending.append(batch)
            count += batch.num_rows
            if count >= size:
                yield _join(pending, 0, size)
                pending = [batch.slice(batch.num_rows - (count - size))] if count > size else []
                count -= size
        if count:
            yield _join(pending, 0, count)

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the whole table."""
        return self.first(self.rows, columns)

    def first(self, rows: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the first `rows` rows; no row group behind them is read."""
        tables: list[pa.Table] = []
        count = 0
        for part in self._parts:
            if tables and count >= rows:
                break
            with _open_next(part) as file:
                groups = 0
                while groups < file.num_row_groups and count < rows:
                    count += file.metadata.row_group(groups).num_rows
                    groups += 1
                names = None if columns is None else list(columns)
                tables.append(file.read_row_groups(list(range(groups)), names, use_threads=_use_threads(part)))
        return pa.concat_tables(tables).slice(0, rows)

    def _batches(self, columns: Sequence[str] | None, size: int) -> Iterator[pa.RecordBatch]:
        names = None if columns is None else list(columns)
        for part in self._parts:
            with _open_next(part) as file:
                # Row group by row group: behind a part's boundary, whose row groups are short, batches are blocks again, and none is copied.
                for group in range(file.num_row_groups):
                    yield from file.iter_batches(
                        batch_size=size, row_groups=[group], columns=names, use_threads=_use_threads(part)
                    )


@contextmanager
def _open_next(part: Source) -> Iterator[pq.ParquetFile]:
    """Open a part. Raise ChurnError, also while it is read, if it is no Parquet file or damaged."""
    try:
        # With read-ahead, pyarrow would keep the whole file in memory.
        if isinstance(part, Path):
            with pq.ParquetFile(part, pre_buffer=False) as file:
                yield file
        else:
            with part() as stream:
                yield pq.ParquetFile(stream, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None):
            raise  # the machine's, not the file's
        place = part.as_posix() if isinstance(part, Path) else "a published table"
        raise ChurnError(
            problem(
                expected=f"a Parquet file in {place}",
                found=f"damage ({str(error)[:200]})",
                todo="run `churn verify`, which names damaged files and what to do",
            )
        ) from error


def _use_threads(part: Source) -> bool:
    """Return whether Arrow may use threads: they would hold a Python stream beyond the end of the process."""
    return isinstance(part, Path)


def _join(batches: list[pa.RecordBatch], start: int, rows: int) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0].slice(start, rows)
    table = pa.Table.from_batches(batches).slice(start, rows)
    return pa.RecordBatch.from_arrays([column.combine_chunks() for column in table.columns], schema=table.schema)


def open_table(folder: Path) -> TableReader:
    """Return a reader of the table in a folder. Raises ChurnError if the folder holds no part."""
    parts = sorted(folder.glob("*.parquet"))
    if not parts:
        raise ChurnError(problem(expected=f"a table's parts in {folder}", found="none", todo="run the job again"))
    return TableReader(parts)
