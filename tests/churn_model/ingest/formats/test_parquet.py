"""Parquet files as chunks of columns."""

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from churn_model.errors import InputError
from churn_model.ingest.files import open_part
from churn_model.ingest.formats.base import LandedFile


def test_parquet_is_read_with_the_number_of_each_row(tmp_path: Path) -> None:
    rows = 100_000
    parquet.write_table(
        pa.table({"a.b": range(rows), "a": ["x"] * rows, " 🙂\n": [0.5] * rows}),
        tmp_path / "t.parquet",
        row_group_size=30_000,
    )
    part = open_part(LandedFile("t.parquet", tmp_path / "t.parquet"))
    chunks = list(part.chunks([2, 1]))
    assert part.names == ("a.b", "a", "🙂")
    assert part.stored == (pa.int64(), pa.string(), pa.float64())
    assert [line for chunk in chunks for line in chunk.lines.tolist()] == list(range(1, rows + 1))
    assert sum(chunk.records for chunk in chunks) == rows
    assert [column.type for column in chunks[0].columns] == [pa.float64(), pa.string()]


def test_parquet_without_rows_is_refused(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"id": pa.array([], pa.string())}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"^t\.parquet: .*records.*columns alone"):
        open_part(LandedFile("t.parquet", tmp_path / "t.parquet"))


def test_parquet_that_turns_out_damaged_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"id": [f"customer {n}" for n in range(10_000)]}), path, use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[50 : len(data) // 2] = b"\xff" * (len(data) // 2 - 50)
    path.write_bytes(data)
    part = open_part(LandedFile("t.parquet", path))
    with pytest.raises(InputError, match=r"^t\.parquet: .*a (whole Parquet file|file that can be read)"):
        list(part.chunks([0]))
