"""The registry of formats: which files open, and what is said of those that do not."""

import gzip
from pathlib import Path

import pytest

from churn_model.errors import InputError, problem
from churn_model.ingest.files import ENDINGS, FORMATS, find_format, open_part
from churn_model.ingest.formats.base import LAND_AGAIN, LandedFile

TABLE = b"id,x\na,1\nb,2\n"
NAME_IT = "name the file after what it is, or export it as CSV"


def landed(folder: Path, name: str, data: bytes) -> LandedFile:
    path = folder / "stored"  # the key's ending counts, not that of the path
    path.write_bytes(data)
    return LandedFile(name, path)


def test_every_ending_belongs_to_one_format() -> None:
    assert len(set(ENDINGS)) == len(ENDINGS)
    for each in FORMATS:
        assert [find_format(f"a/T{ending.upper()}") for ending in each.endings] == [each] * len(each.endings)
    assert find_format("t.txt") is None


WRONG_GZIP = "land it again, without .gz in its name if it is not gzipped"


@pytest.mark.parametrize(
    ("name", "data", "expected", "found", "todo"),
    [
        ("t.csv", b"", "a header and records", "a file of zero bytes", LAND_AGAIN),
        ("t.csv", b"\xef\xbb\xbf\n", "a header and records", "an empty file", LAND_AGAIN),
        ("t.csv", b"id,x\n\n \n", "records", "a header alone", LAND_AGAIN),
        (
            "t.csv",
            b"i\x00d,x\na,1\n",
            "text",
            "NUL bytes",
            "export the file again as UTF-8, or name it after what it is",
        ),
        ("t.csv", gzip.compress(TABLE, mtime=0), "CSV", "gzip (.csv.gz)", NAME_IT),
        ("t.csv", b"PK\x03\x04...", "CSV", "a zip archive", NAME_IT),
        ("t.csv", b"PAR1...", "CSV", "Parquet (.parquet)", NAME_IT),
        ("t.csv.gz", gzip.compress(b"PAR1...", mtime=0), "CSV", "Parquet (.parquet)", NAME_IT),
        ("t.csv", b"\xd0\xcf\x11\xe0...", "CSV", "an old Excel file (.xls), or a workbook with a password", NAME_IT),
        ("t.csv.gz", b"", "a header and records", "a file of zero bytes", LAND_AGAIN),
        ("t.csv.gz", gzip.compress(b"", mtime=0), "a header and records", "an empty file", LAND_AGAIN),
        ("t.csv.gz", gzip.compress(TABLE, mtime=0)[:-9], "a whole gzip file", "one that is cut off", "land it again"),
        ("t.csv.gz", gzip.compress(TABLE, mtime=0)[:-8] + b"\0" * 8, "gzip", "damaged or other bytes", WRONG_GZIP),
        ("t.csv.gz", TABLE, "gzip", "damaged or other bytes", WRONG_GZIP),
        ("t.parquet", b"", "a header and records", "a file of zero bytes", LAND_AGAIN),
        ("t.parquet", TABLE, "a whole Parquet file", "one that cannot be read", "land it again"),
        (
            "t.parquet",
            gzip.compress(TABLE, mtime=0),
            "Parquet",
            "gzip",
            "name the file after what it is, or export it as Parquet",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_what_to_do(
    tmp_path: Path, name: str, data: bytes, expected: str, found: str, todo: str
) -> None:
    with pytest.raises(InputError) as raised:
        open_part(landed(tmp_path, name, data))
    assert str(raised.value) == f"{name}: {problem(expected=expected, found=found, todo=todo)}"


def test_an_unknown_ending_names_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^t\.txt: .*a name ending in \.csv, \.csv\.gz, \.parquet"):
        open_part(landed(tmp_path, "t.txt", TABLE))


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^t\.csv: .*a file that can be read.*No such file or directory"):
        open_part(LandedFile("t.csv", tmp_path / "t.csv"))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b"<?xml version='1.0'?>", "an XML document"),
        (b'[{"id": 1}]', r"a JSON document \(one array\)"),
        (b"%PDF-1.7", "a PDF document"),
    ],
)
def test_what_is_no_table_is_called_what_it_is(tmp_path: Path, content: bytes, what: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InputError, match=f"a.csv: Expected CSV; found {what}"):
        open_part(LandedFile("a.csv", tmp_path / "a.csv"))
