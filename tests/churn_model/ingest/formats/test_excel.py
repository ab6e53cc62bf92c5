"""Workbooks as chunks of columns: cells as they show, and what is said of workbooks that cannot be read."""

import datetime
import io
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook
from openpyxl.styles import numbers

from churn_model.errors import InputError
from churn_model.ingest.files import open_part
from churn_model.ingest.formats.base import Fault, LandedFile, Options, Part
from churn_model.ingest.formats.excel import list_sheets

SHARED = Path(__file__).resolve().parents[5] / "shared" / "data" / "field"


def workbook(**sheets: Sequence[Any]) -> Workbook:
    book = Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    return book


def saved(folder: Path, book: Workbook, name: str = "t.xlsx") -> LandedFile:
    book.save(folder / "t.xlsx")
    return LandedFile(name, folder / "t.xlsx")


def read(part: Part) -> tuple[list[tuple[int, tuple[Any, ...]]], list[Fault], int]:
    """Return the rows with their numbers, the faults, and the number of records."""
    rows: list[tuple[int, tuple[Any, ...]]] = []
    faults: list[Fault] = []
    records = 0
    for chunk in part.chunks(range(len(part.names))):
        values = zip(*[column.to_pylist() for column in chunk.columns], strict=True)
        rows += zip(chunk.lines.tolist(), values, strict=True)
        faults += chunk.faults
        records += chunk.records
    return rows, faults, records


def shown(folder: Path, value: Any, number_format: str = "General") -> Any:
    book = workbook(data=[["x", "y"], [value, "end"]])
    book.worksheets[0]["A2"].number_format = number_format
    ((_, (text, _)),), _, _ = read(open_part(saved(folder, book)))
    return text


@pytest.mark.parametrize(
    ("value", "number_format", "text"),
    [
        ("007", "General", "007"),
        (" a ", "General", " a "),
        (12.0, "General", "12"),
        (12, "0.00", "12"),
        (26.0849, "0.0", "26.0849"),
        (-1.5, "General", "-1.5"),
        (1e300, "General", "1e+300"),
        (0.125, numbers.FORMAT_PERCENTAGE, "0.125"),
        (7, "00000", "00007"),
        (1234567, "00000", "1234567"),
        (True, "General", "TRUE"),
        (False, "General", "FALSE"),
        ("#N/A", "General", "#N/A"),
        (datetime.date(2024, 5, 1), "DD.MM.YYYY", "2024-05-01"),
        (datetime.datetime.fromisoformat("2024-05-01T00:00"), "yyyy-mm-dd h:mm", "2024-05-01"),
        (datetime.datetime.fromisoformat("2024-05-01T10:30"), "yyyy-mm-dd h:mm", "2024-05-01 10:30:00"),
        (datetime.time(10, 30), "h:mm", "10:30:00"),
        (datetime.timedelta(hours=26, minutes=5), "[h]:mm:ss", "26:05:00"),
        (1e9, "yyyy-mm-dd", "#VALUE!"),
        (None, "General", None),
    ],
)
def test_a_cell_is_read_as_it_shows_with_all_its_digits(
    tmp_path: Path, value: Any, number_format: str, text: str | None
) -> None:
    assert shown(tmp_path, value, number_format) == text


def test_the_first_row_with_values_is_the_header_and_empty_rows_and_columns_are_no_data(tmp_path: Path) -> None:
    rows = [[], [None, " id ", "x", None, "y", None], [None, "a", 1], [None, " "], [], [None, "b", None, 3, 4], [""]]
    part = open_part(saved(tmp_path, workbook(data=rows), "T.XLSX"))
    assert part.names == ("id", "x", "", "y")
    assert part.stored == (None,) * 4
    assert read(part) == ([(3, ("a", "1", None, None)), (6, ("b", None, "3", "4"))], [], 2)


def test_a_value_without_a_name_above_it_is_a_fault_of_its_row(tmp_path: Path) -> None:
    rows = [[None, "id", "x"], [None, "a", 1, "?"], ["!", "b", 2], [None, "c", 3], [*[None] * 30, "far"]]
    rows_read, faults, records = read(open_part(saved(tmp_path, workbook(data=rows))))
    assert rows_read == [(4, ("c", "3"))]
    assert [(fault.line, fault.found) for fault in faults] == [
        (2, "a value in column D, which has no name"),
        (3, "a value in column A, which has no name"),
        (5, "a value in column AE, which has no name"),
    ]
    assert records == 4


def test_the_first_visible_sheet_is_read_unless_another_is_named(tmp_path: Path) -> None:
    book = workbook(Hidden=[["h"], [0]], One=[["a"], [1]], **{"Two ü": [["b"], [2]]})
    book["Hidden"].sheet_state = "hidden"
    file = saved(tmp_path, book)
    assert list_sheets(file) == ("One", "Two ü")
    assert [open_part(file, Options(sheet=name)).names for name in (None, "One", " two Ü", "hidden")] == [
        ("a",),
        ("a",),
        ("b",),
        ("h",),
    ]
    with pytest.raises(InputError, match=r"^t\.xlsx: .*a sheet 'Three'.*the sheets 'Hidden', 'One', 'Two ü'"):
        open_part(file, Options(sheet="Three"))


def test_a_sheet_is_read_in_chunks_whatever_its_width(tmp_path: Path) -> None:
    book = Workbook(write_only=True)
    sheet = book.create_sheet("wide")
    sheet.append([f"c{n}" for n in range(1000)])
    for row in range(300):
        sheet.append([row, *[None] * 998, -row])
    part = open_part(saved(tmp_path, book))
    assert [chunk.records for chunk in part.chunks(range(1000))] == [256, 44]
    (line, values) = read(part)[0][-1]
    assert (line, values[0], values[-1], len(values)) == (301, "299", "-299", 1000)


def rewritten(folder: Path, old: bytes, new: bytes, member: str = "xl/worksheets/sheet1.xml") -> LandedFile:
    """A workbook of a column `x` with the value 5, one of its parts changed."""
    file = saved(folder, workbook(data=[["x"], [5]]))
    source = io.BytesIO(file.path.read_bytes())
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(file.path, "w", zipfile.ZIP_DEFLATED) as after:
        for entry in before.infolist():
            data = before.read(entry)
            assert entry.filename != member or old in data
            after.writestr(entry, data.replace(old, new) if entry.filename == member else data)
    return file


def test_a_formula_shows_its_stored_value(tmp_path: Path) -> None:
    file = rewritten(tmp_path, b"<v>5</v>", b"<f>2+3</f><v>5</v>")
    assert read(open_part(file)) == ([(2, ("5",))], [], 1)
    file = rewritten(tmp_path, b'<c r="A2" t="n"><v>5</v></c>', b'<c r="A2" t="str"><f>""</f><v></v></c><c r="B2"/>')
    with pytest.raises(InputError, match="records in sheet 'data'"):
        open_part(file)


def test_formulas_that_nobody_calculated_are_refused(tmp_path: Path) -> None:
    file = saved(tmp_path, workbook(data=[["x", "y"], [1, 2], [3, "=A2+B2"]]))
    with pytest.raises(InputError, match=r"^t\.xlsx: .*formulas with their values.*a formula without one in B3"):
        open_part(file)


def test_formulas_that_show_nothing_are_blanks(tmp_path: Path) -> None:
    old = b'<c r="A2" t="n"><v>5</v></c>'
    new = old + b'<c r="B2" t="str"><f>IF(A2=5,"","x")</f><v></v></c>'
    assert read(open_part(rewritten(tmp_path, old, new))) == ([(2, ("5",))], [], 1)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], r"records in sheet 'data'.*no value.*'data', 'other'"),
        ([["a"]], r"records in sheet 'data'.*a header alone.*'data', 'other'"),
        ([["a"], [None], [" "]], r"records in sheet 'data'.*a header alone"),
    ],
)
def test_a_sheet_without_records_is_refused_with_the_other_sheets(
    tmp_path: Path, rows: list[list[Any]], message: str
) -> None:
    with pytest.raises(InputError, match=r"^t\.xlsx: .*" + message):
        open_part(saved(tmp_path, workbook(data=rows, other=[["b"], [1]])))


def test_a_workbook_that_is_cut_off_or_damaged_is_refused(tmp_path: Path) -> None:
    file = saved(tmp_path, workbook(data=[["x"], *[[n] for n in range(2000)]]))
    data = file.path.read_bytes()
    file.path.write_bytes(data[:-100])
    with pytest.raises(InputError, match=r"^t\.xlsx: .*a whole workbook.*cut off"):
        open_part(file)
    middle = data.index(b"xl/worksheets/sheet1.xml") + 200
    file.path.write_bytes(data[:middle] + bytes(300) + data[middle + 300 :])
    with pytest.raises(InputError, match=r"^t\.xlsx: .*a whole workbook.*a part that cannot be read"):
        open_part(file)


@pytest.mark.parametrize(
    "name", ["xl/workbook.xml", "xl/worksheets/sheet1.xml", "[Content_Types].xml", "xl/styles.xml"]
)
@pytest.mark.parametrize("content", [b"", b"<x", b"<x/>", b"\xff"])
def test_a_damaged_part_is_an_error_that_names_the_file(tmp_path: Path, name: str, content: bytes) -> None:
    file = saved(tmp_path, workbook(data=[["x"], [5]]))
    source = io.BytesIO(file.path.read_bytes())
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(file.path, "w") as after:
        for entry in before.infolist():
            after.writestr(entry, content if entry.filename == name else before.read(entry))
    if (name, content) == ("xl/styles.xml", b"<x/>"):
        assert open_part(file).names == ("x",)  # no style is needed to read a plain number
        return
    with pytest.raises(InputError, match=r"^t\.xlsx: "):
        list(open_part(file).chunks([0]))


def test_a_zip_bomb_is_refused_before_it_is_unzipped(tmp_path: Path) -> None:
    file = saved(tmp_path, workbook(data=[["x"], [5]]))
    with zipfile.ZipFile(file.path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/bomb.xml", b" " * (80 << 20))
    with pytest.raises(
        InputError, match=r"^t\.xlsx: .*unzips to at most 100 times its size and 2 GiB.*80 MiB in 0\.1 MiB"
    ):
        open_part(file)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_an_xml_bomb_is_refused(tmp_path: Path, encoding: str) -> None:
    file = saved(tmp_path, workbook(data=[["x"], [5]]))
    bomb = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>'
    with zipfile.ZipFile(file.path, "a") as archive:
        archive.writestr("xl/bomb.xml", bomb.encode(encoding))
    with pytest.raises(InputError, match=r"^t\.xlsx: .*a document type definition"):
        open_part(file)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("t.xlsx", b"", r"a file of zero bytes"),
        ("t.xlsx", b"id,x\na,1\n", r"a whole workbook.*cut off or no workbook"),
        ("t.xlsx", b"\xd0\xcf\x11\xe0...", r"Excel.*an old Excel file \(\.xls\), or a workbook with a password"),
        ("t.xlsx", b"PAR1", r"Excel.*Parquet \(\.parquet\)"),
        ("t.csv", None, r"CSV.*Excel \(\.xlsx\)"),
        ("t.jsonl", None, r"JSON Lines.*Excel \(\.xlsx\)"),
        ("t.parquet", None, r"Parquet.*Excel \(\.xlsx\)"),
    ],
)
def test_a_file_with_a_wrong_name_is_told_as_what_it_is(
    tmp_path: Path, name: str, data: bytes | None, message: str
) -> None:
    file = saved(tmp_path, workbook(data=[["x"], [5]]), name)
    if data is not None:
        file.path.write_bytes(data)
    with pytest.raises(InputError, match=rf"^{name}: .*" + message):
        open_part(file)


def test_without_the_library_the_message_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = saved(tmp_path, workbook(data=[["x"], [5]]))
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(InputError, match=r"^t\.xlsx: .*openpyxl.*export the sheet as CSV"):
        open_part(file)


def test_a_public_workbook_is_read_by_its_second_sheet() -> None:
    path = SHARED / "ecommerce.xlsx"
    if not path.is_file():
        pytest.skip("needs ../shared/data/field/ecommerce.xlsx")
    file = LandedFile("ecommerce.xlsx", path)
    assert list_sheets(file) == ("Data Dict", "E Comm")
    part = open_part(file, Options(sheet="E Comm"))
    rows, faults, records = read(part)
    assert part.names[:3] == ("CustomerID", "Churn", "Tenure")
    assert (len(rows), faults, records) == (5630, [], 5630)
    assert rows[0] == (2, ("50001", "1", "4", "Mobile Phone", *rows[0][1][4:]))
