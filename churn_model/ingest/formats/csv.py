"""CSV files, gzipped or not: a header line, and values that are all text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa

from churn_model.errors import InputError, problem
from churn_model.ingest.formats.base import (
    BLOCK_BYTES,
    LAND_AGAIN,
    NO_TEXT,
    Chunk,
    Format,
    LandedFile,
    block_bytes,
    file_errors,
    open_bytes,
)
from churn_model.ingest.formats.csv_records import Header, parse, read_header, scan


@dataclass(frozen=True)
class CsvPart:
    """A CSV file."""

    file: LandedFile
    header: Header

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names in its header."""
        return self.header.names

    @property
    def stored(self) -> tuple[pa.DataType | None, ...]:
        """Return no types: all values are text."""
        return (None,) * len(self.names)

    def chunks(self, wanted: Sequence[int]) -> Iterator[Chunk]:
        """Yield all records, a block of the file at a time."""
        with file_errors(self.file, CSV.name), open_bytes(self.file) as stream:
            stream.read(self.header.size)
            for block in scan(stream, self.header, block_bytes=block_bytes(len(self.names))):
                yield Chunk(block.records, tuple(parse(block, self.header, wanted)), block.lines, block.faults)


def open_csv(file: LandedFile, sheet: str | None = None) -> CsvPart:
    """Read the header and look through the rest. Raise InputError if there is no record or no text. `sheet` is for workbooks alone."""
    with open_bytes(file) as stream:
        header = read_header(stream)
    with open_bytes(file) as stream:
        stream.read(header.size)
        _require_records(stream)
    return CsvPart(file, header)


def _require_records(stream: BinaryIO) -> None:
    """Read to the end once, so that what is wrong with whole files is known of all files before any is used."""
    has_records = False
    while chunk := stream.read(BLOCK_BYTES):
        if b"\x00" in chunk:
            raise InputError(NO_TEXT)
        has_records = has_records or bool(chunk.strip())
    if not has_records:
        raise InputError(problem(expected="records", found="a header alone", todo=LAND_AGAIN))


CSV = Format("CSV", (".csv", ".csv.gz"), lambda head: False, open_csv)
