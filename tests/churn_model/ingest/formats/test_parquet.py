"""Parquet files as chunks of columns."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from churn_model.errors import InputError
from churn_model.ingest.files import open_part
from churn_model.ingest.formats.base import LandedFile, file_errors
from churn_model.ingest.formats.parquet_bounds import CHUNK_BYTES
from churn_model.ingest.formats.parquet_pages import read_page_sizes


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


LONG = "x" * (1 << 20)


def write_folded(path: Path, rows: int, encoding: str) -> None:
    """Write a column of one long value in some kilobytes: rows refer to it in a dictionary, or as the prefix that they share."""
    if encoding == "dictionary":
        notes = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), [LONG])
        table = pa.table({"id": [f"C{n}" for n in range(rows)], "note": notes})
        parquet.write_table(table, path, compression="brotli", store_schema=False)
    else:
        table = pa.table({"note": pa.array([LONG] * rows)})
        encodings = {"note": "DELTA_BYTE_ARRAY"}
        parquet.write_table(table, path, compression="brotli", use_dictionary=False, column_encoding=encodings)
    assert path.stat().st_size < 10_000


@pytest.mark.parametrize("encoding", ["dictionary", "prefix"])
def test_text_that_unfolds_from_little_is_read_in_bounded_pieces(tmp_path: Path, encoding: str) -> None:
    write_folded(tmp_path / "t.parquet", 70, encoding)
    part = open_part(LandedFile("t.parquet", tmp_path / "t.parquet"))
    chunks = list(part.chunks([part.names.index("note")]))
    assert sum(chunk.records for chunk in chunks) == 70
    assert max(chunk.columns[0].nbytes for chunk in chunks) < 2 * CHUNK_BYTES
    assert [line for chunk in chunks for line in chunk.lines.tolist()] == list(range(1, 71))


def test_a_few_kilobytes_that_unfold_to_gigabytes_are_refused(tmp_path: Path) -> None:
    write_folded(tmp_path / "t.parquet", 1100, "dictionary")
    part = open_part(LandedFile("t.parquet", tmp_path / "t.parquet"))
    with pytest.raises(
        InputError, match=r"^t\.parquet: Expected text of at most 1,024 MiB; found more, in [\d,]+ bytes"
    ):
        for _ in part.chunks([1]):
            pass


def test_more_rows_than_such_a_file_can_hold_are_refused_before_any_is_read(tmp_path: Path) -> None:
    nothing = pa.table({"x": pa.nulls(11_000_000, pa.int8())})
    parquet.write_table(nothing, tmp_path / "t.parquet", compression="zstd")
    with pytest.raises(InputError, match=r"at most 100 rows per byte; found 11,000,000 rows in [\d,]+ bytes"):
        open_part(LandedFile("t.parquet", tmp_path / "t.parquet"))


@pytest.fixture(scope="module")
def large_pages(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file of some kilobytes whose pages unzip to 576 MB."""
    path = tmp_path_factory.mktemp("pages") / "t.parquet"
    zeros = pa.array(np.zeros(9_000_000))
    table = pa.table({f"x{n}": zeros for n in range(8)})
    parquet.write_table(table, path, compression="zstd", use_dictionary=False, row_group_size=9_000_000)
    return path.read_bytes()


def test_pages_of_hundreds_of_megabytes_in_some_kilobytes_are_refused_before_any_is_unzipped(
    tmp_path: Path, large_pages: bytes
) -> None:
    (tmp_path / "t.parquet").write_bytes(large_pages)
    with pytest.raises(InputError, match=r"pages of at most 512 MiB; found [\d,]+ MiB in [\d,]+ bytes"):
        open_part(LandedFile("t.parquet", tmp_path / "t.parquet"))


def varint(number: int, width: int = 1) -> bytes:
    """A positive number as Thrift writes it, in at least so many bytes."""
    rest, found = 2 * number, b""
    while rest or len(found) < width:
        found, rest = found + bytes([rest & 127 | 128]), rest >> 7
    return found[:-1] + bytes([found[-1] & 127])


def test_a_footer_that_makes_its_pages_small_is_not_believed(tmp_path: Path, large_pages: bytes) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(large_pages)
    declared = parquet.read_metadata(path).row_group(0).column(0).total_uncompressed_size
    true = varint(declared)
    path.write_bytes(large_pages.replace(true, varint(1000, len(true))))
    groups = parquet.read_metadata(path).row_group(0)
    assert [groups.column(n).total_uncompressed_size for n in range(8)] == [1000] * 8
    with pytest.raises(InputError, match=r"pages of at most 512 MiB; found [\d,]+ MiB in [\d,]+ bytes"):
        open_part(LandedFile("t.parquet", path))


@pytest.mark.parametrize("codec", ["zstd", "gzip", "brotli"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_the_pages_of_honest_files_add_up(tmp_path: Path, codec: str, version: str, dictionary: bool) -> None:
    path = tmp_path / "t.parquet"
    table = pa.table({"id": [f"C{n}" for n in range(4_000)], "note": ["x" * 900, None] * 2_000, "n": range(4_000)})
    parquet.write_table(
        table,
        path,
        compression=codec,
        data_page_version=version,
        data_page_size=20_000,
        use_dictionary=dictionary,
        row_group_size=1_900,
    )
    found = parquet.read_metadata(path)
    with path.open("rb") as stream:
        for group in range(found.num_row_groups):
            for at in range(3):
                chunk = found.row_group(group).column(at)
                start = (chunk.has_dictionary_page and chunk.dictionary_page_offset) or chunk.data_page_offset
                pages = list(read_page_sizes(stream, start, chunk.total_compressed_size))
                headers = chunk.total_uncompressed_size - sum(page.unzipped for page in pages)
                assert headers == chunk.total_compressed_size - sum(page.zipped for page in pages)
    assert open_part(LandedFile("t.parquet", path)).names == ("id", "note", "n")


def test_pages_that_are_not_where_the_footer_says_are_damage(tmp_path: Path, large_pages: bytes) -> None:
    for spoiled in (b"\x00" * 40, b"\xff" * 40, b"\x15\x00\x15\x01\x15\x02\x00"):
        path = tmp_path / "t.parquet"
        path.write_bytes(large_pages[:4] + spoiled + large_pages[4 + len(spoiled) :])
        with pytest.raises(InputError, match=r"^t\.parquet: Expected a whole Parquet file; found pages that are not"):
            open_part(LandedFile("t.parquet", path))


def test_short_memory_is_no_fault_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(MemoryError, match="malloc of size"), file_errors(LandedFile("t.csv", tmp_path), "CSV"):
        pa.allocate_buffer(1 << 61)
