"""Excel workbooks, opened within bounds: their sheets, and the rows of a sheet as text."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from warnings import filterwarnings
from xml.etree.ElementTree import ParseError

from churn_model.errors import InputError, problem
from churn_model.ingest.formats.base import BLOCK_BYTES, LandedFile
from churn_model.ingest.formats.excel_cells import column_letters, show_cell

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


@contextmanager
def open_workbook(file: LandedFile, *, formulas: bool = False) -> "Iterator[Workbook]":
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


def look_through(file: LandedFile) -> bool:
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


def require_stored_values(file: LandedFile, workbook: "Workbook", sheet: str) -> None:
    """Raise InputError if a formula has no stored value, as when a program wrote the workbook and nothing has calculated it."""
    with open_workbook(file, formulas=True) as written:
        pairs = zip(_cells(find_sheet(workbook, sheet)), _cells(find_sheet(written, sheet)), strict=True)
        for shown, formula in pairs:
            # An empty text is stored as such; a formula that nobody calculated has no type either.
            for value, cell in zip(shown, formula, strict=False):
                if cell.data_type == "f" and value.value is None and value.data_type != "str":
                    found = f"a formula without one in {column_letters(cell.column - 1)}{cell.row}"
                    todo = f"open the workbook in Excel and save it, or {_EXPORT}"
                    raise InputError(problem(expected="formulas with their values", found=found, todo=todo))


def visible_sheets(workbook: "Workbook") -> "list[ReadOnlyWorksheet]":
    """Return the sheets that are not hidden, in their order."""
    return [sheet for sheet in workbook.worksheets if sheet.sheet_state == "visible"]


def find_sheet(workbook: "Workbook", name: str | None) -> "ReadOnlyWorksheet":
    """Return the sheet of that name, whatever its case; without a name the first visible one."""
    if name is None:
        found = next(iter(visible_sheets(workbook)), None)
    else:
        wanted = name.strip().lower()
        found = next((each for each in workbook.worksheets if each.title.strip().lower() == wanted), None)
    if found is None:
        expected = f"a sheet {name!r}" if name else "a visible sheet"
        todo = "name one of them as `sheet` under `source` in the spec"
        raise InputError(problem(expected=expected, found=f"the sheets {sheet_titles(workbook)}", todo=todo))
    return found


def sheet_titles(workbook: "Workbook") -> str:
    """Return the names of all sheets, in quotes, for a message."""
    return ", ".join(repr(sheet.title) for sheet in workbook.worksheets) or "none"


def _cells(sheet: "ReadOnlyWorksheet") -> Iterator[tuple[Any, ...]]:
    sheet.reset_dimensions()  # what a file says of its own size is often wrong
    with _translate_damage():
        yield from sheet.iter_rows(max_row=LAST_ROW)


def sheet_rows(sheet: "ReadOnlyWorksheet") -> Iterator[tuple[int, list[str | None]]]:
    """Yield the number and the values, as text, of each row that has any."""
    for number, cells in enumerate(_cells(sheet), 1):
        values = [None if cell.value is None else show_cell(cell) for cell in cells]
        if any(value and not value.isspace() for value in values):
            yield number, values
