"""What a Parquet file may unfold to: a few kilobytes of pages can stand for gigabytes of values, by compression or by references to a long value."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from churn_model.column_types.landed import is_text
from churn_model.errors import InputError, problem
from churn_model.ingest.formats.parquet_pages import read_page_sizes

PAGES_LIMIT = 512 << 20
"""Bytes that the pages of a row group may take unzipped, of those that shrank by more than `MOST_SHRUNK`."""
TEXT_LIMIT = 1 << 30
"""Bytes of text that any file may hold; above, at most `MOST_SHRUNK` times its size."""
MOST_SHRUNK = 1000
ROWS_LIMIT = 10_000_000
"""Rows that any file may hold; above, at most `MOST_ROWS_PER_BYTE` times its size: an id takes bytes in every row."""
MOST_ROWS_PER_BYTE = 100
_SHRINKING = frozenset({"GZIP", "ZSTD", "BROTLI"})
CHUNK_BYTES = 32 << 20
"""Bytes of text that are unfolded at once; a single value may be longer."""
_EXPORT = "check where the file is from, and export it again with plain pages"


def require_bounds(opened: parquet.ParquetFile, path: Path) -> None:
    """Raise InputError if a file has far more rows, or far larger pages, than honest files of its size: by its footer, or by its pages."""
    found, size = opened.metadata, path.stat().st_size
    if found.num_rows > max(ROWS_LIMIT, MOST_ROWS_PER_BYTE * size):
        raise _unfolds(f"at most {MOST_ROWS_PER_BYTE} rows per byte", f"{found.num_rows:,} rows in {size:,} bytes")
    with path.open("rb") as stream:
        for group in range(found.num_row_groups):
            columns = [found.row_group(group).column(at) for at in range(found.num_columns)]
            pages = sum(
                unzipped
                for one in columns
                if (unzipped := max(one.total_uncompressed_size, _unzipped_bytes(stream, one)))
                > MOST_SHRUNK * one.total_compressed_size
            )
            if pages > PAGES_LIMIT:
                raise _unfolds(f"pages of at most {PAGES_LIMIT >> 20} MiB", f"{pages >> 20:,} MiB in {size:,} bytes")


def _unzipped_bytes(stream: BinaryIO, chunk: parquet.ColumnChunkMetaData) -> int:
    """Return what the pages of a column chunk unzip to, by their own headers; 0 if no page in that format can shrink by much."""
    if chunk.compression not in _SHRINKING:
        return 0
    start = chunk.data_page_offset
    if chunk.has_dictionary_page and chunk.dictionary_page_offset:
        start = min(start, chunk.dictionary_page_offset)
    return sum(page.unzipped for page in read_page_sizes(stream, start, chunk.total_compressed_size))


def read_batches(
    opened: parquet.ParquetFile, folded: parquet.ParquetFile, columns: Sequence[str], *, rows: int, size: int
) -> Iterator[pa.RecordBatch]:
    """Yield the `columns` in batches of at most `rows` rows, fewer where text is long, so that about `CHUNK_BYTES` of it are held at once.

    folded   the same file, opened so that text stays in its dictionaries
    size     bytes of the file

    Raise InputError if the text is more than a file of that size may hold.
    """
    schema = opened.schema_arrow
    texts = [name for name in columns if is_text(schema.field(name).type)]
    allowed, total = max(TEXT_LIMIT, MOST_SHRUNK * size), 0
    longest = max(_longest_texts(opened, folded, group, texts) for group in range(opened.metadata.num_row_groups))
    step = max(1, min(rows, CHUNK_BYTES // max(1, longest)))
    batches = opened.iter_batches(batch_size=step, columns=columns, use_threads=False)
    for batch in _regroup(batches, texts, rows) if step < rows else batches:
        total += _text_bytes(batch, texts)
        if total > allowed:
            raise _unfolds(f"text of at most {allowed >> 20:,} MiB", f"more, in {size:,} bytes")
        yield batch


def _longest_texts(opened: parquet.ParquetFile, folded: parquet.ParquetFile, group: int, texts: Sequence[str]) -> int:
    """Return the bytes that one row of a row group may unfold to: the longest values that are written once and referred to by rows."""
    found = opened.metadata.row_group(group)
    chunks = {one.path_in_schema: one for at in range(found.num_columns) if (one := found.column(at))}
    named = [name for name in texts if name in chunks and chunks[name].has_dictionary_page]
    prefixed = [name for name in texts if name in chunks and "DELTA_BYTE_ARRAY" in chunks[name].encodings]
    longest: int = sum(chunks[name].total_uncompressed_size for name in prefixed)
    if named:  # the first row brings the whole dictionary
        first = next(folded.iter_batches(batch_size=1, row_groups=[group], columns=named, use_threads=False))
        words = [column.dictionary if pa.types.is_dictionary(column.type) else column for column in first.columns]
        longest += sum(pc.max(pc.binary_length(each)).as_py() or 0 for each in words)
    return longest


def _regroup(batches: Iterator[pa.RecordBatch], texts: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
    """Join consecutive batches until they hold `rows` rows or `CHUNK_BYTES` of text."""
    held: list[pa.RecordBatch] = []
    count = volume = 0
    for batch in batches:
        held.append(batch)
        count, volume = count + batch.num_rows, volume + _text_bytes(batch, texts)
        if count >= rows or volume >= CHUNK_BYTES:
            yield pa.concat_batches(held)
            held, count, volume = [], 0, 0
    if held:
        yield pa.concat_batches(held)


def _text_bytes(batch: pa.RecordBatch, texts: Sequence[str]) -> int:
    return sum(batch.column(name).nbytes for name in texts)


def _unfolds(expected: str, found: str) -> InputError:
    return InputError(problem(expected=expected, found=found, todo=_EXPORT))
