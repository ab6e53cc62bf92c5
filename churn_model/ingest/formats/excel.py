"""Excel workbooks (.xlsx): one sheet, read as its cells show, with two exceptions that keep a number whole.

The first row that is not empty, or the first below titles, is the header; rows without any value are no
records. A number keeps all its digits whatever its format
rounds away, and a percentage is shown as a fraction. A date shows as 2024-05-01, true as TRUE, an error as #N/A; a formula
shows the value that was stored with it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
import pyarrow as pa

from churn_model.column_types.landed import quote_value
from churn_model.errors import InputError, problem
from churn_model.ingest.formats.base import (
    BATCH_VALUES,
    LAND_AGAIN,
    NO_OPTIONS,
    Chunk,
    Fault,
    Format,
    LandedFile,
    Options,
    Write,
    file_errors,
)
from churn_model.ingest.formats.excel_cells import column_letters
from churn_model.ingest.formats.excel_workbook import (
    find_sheet,
    look_through,
    open_workbook,
    require_stored_values,
    sheet_rows,
    sheet_titles,
    visible_sheets,
)
from churn_model.ingest.formats.header_rows import (
    ALL_NAMED,
    LOOKED_AT,
    Unnamed,
    count_second_headers,
    describe_titles,
    find_header,
    find_unnamed,
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
    second: tuple[tuple[int, str], ...] = ()
    writers: Mapping[int, Write] = field(default_factory=dict)

    @property
    def passed_over(self) -> frozenset[int]:
        """Return the places of a column of row numbers and of columns that hold nothing."""
        return self.unnamed.columns

    @property
    def remarks(self) -> tuple[str, ...]:
        """Return which sheet was read, if there are others and none was named, and what was passed over."""
        others = ", ".join(map(quote_value, self.others[:10]))
        sheets = [f"sheet {quote_value(self.sheet)} read, not {others}"] if self.others else []
        return (*sheets, *describe_titles(self.titles), *describe_titles(self.second, "below"), *self.unnamed.remarks)

    @property
    def options(self) -> Options:
        """Return its sheet."""
        return Options(sheet=self.sheet)

    @property
    def stored(self) -> tuple[pa.DataType | None, ...]:
        """Return no types: each cell has its own, so values are text, as in CSV."""
        return (None,) * len(self.names)

    def rewritten(self, writers: Mapping[int, Write]) -> "ExcelPart":
        """Return the sheet with the values of columns, by their places, as text that `writers` write."""
        return replace(self, writers=writers)

    def chunks(self, wanted: Sequence[int]) -> Iterator[Chunk]:
        """Yield all records, some thousand rows at a time."""
        size = max(256, BATCH_VALUES // 8 // max(1, len(self.names)))
        with file_errors(self.file, EXCEL.name), open_workbook(self.file) as workbook:
            batch = _Batch(self, wanted)
            for number, values in sheet_rows(find_sheet(workbook, self.sheet)):
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
        self._wanted = [(part.left + n, part.writers.get(n)) for n in wanted]
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
            found = f"a value in column {column_letters(beside[0])}, which has no name"
            self._faults.append(Fault(number, "values below the names of the header alone", found))
            return
        self._lines.append(number)
        for column, (at, write) in zip(self._columns, self._wanted, strict=True):
            value = values[at] if at < len(values) else None
            column.append(value if write is None or value is None else write(value))

    def to_chunk(self) -> Chunk:
        """Return the rows as a chunk."""
        arrays = tuple(pa.array(column, pa.string()) for column in self._columns)
        return Chunk(self.records, arrays, np.array(self._lines, np.int64), tuple(self._faults))


def open_excel(file: LandedFile, options: Options = NO_OPTIONS) -> ExcelPart:
    """Check a workbook and read the header of a sheet, the first visible one unless the options name one.

    Raise InputError if the workbook is damaged, unzips to far more than it should, has no such sheet or no record, or if values of its
    formulas are not stored.
    """
    with open_workbook(file) as workbook:
        found = find_sheet(workbook, options.sheet)
        rows = list(islice(sheet_rows(found), LOOKED_AT))
        if len(rows) < 2:
            what = "a header alone" if rows else "no value"
            todo = (
                f"name another sheet ({sheet_titles(workbook)}) as `sheet` under `source` in the spec, or {LAND_AGAIN}"
            )
            raise InputError(problem(expected=f"records in sheet {found.title!r}", found=what, todo=todo))
        if look_through(file):
            require_stored_values(file, workbook, found.title)
        others = (
            () if options.sheet else tuple(one.title for one in visible_sheets(workbook) if one.title != found.title)
        )
        return _with_header(file, found.title, rows, others)


def _with_header(
    file: LandedFile, sheet: str, rows: Sequence[tuple[int, list[str | None]]], others: tuple[str, ...]
) -> ExcelPart:
    """Return the part whose header is among the first rows of a sheet."""
    texts = [[(value or "").strip() for value in values] for _, values in rows]
    first = min(at for row in texts for at, value in enumerate(row) if value)
    at = find_header([row[first:] for row in texts])
    last = at + count_second_headers([row[first:] for row in texts[at + 1 :]])
    below = texts[last + 1 :]
    named = [place for place, name in enumerate(texts[at]) if name]
    # Left of the first name there may be row numbers, as pandas writes them; elsewhere there is nothing.
    left = min(named[0], first)
    if left < named[0] - 1 or not all(row[left] for row in below):
        left = named[0]
    names = tuple(texts[at][left : named[-1] + 1])
    unnamed = find_unnamed(names, [row[left:] for row in below])
    shown = [(number, " ".join(filter(None, row))) for (number, _), row in zip(rows, texts, strict=True)]
    titles, second = tuple(shown[:at]), tuple(shown[at + 1 : last + 1])
    return ExcelPart(file, sheet, names, rows[last][0], left, unnamed, titles, others, second)


def list_sheets(file: LandedFile) -> tuple[str, ...]:
    """Return the names of the visible sheets. Raise InputError if the workbook cannot be read."""
    with file_errors(file, EXCEL.name), open_workbook(file) as workbook:
        return tuple(sheet.title for sheet in visible_sheets(workbook))


def _is_workbook(head: bytes) -> bool:
    return head.startswith(b"PK\x03\x04") and (b"xl/" in head or b"[Content_Types].xml" in head)


EXCEL = Format("Excel", (".xlsx",), _is_workbook, open_excel, list_sheets)
