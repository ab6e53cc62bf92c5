"""Files as they landed: which can be read, and what is said of those that cannot."""

import gzip
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from churn_model.errors import InputError
from churn_model.ingest.files import LandedFile, open_part

TABLE = b"id,x\na,1\nb,2\n"


def list_landed(folder: Path, name: str, data: bytes) -> LandedFile:
    path = folder / "stored"  # the key's ending counts, not that of the path
    path.write_bytes(data)
    return LandedFile(name, path)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("T.CSV", TABLE),
        ("t.csv.gz", gzip.compress(TABLE)),
        ("t.csv.gz", gzip.compress(TABLE[:7]) + gzip.compress(TABLE[7:])),
    ],
)
def test_csv_is_read_with_the_line_of_each_record(tmp_path: Path, name: str, data: bytes) -> None:
    part = open_part(list_landed(tmp_path, name, data))
    chunks = list(part.chunks([1, 0]))
    assert part.names == ("id", "x")
    assert part.stored == (None, None)
    assert [[column.to_pylist() for column in chunk.columns] for chunk in chunks] == [[[b"1", b"2"], [b"a", b"b"]]]
    assert [chunk.lines.tolist() for chunk in chunks] == [[2, 3]]
    assert sum(chunk.records for chunk in chunks) == 2


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


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        (
            "t.xlsx",
            TABLE,
            "t.xlsx: expected a name ending in .csv, .csv.gz, .parquet; found another; rename the file, or move it out",
        ),
        (
            "t.csv",
            b"",
            "t.csv: expected a header and records; found a file of zero bytes; remove the file, or land it again",
        ),
        (
            "t.csv",
            b"\xef\xbb\xbf\n",
            "t.csv: expected a header and records; found an empty file; remove the file, or land it again",
        ),
        ("t.csv", b"id,x\n\n \n", "t.csv: expected records; found a header alone; remove the file, or land it again"),
        (
            "t.csv",
            TABLE * 1000 + b"c,\x00\n",
            "t.csv: expected text; found NUL bytes; export the file again as UTF-8 CSV, or name it after what it is",
        ),
        (
            "t.csv",
            "id,x\na,1\n".encode("utf-16"),
            "t.csv: expected UTF-8; found UTF-16 or UTF-32; export the file again as UTF-8",
        ),
        (
            "t.csv",
            "id,x\na,1\n".encode("utf-16-le"),
            "t.csv: expected text; found NUL bytes; export the file again as UTF-8 CSV, or name it after what it is",
        ),
        (
            "t.csv",
            gzip.compress(TABLE),
            "t.csv: expected CSV; found gzip (.csv.gz); name the file after what it is, or export it as CSV",
        ),
        (
            "t.csv",
            b"PK\x03\x04...",
            "t.csv: expected CSV; found a zip or Excel file; name the file after what it is, or export it as CSV",
        ),
        (
            "t.csv.gz",
            b"",
            "t.csv.gz: expected a header and records; found a file of zero bytes; remove the file, or land it again",
        ),
        (
            "t.csv.gz",
            gzip.compress(b""),
            "t.csv.gz: expected a header and records; found an empty file; remove the file, or land it again",
        ),
        (
            "t.csv.gz",
            gzip.compress(TABLE)[:-9],
            "t.csv.gz: expected a whole gzip file; found one that is cut off; land it again",
        ),
        (
            "t.csv.gz",
            gzip.compress(TABLE)[:-8] + b"\0" * 8,
            "t.csv.gz: expected gzip; found damaged or other bytes; land it again, without .gz in its name if it is none",
        ),
        (
            "t.csv.gz",
            TABLE,
            "t.csv.gz: expected gzip; found damaged or other bytes; land it again, without .gz in its name if it is none",
        ),
        (
            "t.parquet",
            b"",
            "t.parquet: expected a header and records; found a file of zero bytes; remove the file, or land it again",
        ),
        ("t.parquet", TABLE, "t.parquet: expected a whole Parquet file; found one that cannot be read; land it again"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_what_to_do(
    tmp_path: Path, name: str, data: bytes, message: str
) -> None:
    with pytest.raises(InputError) as raised:
        open_part(list_landed(tmp_path, name, data))
    assert str(raised.value) == message


def test_parquet_without_rows_and_a_file_that_is_gone_are_errors(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"id": pa.array([], pa.string())}), tmp_path / "t.parquet")
    with pytest.raises(
        InputError, match=r"^t\.parquet: expected records; found columns alone; remove the file, or land it again$"
    ):
        open_part(LandedFile("t.parquet", tmp_path / "t.parquet"))
    with pytest.raises(
        InputError, match=r"^t\.csv: expected a file that can be read; found No such file or directory; land it again$"
    ):
        open_part(LandedFile("t.csv", tmp_path / "t.csv"))


def test_parquet_that_turns_out_damaged_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"id": [f"customer {n}" for n in range(10_000)]}), path, use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[50 : len(data) // 2] = b"\xff" * (len(data) // 2 - 50)
    path.write_bytes(data)
    part = open_part(LandedFile("t.parquet", path))
    with pytest.raises(InputError, match=r"^t\.parquet: expected a (whole file|file that can be read); found"):
        list(part.chunks([0]))
