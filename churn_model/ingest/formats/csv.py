"""CSV files, gzipped or not: a header line, and values that are all text."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn_model.arrays import BoolArray
from churn_model.column_types.landed import as_mask
from churn_model.errors import InputError, problem
from churn_model.ingest.formats.base import (
    LAND_AGAIN,
    NO_OPTIONS,
    Chunk,
    Fault,
    Format,
    LandedFile,
    Options,
    Write,
    block_bytes,
    file_errors,
)
from churn_model.ingest.formats.csv_header import Header, read_header
from churn_model.ingest.formats.csv_records import parse, scan
from churn_model.ingest.formats.encodings import AS_UTF8, Encoding, find_encoding, open_text


@dataclass(frozen=True)
class CsvPart:
    """A CSV file."""

    file: LandedFile
    header: Header
    encoding: Encoding = AS_UTF8
    backslash: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names in its header."""
        return self.header.names

    @property
    def passed_over(self) -> frozenset[int]:
        """Return the places of a column of row numbers and of columns that hold nothing."""
        return self.header.unnamed.columns

    @property
    def remarks(self) -> tuple[str, ...]:
        """Return how it was read, as far as that was not declared."""
        return (*([self.encoding.remark] if self.encoding.remark else []), *self.header.remarks)

    @property
    def options(self) -> Options:
        """Return its encoding and quotes."""
        return Options(encoding=self.encoding.to_name, backslash=self.backslash)

    @property
    def stored(self) -> tuple[pa.DataType | None, ...]:
        """Return no types: all values are text."""
        return (None,) * len(self.names)

    def rewritten(self, writers: Mapping[int, Write]) -> "CsvPart":
        """Return the file as it is: all values are text."""
        return self

    def chunks(self, wanted: Sequence[int]) -> Iterator[Chunk]:
        """Yield all records, a block of the file at a time."""
        blank = self.header.unnamed.blank
        places = [*wanted, *blank]
        text = open_text(self.file, self.encoding, backslash=self.backslash)
        with file_errors(self.file, CSV.name), text as stream:
            stream.read(self.header.size)
            for block in scan(stream, self.header, block_bytes=block_bytes(len(self.names))):
                columns = parse(block, self.header, places)
                chunk = Chunk(block.records, tuple(columns[: len(wanted)]), block.lines, block.faults)
                yield _require_blanks(chunk, columns[len(wanted) :], blank)


def _require_blanks(chunk: Chunk, columns: Sequence[pa.Array], places: Sequence[int]) -> Chunk:
    """Return the chunk with a fault for each record that holds a value in one of `columns`, which have no name."""
    faults: list[Fault] = []
    good: BoolArray = np.ones(len(chunk.lines), dtype=bool)
    for column, at in zip(columns, places, strict=True):
        filled = as_mask(pc.greater(pc.binary_length(column), 0))
        for row in np.flatnonzero(filled & good):
            if column[int(row)].as_py().strip():
                good[row] = False
                found = f"a value in column {at + 1}, which has no name"
                faults.append(Fault(int(chunk.lines[row]), "values below the names of the header alone", found))
    if not faults:
        return chunk
    kept, lines = pa.array(good), chunk.lines[good]
    every = tuple(sorted([*chunk.faults, *faults], key=lambda fault: fault.line))
    return Chunk(chunk.records, tuple(one.filter(kept) for one in chunk.columns), lines, every)


def open_csv(file: LandedFile, options: Options = NO_OPTIONS) -> CsvPart:
    """Read the header and look through the rest. Raise InputError if there is no record or no text."""
    encoding = find_encoding(file, options.encoding)
    with open_text(file, encoding, backslash=options.backslash) as stream:
        header = read_header(stream)
    with open_text(file, encoding, backslash=options.backslash) as stream:
        stream.read(header.size)
        rest = iter(lambda: stream.read(4096), b"")
        if not any(block.strip() for block in rest):
            raise InputError(problem(expected="records", found="a header alone", todo=LAND_AGAIN))
    return CsvPart(file, header, encoding, options.backslash)


CSV = Format("CSV", (".csv", ".csv.gz"), lambda head: False, open_csv)
