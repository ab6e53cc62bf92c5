"""JSON Lines as chunks of columns: values exactly as written, and a reason for each line that is no plain object."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from churn_model.errors import InputError
from churn_model.ingest.canonical_rows import ingest
from churn_model.ingest.files import open_part
from churn_model.ingest.formats.base import COLUMN_LIMIT, RECORD_LIMIT, Fault, LandedFile, Part
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.label import Label

OBJECT = "one JSON object per line"
PLAIN = "text, a number, true, false or null"


def opened(folder: Path, data: bytes | str, name: str = "t.jsonl") -> Part:
    path = folder / "t"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return open_part(LandedFile(name, path))


def read(part: Part) -> tuple[list[tuple[int, tuple[Any, ...]]], list[Fault], int]:
    """Return the rows with their lines, the faults, and the number of records."""
    rows: list[tuple[int, tuple[Any, ...]]] = []
    faults: list[Fault] = []
    records = 0
    for chunk in part.chunks(range(len(part.names))):
        assert [column.type for column in chunk.columns] == [pa.string()] * len(part.names)
        values = zip(*[column.to_pylist() for column in chunk.columns], strict=True)
        rows += zip(chunk.lines.tolist(), values, strict=True)
        faults += chunk.faults
        records += chunk.records
    return rows, faults, records


@pytest.mark.parametrize("name", ["t.jsonl", "T.JSONL", "t.ndjson", "t.jsonl.gz", "t.ndjson.gz"])
def test_lines_are_records_and_keys_are_columns(tmp_path: Path, name: str) -> None:
    data = b'{"id": "a", "x": 1}\n\n{"x": 2, "id": "b", "later": null}\r\n{}'
    part = opened(tmp_path, gzip.compress(data, mtime=0) if name.endswith(".gz") else data, name)
    assert part.names == ("id", "x", "later")
    assert part.stored == (None, None, None)
    assert read(part) == ([(1, ("a", "1", None)), (3, ("b", "2", None)), (4, (None, None, None))], [], 3)


@pytest.mark.parametrize(
    ("encoding", "said"), [("utf-16", "read as UTF-16"), ("utf-16-le", "read as UTF-16, as its zero bytes suggest")]
)
def test_lines_in_utf16_are_read_and_that_is_said(tmp_path: Path, encoding: str, said: str) -> None:
    part = opened(tmp_path, '{"id": "Zoé", "x": 1}\n{"id": "b", "x": 2}\n'.encode(encoding))
    assert part.remarks == (said,)
    assert read(part) == ([(1, ("Zoé", "1")), (2, ("b", "2"))], [], 2)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ('"007"', "007"),
        ("12345678901234567890", "12345678901234567890"),
        ("1.50", "1.50"),
        ("1e400", "1e400"),
        ("-0", "-0"),
        ("true", "true"),
        ("false", "false"),
        ("null", None),
        ("NaN", None),
        ("-Infinity", "-Infinity"),
        ('""', ""),
        ('" a\\u00e9\\n"', " aé\n"),
        ('"\\ud83d\\ude00"', "😀"),
        ('"2024-05-01 10:00:00"', "2024-05-01 10:00:00"),
    ],
)
def test_a_value_keeps_the_text_that_it_is_written_with(tmp_path: Path, written: str, value: str | None) -> None:
    assert read(opened(tmp_path, f'{{"x": {written}}}')) == ([(1, (value,))], [], 1)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b'{"x": {"y": 1}}', Fault(2, PLAIN, "an object", "x")),
        (b'{" x ": 1, "x": []}', Fault(2, PLAIN, "an array", "x")),
        (b'{"x": 1, "x": 2}', Fault(2, "each key once", "one twice")),
        (b'{"x": "\xff"}', Fault(2, "text in UTF-8", "another encoding")),
        (b'{"x": "\\ud83d"}', Fault(2, "text", "half of a surrogate pair")),
        (b"[1]", Fault(2, OBJECT, "an array")),
        (b'"x"', Fault(2, OBJECT, "text or a number")),
        (b"12", Fault(2, OBJECT, "text or a number")),
        (b"null", Fault(2, OBJECT, "null")),
        (b'{"x": 1', Fault(2, OBJECT, "text that is not JSON (Expecting ',' delimiter at character 8)")),
        (b'{"x": 1} {"x": 2}', Fault(2, OBJECT, "text that is not JSON (Extra data at character 10)")),
        (b'{"x": ' + b"[" * 100_000, Fault(2, OBJECT, "one that is nested too deeply")),
    ],
    ids=lambda value: None if isinstance(value, Fault) else repr(value[:20]),
)
def test_a_line_that_is_no_plain_object_is_a_fault_and_spoils_no_other(
    tmp_path: Path, line: bytes, fault: Fault
) -> None:
    rows, faults, records = read(opened(tmp_path, b'{"x": 1}\n' + line + b'\n{"x": 3}\n'))
    assert [(number, row[0]) for number, row in rows] == [(1, "1"), (3, "3")]
    assert (faults, records) == ([fault], 3)


def test_only_the_columns_that_are_asked_for_have_to_be_plain(tmp_path: Path) -> None:
    part = opened(tmp_path, '{"id": "a", "address": {"city": "x"}}')
    assert [chunk.faults for chunk in part.chunks([0])] == [()]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b" \n\n", r"^t\.jsonl: .*records.*no keys and no values"),
        (b"{}\n", r"^t\.jsonl: .*records.*no keys and no values"),
        (b'[{"x": 1}]', r"^t\.jsonl: Expected JSON Lines; found a JSON document \(one array\)"),
        (b'{\n"x": 1\n}\n', r"^t\.jsonl: .*one JSON object per line.*not JSON .* on line 1"),
        (b"id,x\na,1\n", r"^t\.jsonl: .*one JSON object per line.*not JSON .* on line 1"),
        ("x".encode("utf-16"), r"^t\.jsonl: .*one JSON object per line.*not JSON .* on line 1"),
        (b"PAR1", r"^t\.jsonl: .*JSON Lines.*Parquet \(\.parquet\)"),
        (gzip.compress(b'{"x": 1}', mtime=0), r"^t\.jsonl: .*JSON Lines.*gzip \(\.jsonl\.gz\)"),
    ],
)
def test_a_file_without_any_object_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        opened(tmp_path, data)


def test_json_named_csv_is_recognized(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^t\.csv: .*CSV.*JSON Lines \(\.jsonl\)"):
        opened(tmp_path, b'\xef\xbb\xbf{"x": 1}\n', "t.csv")
    assert opened(tmp_path, '"{x}",y\n1,2\n', "t.csv").names == ("{x}", "y")


def test_a_record_without_end_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    data = b'{"x": 1}\n{"x": "' + b"y" * (RECORD_LIMIT + (8 << 20))
    with pytest.raises(InputError, match=r"^t\.jsonl: .*at most 16 MiB.*a longer one on line 2"):
        opened(tmp_path, data)


def test_keys_without_end_are_refused(tmp_path: Path) -> None:
    lines = "".join(f'{{"k{n}": 1}}\n' for n in range(COLUMN_LIMIT + 1))
    with pytest.raises(InputError, match=r"t\.jsonl: .*at most 10,000 columns"):
        ingest([LandedFile("t.jsonl", opened(tmp_path, lines).file.path)], SHOP, tmp_path / "out", expected=None)


def test_lines_are_numbered_through_all_blocks(tmp_path: Path) -> None:
    lines = [json.dumps({"id": str(n), "x": "é" * 600}, ensure_ascii=False) for n in range(10_000)]
    lines[9_000] = "?"
    rows, faults, records = read(opened(tmp_path, "\n".join(lines)))
    assert [number for number, _ in rows] == [n for n in range(1, 10_001) if n != 9_001]
    assert all(values == (str(number - 1), "é" * 600) for number, values in rows)
    assert ([fault.line for fault in faults], records) == ([9_001], 10_000)


SHOP = Dataset(name="shop", id="id", label=Label(column="left", positive=("yes",)))
GOOD = '{"id": "first", "left": "no", "x": 1}'
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)
objects = st.dictionaries(st.sampled_from(["id", "left", "x", "y"]), values).map(json.dumps)
lines_of_anything = st.lists(
    st.one_of(objects, objects.map(lambda text: text[:-1]), st.text(max_size=10), st.just(" "), st.just(GOOD)),
    max_size=12,
)


@given(lines=lines_of_anything)
def test_every_line_that_is_not_blank_becomes_a_row_or_a_quarantined_record(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("lines")
    text = "\n".join([GOOD, *lines])
    path = opened(folder, text.encode(errors="replace")).file.path
    counts = ingest([LandedFile("t.jsonl", path)], SHOP, folder / "out", expected={"x": "category"})
    physical = [line for line in path.read_bytes().split(b"\n") if line.strip()]
    assert counts.records == len(physical) == counts.rows + counts.quarantined
    quarantined = parquet.read_table(folder / "out" / "quarantine")
    assert quarantined.num_rows == counts.quarantined
