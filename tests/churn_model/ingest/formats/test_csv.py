"""CSV files as chunks of columns."""

import gzip
from pathlib import Path

import pytest

from churn_model.ingest.files import open_part
from churn_model.ingest.formats.base import LandedFile

TABLE = b"id,x\na,1\nb,2\n"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("T.CSV", TABLE),
        ("t.csv.gz", gzip.compress(TABLE, mtime=0)),
        ("t.csv.gz", gzip.compress(TABLE[:7], mtime=0) + gzip.compress(TABLE[7:], mtime=0)),
    ],
)
def test_csv_is_read_with_the_line_of_each_record(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    part = open_part(LandedFile(name, tmp_path / name))
    chunks = list(part.chunks([1, 0]))
    assert part.names == ("id", "x")
    assert part.stored == (None, None)
    assert [[column.to_pylist() for column in chunk.columns] for chunk in chunks] == [[[b"1", b"2"], [b"a", b"b"]]]
    assert [chunk.lines.tolist() for chunk in chunks] == [[2, 3]]
    assert sum(chunk.records for chunk in chunks) == 2
