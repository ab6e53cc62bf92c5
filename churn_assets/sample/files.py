"""Write the sample in the shape of a landing area, `train/` and `score/<batch>/`, and its truth to another folder."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from churn_assets.sample.generator import Generator, Piece, batch_name
from churn_assets.sample.population import BATCHES, require

Format = Literal["csv", "parquet"]
Kind = Literal["train", "score", "truth"]


@dataclass(frozen=True)
class SampleFile:
    """A file that was written. `batch` is empty for other files than a batch's."""

    path: Path
    kind: Kind
    rows: int
    batch: str = ""


def write_sample(
    landing: Path,
    truth: Path,
    *,
    rows: int = 10_000,
    batches: int = 1,
    batch_rows: int = 1_000,
    generator: Generator | None = None,
    form: Format = "csv",
    rows_per_file: int = 5_000_000,
) -> tuple[SampleFile, ...]:
    """Write training files (`train/customers-001.csv`, ...), batches (`score/2025-09/...`) and, in another folder, the truth of each in Parquet.

    Existing files are overwritten. Raise ChurnError if the truth would be inside the landing area, or a number is out of range.
    """
    require(
        (0 <= batches <= BATCHES, f"batches: from 0 to {BATCHES}", batches),
        (rows_per_file >= 1, "rows_per_file: at least 1", rows_per_file),
        (not truth.resolve().is_relative_to(landing.resolve()), "truth: a folder outside of the landing", "one in it"),
    )
    made = generator or Generator()
    files = _write(
        made.training(rows),
        SampleFile(landing / "train" / f"customers.{form}", "train", rows),
        truth / "train.parquet",
        rows_per_file,
    )
    for number in range(1, batches + 1):
        name = batch_name(number)
        file = SampleFile(landing / "score" / name / f"customers.{form}", "score", batch_rows, name)
        files += _write(made.batch(number, batch_rows), file, truth / f"{name}.parquet", rows_per_file)
    return tuple(files)


def _write(pieces: Iterator[Piece], whole: SampleFile, truth: Path, rows_per_file: int) -> list[SampleFile]:
    """Write `whole` as numbered files, and its truth as one."""
    path = whole.path
    sizes = [min(rows_per_file, whole.rows - start) for start in range(0, whole.rows, rows_per_file)]
    files = [
        SampleFile(path.with_stem(f"{path.stem}-{n:03d}"), whole.kind, size, whole.batch)
        for n, size in enumerate(sizes, 1)
    ]
    with _Writer(truth) as known:
        tables = _split_off_truth(pieces, known)
        rest = pa.table({})
        for file in files:
            with _Writer(file.path) as out:
                room = file.rows
                while room:
                    rest = rest if rest.num_rows else next(tables)
                    part, rest = rest.slice(0, room), rest.slice(room)
                    out.write(part)
                    room -= part.num_rows
    return [*files, SampleFile(truth, "truth", whole.rows, whole.batch)]


def _split_off_truth(pieces: Iterator[Piece], known: "_Writer") -> Iterator[pa.Table]:
    for piece in pieces:
        known.write(piece.truth)
        yield piece.landed


class _Writer:
    """A CSV or Parquet file, by its suffix, written table by table."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open = ExitStack()
        self._out: pyarrow.csv.CSVWriter | pyarrow.parquet.ParquetWriter | None = None

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return self

    def write(self, table: pa.Table) -> None:
        if self._out is None:
            self._out = self._open.enter_context(self._open_writer(table.schema))
        self._out.write_table(table)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def _open_writer(self, schema: pa.Schema) -> "pyarrow.csv.CSVWriter | pyarrow.parquet.ParquetWriter":
        if self._path.suffix == ".parquet":
            return pyarrow.parquet.ParquetWriter(self._path, schema, compression="zstd")
        file = self._open.enter_context(pa.OSFile(str(self._path), "wb"))
        # No value of the sample needs quotes; pyarrow would put them around every name in the header.
        file.write((",".join(schema.names) + "\n").encode())
        options = pyarrow.csv.WriteOptions(include_header=False, batch_size=16_384, quoting_style="none")
        return pyarrow.csv.CSVWriter(file, schema, write_options=options)
