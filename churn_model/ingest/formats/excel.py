"""Excel workbooks (.xlsx): one sheet, read as its cells show, with two exceptions that keep a number whole.

The first row that is not empty, or the first below titles, is the header; rows without any value are no
records. A number keeps all its digits whatever its format
rounds away, and a percentage is shown as a fraction. A date shows as 2024-05-01, true as TRUE, an error as #N/A; a formula
shows the value that was stored with it.
"""

import datetime
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any
from warnings import filterwarnings
from xml.etree.ElementTree import ParseError

import numpy as np
import pyarrow as pa

from churn_model.column_types.landed import quote_value
from churn_model.errors import InputError, problem
from churn_model.ingest.formats.base import (
    BATCH_VALUES,
    BLOCK_BYTES,
    LAND_AGAIN,
    NO_OPTIONS,
    Chunk,
    Fault,
    Format,
    LandedFile,
    Options,
    file_errors,
)
from churn_model.ingest.formats.header_rows import (
    ALL_NAMED,
    LOOKED_AT,
    Unnamed,
    describe_titles,
    find_header,
    find_unnamed,
)

if TYPE_CHECKING:
    from openpyxl.workbook import Workbook
    from openpyxl.worksheet._read_only import ReadOnlyWorksheet

LAST_ROW = 1_048_576
UNZIPPED_LIMIT = 2 << 30
ZIP_RATIO_LIMIT = 100
_SMALL = 64 << 20
_EXPORT = "export the sheet as CSV"
_DOCTYPES = tuple("<!DOCTYPE".encode(encoding) for encoding in ("utf-8", "utf-16-le", "utf-16-be"))
_FORMULAS = (b"<f>", b"<f ", b":f>", b":f ", b"<f/>")
_OVERLAP = 32
_ZERO_PADDED = re.compile("0{2,}")
# What the library raises for a workbook whose parts are missing, cut off or contradict each other.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    ParseError,
    EOFError,
    KeyError,
    IndexError,
    ValueError,
    TypeError,
    AttributeError,
    NotImplementedError,
    RuntimeError,
)


@dataclass(frozen=True)
class ExcelPart:
    """A sheet of a workbook. `names` are the values of its header row; the first of them is in the column numbered `left`, from 0."""

    file: LandedFile
    sheet: str
    names: tuple[str, ...]
    header_row: int
    left: int
    unnamed: Unnamed = ALL_NAMED
    titles: tuple[tuple[int, str], ...] = ()
    others: tuple[str, ...] = ()

    @property
    def passed_over(self) -> frozenset[int]:
        """Return the places of a column of row numbers and of columns that hold nothing."""
        return self.unnamed.columns

    @property
    def remarks(self) -> tuple[str, ...]:
        """Return which sheet was read, if there are others and none was named, and what was passed over."""
        others = ", ".join(map(quote_value, self.others[:10]))
        sheets = [f"sheet {quote_value(self.sheet)} read, not {others}"] if self.others else []
        return (*sheets, *describe_titles(self.titles), *self.unnamed.remarks)

    @property
    def options(self) -> Options:
        """Return its sheet."""
        return Options(sheet=self.sheet)

    @property
    def stored(self) -> tuple[pa.DataType | None, ...]:
        """Return no types: each cell has its own, so values are text, as in CSV."""
        return (None,) * len(self.names)

    def chunks(self, wanted: Sequence[int]) -> Iterator[Chunk]:
        """Yield all records, some thousand rows at a time."""
        size = max(256, BATCH_VALUES // 8 // max(1, len(self.names)))
        with file_errors(self.file, EXCEL.name), _open_workbook(self.file) as workbook:
            batch = _Batch(self, wanted)
            for number, values in _rows(_find_sheet(workbook, self.sheet)):
                if number > self.header_row:
                    batch.add(number, values)
                if batch.records == size:
                    yield batch.to_chunk()
                    batch = _Batch(self, wanted)
            if batch.records:
                yield batch.to_chunk()


class _Batch:
    """Rows of a sheet on their way to a chunk."""

    def __init__(self, part: ExcelPart, wanted: Sequence[int]) -> None:
        self._begin, self._end = part.left, part.left + len(part.names)
        self._blank = frozenset(part.left + n for n in part.unnamed.blank)
        self._wanted = [part.left + n for n in wanted]
        self._columns: list[list[str | None]] = [[] for _ in wanted]
        self._lines: list[int] = []
        self._faults: list[Fault] = []

    @property
    def records(self) -> int:
        """Return the number of records so far."""
        return len(self._lines) + len(self._faults)

    def add(self, number: int, values: list[str | None]) -> None:
        """Add a row that is not empty."""
        beside = [
            at
            for at, value in enumerate(values)
            if value and not value.isspace() and (not self._begin <= at < self._end or at in self._blank)
        ]
        if beside:
            found = f"a value in column {_letters(beside[0])}, which has no name"
            self._faults.append(Fault(number, "values below the names of the header alone", found))
            return
        self._lines.append(number)
        for column, at in zip(self._columns, self._wanted, strict=True):
            column.append(values[at] if at < len(values) else None)

    def to_chunk(self) -> Chunk:
        """Return the rows as a chunk."""
        arrays = tuple(pa.array(column, pa.string()) for column in self._columns)
        return Chunk(self.records, arrays, np.array(self._lines, np.int64), tuple(self._faults))


def open_excel(file: LandedFile, options: Options = NO_OPTIONS) -> ExcelPart:
    """Check a workbook and read the header of a sheet, the first visible one unless the options name one.

    Raise InputError if the workbook is damaged, unzips to far more than it should, has no such sheet or no record, or if values of its
    formulas are not stored.
    """
    with _open_workbook(file) as workbook:
        found = _find_sheet(workbook, options.sheet)
        rows = list(islice(_rows(found), LOOKED_AT))
        if len(rows) < 2:
            what = "a header alone" if rows else "no value"
            todo = f"name another sheet ({_titles(workbook)}) as `sheet` under `source` in the spec, or {LAND_AGAIN}"
            raise InputError(problem(expected=f"records in sheet {found.title!r}", found=what, todo=todo))
        if _look_through(file):
            _require_stored_values(file, workbook, found.title)
        others = () if options.sheet else tuple(one.title for one in _visible(workbook) if one.title != found.title)
        return _with_header(file, found.title, rows, others)


def _with_header(
    file: LandedFile, sheet: str, rows: Sequence[tuple[int, list[str | None]]], others: tuple[str, ...]
) -> ExcelPart:
    """Return the part whose header is among the first rows of a sheet."""
    texts = [[(value or "").strip() for value in values] for _, values in rows]
    first = min(at for row in texts for at, value in enumerate(row) if value)
    at = find_header([row[first:] for row in texts])
    named = [place for place, name in enumerate(texts[at]) if name]
    # Left of the first name there may be row numbers, as pandas writes them; elsewhere there is nothing.
    left = min(named[0], first)
    if left < named[0] - 1 or not all(row[left] for row in texts[at + 1 :]):
        left = named[0]
    names = tuple(texts[at][left : named[-1] + 1])
    unnamed = find_unnamed(names, [row[left:] for row in texts[at + 1 :]])
    titles = tuple((number, " ".join(filter(None, row))) for (number, _), row in zip(rows[:at], texts, strict=False))
    return ExcelPart(file, sheet, names, rows[at][0], left, unnamed, titles, others)


def list_sheets(file: LandedFile) -> tuple[str, ...]:
    """Return the names of the visible sheets. Raise InputError if the workbook cannot be read."""
    with file_errors(file, EXCEL.name), _open_workbook(file) as workbook:
        return tuple(sheet.title for sheet in _visible(workbook))


@contextmanager
def _open_workbook(file: LandedFile, *, formulas: bool = False) -> "Iterator[Workbook]":
    """Open a workbook for reading row by row, with the values of its formulas or the formulas themselves."""
    try:
        from openpyxl import load_workbook  # noqa: PLC0415  # half a second that only a workbook costs
    except ImportError as error:
        todo = f"install openpyxl where this step runs, or {_EXPORT}"
        raise InputError(
            problem(expected="openpyxl, which reads workbooks", found="no such library", todo=todo)
        ) from error
    _require_bounded_size(file)
    # It warns of features that no value depends on, and of dates beyond the calendar, which show as #VALUE!.
    filterwarnings("ignore", module=r"openpyxl\.")
    with file.path.open("rb") as stream:
        with _translate_damage():
            workbook = load_workbook(stream, read_only=True, data_only=not formulas, keep_links=False)
        try:
            yield workbook
        finally:
            workbook.close()


@contextmanager
def _translate_damage() -> Iterator[None]:
    """Turn what the library raises for a damaged workbook into an InputError."""
    try:
        yield
    except _DAMAGED as error:
        found = f"a part that cannot be read ({type(error).__name__})"
        todo = "open it in Excel, save it again and land it"
        raise InputError(problem(expected="a whole workbook", found=found, todo=todo)) from error


def _require_bounded_size(file: LandedFile) -> None:
    """Raise InputError if a workbook would unzip to far more than workbooks do, before any of it is unzipped."""
    try:
        with zipfile.ZipFile(file.path) as archive:
            unzipped = sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile as error:
        text = problem(expected="a whole workbook", found="one that is cut off or no workbook", todo="land it again")
        raise InputError(text) from error
    zipped = file.path.stat().st_size
    if unzipped > UNZIPPED_LIMIT or (unzipped > _SMALL and unzipped > ZIP_RATIO_LIMIT * zipped):
        expected = f"a workbook that unzips to at most {ZIP_RATIO_LIMIT} times its size and {UNZIPPED_LIMIT >> 30} GiB"
        found = f"{unzipped / (1 << 20):,.0f} MiB in {zipped / (1 << 20):,.1f} MiB"
        raise InputError(problem(expected=expected, found=found, todo=_EXPORT))


def _look_through(file: LandedFile) -> bool:
    """Unzip a workbook once, so that damage is found before any file is used. Return whether a sheet has formulas.

    Raise InputError for a document type definition, which no workbook has and which may unfold without end.
    """
    formulas = False
    with _translate_damage(), zipfile.ZipFile(file.path) as archive:
        for entry in archive.infolist():
            with archive.open(entry) as stream:
                tail = b""
                while block := stream.read(BLOCK_BYTES):
                    text = tail + block
                    if any(mark in text for mark in _DOCTYPES):
                        todo = "save it again in Excel, or " + _EXPORT
                        raise InputError(problem(expected="a workbook", found="a document type definition", todo=todo))
                    formulas = formulas or ("worksheets/" in entry.filename and any(mark in text for mark in _FORMULAS))
                    tail = text[-_OVERLAP:]
    return formulas


def _require_stored_values(file: LandedFile, workbook: "Workbook", sheet: str) -> None:
    """Raise InputError if a formula has no stored value, as when a program wrote the workbook and nothing has calculated it."""
    with _open_workbook(file, formulas=True) as written:
        pairs = zip(_cells(_find_sheet(workbook, sheet)), _cells(_find_sheet(written, sheet)), strict=True)
        for shown, formula in pairs:
            # An empty text is stored as such; a formula that nobody calculated has no type either.
            for value, cell in zip(shown, formula, strict=False):
                if cell.data_type == "f" and value.value is None and value.data_type != "str":
                    found = f"a formula without one in {_letters(cell.column - 1)}{cell.row}"
                    todo = f"open the workbook in Excel and save it, or {_EXPORT}"
                    raise InputError(problem(expected="formulas with their values", found=found, todo=todo))


def _visible(workbook: "Workbook") -> "list[ReadOnlyWorksheet]":
    return [sheet for sheet in workbook.worksheets if sheet.sheet_state == "visible"]


def _find_sheet(workbook: "Workbook", name: str | None) -> "ReadOnlyWorksheet":
    """Return the sheet of that name, whatever its case; without a name the first visible one."""
    if name is None:
        found = next(iter(_visible(workbook)), None)
    else:
        wanted = name.strip().lower()
        found = next((each for each in workbook.worksheets if each.title.strip().lower() == wanted), None)
    if found is None:
        expected = f"a sheet {name!r}" if name else "a visible sheet"
        todo = "name one of them as `sheet` under `source` in the spec"
        raise InputError(problem(expected=expected, found=f"the sheets {_titles(workbook)}", todo=todo))
    return found


def _titles(workbook: "Workbook") -> str:
    return ", ".join(repr(sheet.title) for sheet in workbook.worksheets) or "none"


def _cells(sheet: "ReadOnlyWorksheet") -> Iterator[tuple[Any, ...]]:
    sheet.reset_dimensions()  # what a file says of its own size is often wrong
    with _translate_damage():
        yield from sheet.iter_rows(max_row=LAST_ROW)


def _rows(sheet: "ReadOnlyWorksheet") -> Iterator[tuple[int, list[str | None]]]:
    """Yield the number and the values, as text, of each row that has any."""
    for number, cells in enumerate(_cells(sheet), 1):
        values = [None if cell.value is None else _show(cell) for cell in cells]
        if any(value and not value.isspace() for value in values):
            yield number, values


def _show(cell: Any) -> str:
    """Return the value of a cell as text."""
    value = cell.value
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        return _show_number(value, cell.number_format)
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time() else value.isoformat(" ")
    if isinstance(value, datetime.timedelta):
        minutes, seconds = divmod(round(value.total_seconds()), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
    return value.isoformat() if isinstance(value, datetime.date | datetime.time) else str(value)


def _show_number(value: float, number_format: str) -> str:
    """Return a number with all its digits, and with the zeros before it if its format is 00000."""
    if isinstance(value, float) and not (value.is_integer() and abs(value) < 2**53):
        return repr(value)
    padded = _ZERO_PADDED.fullmatch(number_format)
    return f"{int(value):0{len(number_format) if padded else 1}}"


def _letters(column: int) -> str:
    """Return the letters of a column numbered from 0: A, B, ... Z, AA."""
    letters = ""
    column += 1
    while column:
        column, letter = divmod(column - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return letters


def _is_workbook(head: bytes) -> bool:
    return head.startswith(b"PK\x03\x04") and (b"xl/" in head or b"[Content_Types].xml" in head)


EXCEL = Format("Excel", (".xlsx",), _is_workbook, open_excel, list_sheets)
