"""Parquet files: their own column types, read in batches of rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from churn_model.column_types.landed import is_text
from churn_model.errors import InputError, problem
from churn_model.ingest.formats.base import (
    LAND_AGAIN,
    NO_OPTIONS,
    Chunk,
    Format,
    LandedFile,
    Options,
    Write,
    batch_rows,
    file_errors,
)
from churn_model.ingest.formats.parquet_bounds import read_batches, require_bounds


@dataclass(frozen=True)
class ParquetPart:
    """A Parquet file."""

    file: LandedFile
    schema: pa.Schema

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of its top-level columns."""
        return tuple(name.strip() for name in self.schema.names)

    @property
    def passed_over(self) -> frozenset[int]:
        """Return none: it can name all its columns."""
        return frozenset()

    @property
    def remarks(self) -> tuple[str, ...]:
        """Return none: it declares all that it is."""
        return ()

    @property
    def options(self) -> Options:
        """Return none."""
        return NO_OPTIONS

    @property
    def stored(self) -> tuple[pa.DataType | None, ...]:
        """Return the file's own types."""
        return tuple(self.schema.types)

    def rewritten(self, writers: Mapping[int, Write]) -> "ParquetPart":
        """Return the file as it is: its columns have types."""
        return self

    def chunks(self, wanted: Sequence[int]) -> Iterator[Chunk]:
        """Yield all records; memory is bounded by the pages of a row group, and by `parquet_bounds` for what they unfold to."""
        names = [self.schema.names[n] for n in wanted]
        path, size, row = self.file.path, self.file.path.stat().st_size, 1
        texts = [name for name in names if is_text(self.schema.field(name).type)]
        with (
            file_errors(self.file, PARQUET.name),
            parquet.ParquetFile(path, pre_buffer=False) as opened,
            parquet.ParquetFile(path, pre_buffer=False, read_dictionary=texts) as folded,
        ):
            for batch in read_batches(opened, folded, names, rows=batch_rows(len(names)), size=size):
                columns = tuple(batch.column(name) for name in names)
                yield Chunk(batch.num_rows, columns, np.arange(row, row + batch.num_rows), ())
                row += batch.num_rows


def open_parquet(file: LandedFile, options: Options = NO_OPTIONS) -> ParquetPart:
    """Read the schema of a Parquet file. Raise InputError if it has no rows, or declares more than a file of its size can honestly hold."""
    with parquet.ParquetFile(file.path, pre_buffer=False) as opened:
        if opened.metadata.num_rows == 0:
            raise InputError(problem(expected="records", found="columns alone", todo=LAND_AGAIN))
        require_bounds(opened, file.path)
        return ParquetPart(file, opened.schema_arrow)


PARQUET = Format("Parquet", (".parquet",), lambda head: head.startswith(b"PAR1"), open_parquet)
