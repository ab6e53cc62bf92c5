"""Record boundaries, against Python's own CSV reader and by cases."""

import csv
import io
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn_model.column_types.landed import FIELD_LIMIT
from churn_model.errors import InputError
from churn_model.ingest.formats.base import BLOCK_BYTES, RECORD_LIMIT, Fault
from churn_model.ingest.formats.csv_header import Header, read_header
from churn_model.ingest.formats.csv_records import BROKEN_QUOTE, parse, scan

Row = tuple[bytes, ...]
mangled = st.lists(
    st.sampled_from(["a", "b", ",", ",", "\n", "\r", "\r\n", '"', '""', ",\n", '","', " ", "é", "\x1a"]), max_size=40
).map("".join)


def read(
    data: bytes, *, width: int = 3, block_bytes: int = BLOCK_BYTES, delimiter: str = ","
) -> tuple[list[tuple[int, Row]], list[Fault], int]:
    """The well-formed records with their lines, the faults, and how many records were counted, of a file without a header."""
    header = Header(tuple("abc"[:width]), delimiter, 0, 0)
    rows: list[tuple[int, Row]] = []
    faults: list[Fault] = []
    records = 0
    for block in scan(io.BytesIO(data), header, block_bytes=block_bytes):
        columns = [column.to_pylist() for column in parse(block, header, range(width))]
        rows += zip(block.lines.tolist(), zip(*columns, strict=True), strict=True)
        faults += block.faults
        records += block.records
    return rows, faults, records


@pytest.mark.parametrize(
    ("data", "rows", "faults"),
    [
        (b"1,2,3\n4,5,6", [(1, b"1|2|3"), (2, b"4|5|6")], []),
        (b"1,2,3\r\n4,5,6\r7,8,9\n", [(1, b"1|2|3"), (2, b"4|5|6"), (3, b"7|8|9")], []),
        (b"\n1,2,3\n\n \t\n\r\n4,5,6\n\n", [(2, b"1|2|3"), (6, b"4|5|6")], []),
        (b'"x\ny\r\nz",2,3\n4,5,6\n', [(1, b"x\ny\r\nz|2|3"), (4, b"4|5|6")], []),
        (b'"a ""b"" c","",","\n', [(1, b'a "b" c||,')], []),
        (b'5" pipe,a"b"c, "x"\n', [(1, b'5" pipe|a"b"c| "x"')], []),
        (b",,\n", [(1, b"||")], []),
        (b"1,2\n1,2,3,4\n1\n", [], [(1, "2 values"), (2, "4 values"), (3, "1 value")]),
        (b'1,"Big" Bob,3\n4,5,6\n', [(2, b"4|5|6")], [(1, "a stray quote")]),
        (b'1,"open,3\n4,5,6\n7,8,9', [(2, b"4|5|6"), (3, b"7|8|9")], [(1, "a stray quote")]),
        (b'"two\nlines",2,3\n"x\ny","open,3\n4,5,6\n', [(1, b"two\nlines|2|3"), (5, b"4|5|6")], [(3, "a stray quote")]),
        (b'1,2,"', [], [(1, "a stray quote")]),
        (b"\xef\xbb\xbf1,2,\xff\n", [(1, b"\xef\xbb\xbf1|2|\xff")], []),
        (b"1,2,3\n\x1a", [(1, b"1|2|3")], [(2, "1 value")]),
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 5, BLOCK_BYTES])
def test_each_record_is_found_on_the_line_where_it_begins(
    data: bytes, rows: list[tuple[int, bytes]], faults: list[tuple[int, str]], block_bytes: int
) -> None:
    found, wrong, records = read(data, block_bytes=block_bytes)
    assert [(line, b"|".join(row)) for line, row in found] == rows
    assert [(fault.line, fault.found) for fault in wrong] == faults
    assert records == len(rows) + len(faults)


def test_in_a_file_of_one_column_a_quoted_nothing_is_a_record_and_a_blank_line_is_none() -> None:
    assert read(b'x\n\n""\ny\n', width=1) == ([(1, (b"x",)), (3, (b"",)), (4, (b"y",))], [], 3)


@settings(max_examples=300, deadline=None)
@given(mangled, st.integers(1, 9))
def test_where_blocks_are_cut_changes_nothing(text: str, block_bytes: int) -> None:
    assert read(text.encode(), block_bytes=block_bytes) == read(text.encode())


@settings(max_examples=300, deadline=None)
@given(mangled)
def test_where_no_quote_is_stray_the_records_are_those_of_pythons_reader(text: str) -> None:
    rows, faults, records = read(text.encode())
    assert records == len(rows) + len(faults)
    if all(fault.expected != BROKEN_QUOTE for fault in faults):
        lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$", text)
        oracle = [tuple(value.encode() for value in row) for row in csv.reader(lines, strict=True) if len(row) == 3]
        assert [row for _, row in rows] == oracle


@pytest.mark.parametrize("block_bytes", [1 << 16, BLOCK_BYTES])
@pytest.mark.parametrize(
    ("closing", "faults", "good"), [(b"", [1], 0), (b'"', [1, 200_002], 0), (b'"\n7,8,9\n', [1, 200_002], 1)]
)
def test_a_quote_that_is_not_closed_within_a_mebibyte_spoils_its_line_alone(
    closing: bytes, faults: list[int], good: int, block_bytes: int
) -> None:
    rows, wrong, records = read(b'1,2,"open\n' + b"4,5,6\n" * 200_000 + closing, block_bytes=block_bytes)
    assert [fault.line for fault in wrong] == faults
    assert len(rows) == 200_000 + good
    assert records == len(rows) + len(wrong)


def test_a_quoted_value_of_a_mebibyte_is_read() -> None:
    value = b"x\n" * (FIELD_LIMIT // 2 - 2)
    rows, faults, _ = read(b'1,2,"' + value + b'"\n4,5,6\n')
    assert rows[0] == (1, (b"1", b"2", value))
    assert rows[1][0] == FIELD_LIMIT // 2
    assert not faults


def test_a_record_without_an_end_is_an_error() -> None:
    with pytest.raises(
        InputError, match=r"Expected records of at most 16 MiB; found a longer one that begins on line 2. Land a file"
    ):
        read(b"1,2,3\n" + b"x" * (RECORD_LIMIT + BLOCK_BYTES))


@pytest.mark.parametrize(
    ("data", "names", "delimiter", "size", "lines"),
    [
        (b"a,b\n1,2\n", ("a", "b"), ",", 4, 1),
        (b"\xef\xbb\xbf a ;b\r\n1;2", ("a", "b"), ";", 10, 1),
        (b"\n \r\na\tb,c\td\r1", ("a", "b,c", "d"), "\t", 12, 3),
        (b'"x|y"|"line\nbreak"|"say ""hi"""\n', ("x|y", "line\nbreak", 'say "hi"'), "|", 32, 2),
        ("🙂,naïve".encode(), ("🙂", "naïve"), ",", 11, 1),
        (b"alone\n1\n", ("alone",), ",", 6, 1),
        (b"a,a,\n1,2,3\n", ("a", "a", ""), ",", 5, 1),
    ],
)
def test_the_header_tells_names_and_delimiter(
    data: bytes, names: tuple[str, ...], delimiter: str, size: int, lines: int
) -> None:
    assert read_header(io.BytesIO(data)) == Header(names, delimiter, size, lines)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"i\x00d,x\n", "Expected text; found NUL bytes"),
        (b"\n \n", "Expected a header and records; found an empty file"),
        (b'a,"b\n1,2\n', "Expected a header line; found a quote that is not closed"),
        (b"a,\xe9\n1,2\n", "Expected column names in UTF-8; found another encoding"),
        (b"x" * BLOCK_BYTES, "Expected a header line; found a quote that is not closed, or no end"),
    ],
)
def test_a_header_that_cannot_be_read_is_an_error(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_header(io.BytesIO(data))


def test_a_parser_that_counts_other_records_is_an_error() -> None:
    header = Header(("a", "b"), ",", 0, 0)
    block = next(iter(scan(io.BytesIO(b"1,2\n3,4\n"), header)))
    other = type(block)(block.records, b"1,2\n", block.lines, block.faults)
    with pytest.raises(
        InputError, match="Expected 2 records from line 1 on, by their lines and quotes; found 1 by the parser"
    ):
        parse(other, header, [0])
