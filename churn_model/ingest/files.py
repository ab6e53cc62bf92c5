"""Files as they landed, CSV, gzipped CSV or Parquet, read as one stream of chunks: arrays of values and the line of each record.

Belongs here: which files can be read, what is wrong with a file as a whole, decompression. Does not belong here: record boundaries
(`csv_records`), what a value means (`cells`).
"""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from churn_model.errors import InputError, problem
from churn_model.ingest.csv_records import BLOCK_BYTES, NO_TEXT, Fault, Header, IntArray, parse, read_header, scan

ENDINGS = (".csv", ".csv.gz", ".parquet")
_BATCH_VALUES = 1 << 20
_LAND_AGAIN = "remove the file, or land it again"
_MAGIC = {
    b"\x1f\x8b": "gzip (.csv.gz)",
    b"PAR1": "Parquet (.parquet)",
    b"PK\x03\x04": "a zip or Excel file",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
}


@dataclass(frozen=True)
class LandedFile:
    """A file that landed: the lake key that the user sees, and where its bytes are."""

    key: str
    path: Path


@dataclass(frozen=True)
class Chunk:
    """Consecutive records of a file.

    `columns` are those asked for, in that order, each an array with the records that can be read as values; `lines` (n,) is where each of
    them begins: a physical line of a CSV file, the row's number in a Parquet file, both from 1. `records` counts these and the faults.
    """

    records: int
    columns: tuple[pa.Array, ...]
    lines: IntArray
    faults: tuple[Fault, ...]


class Part(Protocol):
    """One landed file whose header is known."""

    @property
    def file(self) -> LandedFile:
        """Where it came from."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Its columns, as landed, without blanks around them."""
        ...

    @property
    def stored(self) -> tuple[pa.DataType | None, ...]:
        """The type that the file itself gives each column; None where all is text."""
        ...

    def chunks(self, wanted: Sequence[int]) -> Iterator[Chunk]:
        """All records, with the columns at `wanted`. Raises InputError where the file turns out damaged."""
        ...


@dataclass(frozen=True)
class CsvPart:
    """A CSV file, gzipped or not."""

    file: LandedFile
    header: Header

    @property
    def names(self) -> tuple[str, ...]:
        """Its columns, from the header."""
        return self.header.names

    @property
    def stored(self) -> tuple[pa.DataType | None, ...]:
        """No types: all is text."""
        return (None,) * len(self.names)

    def chunks(self, wanted: Sequence[int]) -> Iterator[Chunk]:
        """All records, in memory bounded by a block."""
        with _named(self.file), _bytes_of(self.file) as stream:
            stream.read(self.header.size)
            for block in scan(stream, self.header, block_bytes=_block_bytes(len(self.names))):
                yield Chunk(block.records, tuple(parse(block, self.header, wanted)), block.lines, block.faults)


@dataclass(frozen=True)
class ParquetPart:
    """A Parquet file."""

    file: LandedFile
    schema: pa.Schema

    @property
    def names(self) -> tuple[str, ...]:
        """Its top-level columns."""
        return tuple(name.strip() for name in self.schema.names)

    @property
    def stored(self) -> tuple[pa.DataType | None, ...]:
        """The file's own types."""
        return tuple(self.schema.types)

    def chunks(self, wanted: Sequence[int]) -> Iterator[Chunk]:
        """All records, in memory bounded by a row group's pages."""
        names = [self.schema.names[n] for n in wanted]
        rows = max(1024, min(65_536, _BATCH_VALUES // max(1, len(names))))
        row = 1
        with _named(self.file), parquet.ParquetFile(self.file.path, pre_buffer=False) as opened:
            for batch in opened.iter_batches(batch_size=rows, columns=names, use_threads=False):
                columns = tuple(batch.column(name) for name in names)
                yield Chunk(batch.num_rows, columns, np.arange(row, row + batch.num_rows), ())
                row += batch.num_rows


def _block_bytes(columns: int) -> int:
    """Enough for some hundred records a block also where there are many columns: each column of each block costs a little, however short."""
    return max(BLOCK_BYTES, min(8 * BLOCK_BYTES, columns * 8192))


def open_part(file: LandedFile) -> Part:
    """The file with its header read and its bytes looked through. Raises InputError, naming the file, if it cannot be used as a whole."""
    name = file.key.lower()
    if not name.endswith(ENDINGS):
        text = problem(
            expected=f"a name ending in {', '.join(ENDINGS)}", found="another", todo="rename the file, or move it out"
        )
        raise InputError(f"{file.key}: {text}")
    with _named(file):
        if file.path.stat().st_size == 0:
            raise InputError(problem(expected="a header and records", found="a file of zero bytes", todo=_LAND_AGAIN))
        return _parquet_part(file) if name.endswith(".parquet") else _csv_part(file)


def _parquet_part(file: LandedFile) -> ParquetPart:
    with parquet.ParquetFile(file.path, pre_buffer=False) as opened:
        if opened.metadata.num_rows == 0:
            raise InputError(problem(expected="records", found="columns alone", todo=_LAND_AGAIN))
        return ParquetPart(file, opened.schema_arrow)


def _csv_part(file: LandedFile) -> CsvPart:
    with _bytes_of(file) as stream:
        _check_magic(stream.read(4))
    with _bytes_of(file) as stream:
        header = read_header(stream)
    with _bytes_of(file) as stream:
        stream.read(header.size)
        _look_through(stream)
    return CsvPart(file, header)


def _check_magic(first: bytes) -> None:
    for magic, what in _MAGIC.items():
        if first.startswith(magic):
            raise InputError(
                problem(expected="CSV", found=what, todo="name the file after what it is, or export it as CSV")
            )


def _look_through(stream: BinaryIO) -> None:
    """Reads all that follows the header once, so that what is wrong with whole files is known of all files before any is used."""
    has_records = False
    while chunk := stream.read(BLOCK_BYTES):
        if b"\x00" in chunk:
            raise InputError(NO_TEXT)
        has_records = has_records or bool(chunk.strip())
    if not has_records:
        raise InputError(problem(expected="records", found="a header alone", todo=_LAND_AGAIN))


@contextmanager
def _bytes_of(file: LandedFile) -> Iterator[BinaryIO]:
    if file.key.lower().endswith(".gz"):
        with gzip.open(file.path) as stream:
            yield cast(BinaryIO, stream)
    else:
        with file.path.open("rb") as stream:
            yield stream


@contextmanager
def _named(file: LandedFile) -> Iterator[None]:
    """Whatever is wrong inside is said of this file, in words of this project."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{file.key}: {error}") from error
    except EOFError as error:
        raise InputError(
            f"{file.key}: {problem(expected='a whole gzip file', found='one that is cut off', todo='land it again')}"
        ) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        todo = "land it again, without .gz in its name if it is none"
        raise InputError(
            f"{file.key}: {problem(expected='gzip', found='damaged or other bytes', todo=todo)}"
        ) from error
    except pa.ArrowException as error:
        whole = "a whole Parquet file" if file.key.lower().endswith(".parquet") else "a whole file"
        raise InputError(
            f"{file.key}: {problem(expected=whole, found='one that cannot be read', todo='land it again')}"
        ) from error
    except OSError as error:
        found = error.strerror or "a damaged file"
        raise InputError(
            f"{file.key}: {problem(expected='a file that can be read', found=found, todo='land it again')}"
        ) from error
