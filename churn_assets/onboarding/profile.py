"""Profile a table that nobody has described yet: what its columns hold, and which of them repeat others.

Only the first rows are read, by the code that reads what landed; ingest looks at every row (`churn_model.ingest.canonical_rows`).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from churn_model.arrays import FloatArray, IntArray
from churn_model.column_types.date import DateCount
from churn_model.column_types.landed import MISSING_WORDS, LandedValues, is_text, read_text
from churn_model.column_types.number import NUMBER
from churn_model.column_types.number_count import NumberCount
from churn_model.column_types.registry import column_type
from churn_model.errors import InputError, listed, problem
from churn_model.ingest.canonical_rows import TOTALS
from churn_model.ingest.columns import file_problems, nested_columns
from churn_model.ingest.files import describe_endings, find_format, list_sheets, open_part
from churn_model.ingest.formats.base import NO_OPTIONS, Fault, LandedFile, Options, Part
from churn_model.ingest.formats.csv import CsvPart
from churn_model.ingest.formats.csv_records import BROKEN_QUOTE
from churn_model.spec.column_names import name_key
from churn_model.spec.dataset import Kind
from resources.errors import CommandError

MOST_ROWS = 200_000
COMPARED_ROWS = 5_000
LONGEST_NAME = 200
CORRELATION = 0.999
MOSTLY = 0.95
"""Share of the known values from which a column counts as numbers with some mistyped ones, as it does for ingest."""

Holds = Literal["number", "date", "text"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_OTHER_DATE = re.compile(
    r"(?:\d{1,2}([./-])\d{1,2}\1(?:\d{4}|\d{2})|\d{4}([./])\d{1,2}\2\d{1,2})(?:[T ,]+\d{1,2}:[\d:.]+(?: ?[AaPp][Mm])?)?"
)
_DATE = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])(?:[T ][\d:.+Z-]*)?")


@dataclass(frozen=True)
class ColumnProfile:
    """A column. `codes` (n,) number its distinct values, -1 is missing; `numbers` (n,) are float64, NaN if the value is no number."""

    name: str
    holds: Holds
    rows: int
    values: tuple[str, ...] = field(repr=False)  # each distinct one, by its code
    counts: IntArray = field(repr=False)
    codes: IntArray = field(repr=False)
    numbers: FloatArray = field(repr=False)

    @property
    def known(self) -> int:
        """Return the number of rows with a value."""
        return int(self.counts.sum())

    @property
    def distinct(self) -> int:
        """Return the number of distinct values."""
        return len(self.values)

    @property
    def not_numbers(self) -> int:
        """Return the number of rows with a value that is no number."""
        return int(((self.codes >= 0) & np.isnan(self.numbers)).sum())

    @property
    def own_share(self) -> float:
        """Return the distinct values as a share of the known ones: 1 if each row has its own."""
        return self.distinct / self.known if self.known else 0.0

    @property
    def whole_numbers(self) -> bool:
        """Return whether all values are written as whole numbers; a footer's word in the place of an id is none of them."""
        values = [value for value in self.values if value.lower() not in TOTALS]
        return bool(values) and all(re.fullmatch(r"[+-]?\d+(?:\.0)?", value) for value in values)

    @property
    def decimal_commas(self) -> bool:
        """Return whether the values are numbers in no one format."""
        if self.holds != "text":
            return False
        count = NumberCount()
        count.add(LandedValues(pa.array(self.values, pa.string()).take(pa.array(self.codes[self.codes >= 0]))))
        return count.problem(self.name) is not None

    @property
    def other_dates(self) -> bool:
        """Return whether the values look like dates that are not written in ISO format, such as 24.11.2022."""
        return self.holds == "text" and self._mostly(lambda value: _OTHER_DATE.fullmatch(value) is not None)

    @cached_property
    def date_kind(self) -> Kind | None:
        """The date type as ingest recognises it, with its format; None if the values are no dates, or two formats read them."""
        if self.holds == "number":
            return None
        count = DateCount()
        texts = pa.array(self.values, pa.string())
        count.add(LandedValues(texts.take(pa.array(self.codes[self.codes >= 0]))))
        return count.kind

    def _mostly(self, holds: Callable[[str], bool]) -> bool:
        rows = sum(int(count) for value, count in zip(self.values, self.counts, strict=True) if holds(value))
        return rows > 0 and rows >= MOSTLY * self.known

    @property
    def words(self) -> str:
        """Return the name in words: `CustomerID`, `customer_id` and `customer-id` as `customer id`."""
        return re.sub(r"[\W_]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", self.name)).strip().lower()

    @property
    def counts_rows(self) -> bool:
        """Return whether the values rise, or fall, with every row as serial numbers do."""
        if self.holds != "number" or not self.whole_numbers or self.known < self.rows or self.own_share < 1:
            return False
        steps = np.diff(self.numbers)
        return bool((steps > 0).all() or (steps < 0).all())


@dataclass(frozen=True)
class Table:
    """The first rows of a file."""

    rows: int
    whole: bool  # no row was left out
    columns: tuple[ColumnProfile, ...]
    faults: tuple[Fault, ...] = ()  # the records that cannot be read
    options: Options = NO_OPTIONS  # how it was read, named or found
    remarks: tuple[str, ...] = ()
    nested: tuple[tuple[str, str], ...] = ()  # columns that have no plain values, and what they hold
    sheets: tuple[str, ...] = ()

    def column(self, name: str) -> ColumnProfile:
        """Return the column of that name, whatever its case. Raise CommandError if there is none."""
        for column in self.columns:
            if name_key(column.name) == name_key(name):
                return column
        names = ", ".join(column.name[:40] for column in self.columns[:20])
        raise CommandError(problem(expected=f"a column {name!r}", found=f"columns {names}", todo="name one of them"))


def profile_file(file: Path, options: Options = NO_OPTIONS) -> Table:
    """Profile the first 200,000 rows of a file that could be landed; of a workbook the fullest sheet, unless one is named.

    Raise CommandError if it does not exist or its name has no ending of a known format; InputError, in the words of landing, if it cannot
    be used as a whole.
    """
    if not file.is_file():
        raise CommandError(problem(expected=f"a file {file.name}", found="none", todo="correct the path"))
    if find_format(file.name) is None:
        raise CommandError(problem(expected=describe_endings(), found=file.name[-40:], todo="convert the file"))
    landed = LandedFile(file.name, file)
    sheets = list_sheets(landed)
    if options.sheet is None and len(sheets) > 1:
        options = replace(options, sheet=_fullest_sheet(landed, sheets))
    part = _open(landed, options)
    problems = file_problems(part) + [f"{file.name}: {text}" for text in _long_names(part.names)]
    if problems:
        raise InputError(listed(problems))
    first = _first_rows(part)
    columns = tuple(profile_column(name, column) for name, column in zip(first.names, first.columns, strict=True))
    rows = columns[0].rows
    if rows == 0:
        fault = first.faults[0]
        found = f"{fault.found} on line {fault.line}"
        raise InputError(f"{file.name}: {problem(expected=fault.expected, found=found, todo='export it again')}")
    kinds = nested_columns(part)
    nested = tuple((name, kinds[name_key(name)]) for name in part.names if name_key(name) in kinds)
    read = part.options if len(sheets) != 1 or options.sheet else replace(part.options, sheet=None)
    return Table(rows, first.whole, columns, first.faults, read, part.remarks, nested, sheets)


def _open(file: LandedFile, options: Options) -> Part:
    """Open a file, with backslashes before quotes if more of its first records can be read so."""
    part = open_part(file, options)
    if isinstance(part, CsvPart) and not part.backslash and any(one.expected == BROKEN_QUOTE for one in _faults(part)):
        other = open_part(file, replace(options, backslash=True))
        if len(_faults(other)) < len(_faults(part)):
            return other
    return part


def _faults(part: Part) -> tuple[Fault, ...]:
    return next((chunk.faults for chunk in part.chunks([0])), ())


def _fullest_sheet(file: LandedFile, sheets: tuple[str, ...]) -> str:
    """Return the sheet with the most values among those that can be read as a table: a data dictionary has fewer than the data."""
    sizes: dict[str, int] = {}
    for sheet in sheets:
        try:
            part = open_part(file, Options(sheet=sheet))
        except InputError:
            continue
        if not file_problems(part):
            rows = next((len(chunk.lines) for chunk in part.chunks([0])), 0)
            sizes[sheet] = rows * len(part.names)
    return max(sizes, key=lambda sheet: sizes[sheet], default=sheets[0])


@dataclass(frozen=True)
class _FirstRows:
    """The first rows of a file by column, the records among them that cannot be read, and whether that is the whole file."""

    names: tuple[str, ...]
    columns: list[Any]
    faults: tuple[Fault, ...]
    whole: bool


def _first_rows(part: Part) -> _FirstRows:
    nested = nested_columns(part)
    places = [at for at, name in enumerate(part.names) if name and name_key(name) not in nested]
    pieces: list[list[Any]] = [[] for _ in places]
    faults: list[Fault] = []
    rows = 0
    for chunk in part.chunks(places):
        for piece, values in zip(pieces, chunk.columns, strict=True):
            piece.append(values)
        faults += chunk.faults
        rows += len(chunk.lines)
        if rows > MOST_ROWS:
            break
    columns = [pa.chunked_array(piece).slice(0, MOST_ROWS) for piece in pieces]
    return _FirstRows(tuple(part.names[at] for at in places), columns, tuple(faults), rows <= MOST_ROWS)


def _long_names(names: tuple[str, ...]) -> list[str]:
    """Return a problem for each name that no line of a spec can hold."""
    return [
        problem(
            expected=f"names of at most {LONGEST_NAME} characters on one line",
            found=repr(name[:40]),
            todo="rename the column in the file",
        )
        for name in names
        if len(name) > LONGEST_NAME or _CONTROL.search(name)
    ]


def _encode(column: Any) -> tuple[list[str], Any]:
    """Return the distinct texts of a column, and for each row the index of its own."""
    array = column.combine_chunks()
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    array = array.cast(pa.binary()) if is_text(array.type) else read_text(array).values
    encoded = array.dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    # Bytes that are not UTF-8 are replaced; ingest quarantines their rows.
    return [text.decode(errors="replace") if isinstance(text, bytes) else text for text in texts], encoded.indices


def profile_column(name: str, column: Any) -> ColumnProfile:
    """Return what an Arrow column of landed values holds."""
    texts, indices = _encode(column)
    trimmed = [(text or "").strip() for text in texts]
    count = NumberCount()
    count.add(LandedValues(pa.array(trimmed, pa.string()).take(indices)))
    read = (
        column_type(count.kind or NUMBER.name)
        .parse(pa.array(trimmed, pa.string()))
        .values.to_numpy(zero_copy_only=False)
    )
    raw = np.asarray(indices.fill_null(len(texts)).to_numpy(zero_copy_only=False), dtype=np.int64)
    rows = np.bincount(raw, minlength=len(texts) + 1)[: len(texts)]
    holds = _infer_holds(trimmed, rows, read)
    # As in ingest, `NA` and the like are missing among numbers; among texts only a blank is.
    missing = MISSING_WORDS if holds == "number" else ("",)
    places: dict[str, int] = {}
    to_code = np.full(len(texts) + 1, -1, dtype=np.int64)
    for at, text in enumerate(trimmed):
        if text.lower() not in missing:
            to_code[at] = places.setdefault(text, len(places))
    codes = to_code[raw]
    counts = np.bincount(codes[codes >= 0], minlength=len(places)).astype(np.int64)
    numbers = np.append(read, np.nan)[raw]
    return ColumnProfile(name, holds, len(codes), tuple(places), counts, codes, numbers)


def _infer_holds(texts: list[str], rows: IntArray, read: FloatArray) -> Holds:
    """Return number or date if nearly all known values are of that kind; `rows` counts the rows of each text."""
    present = np.array([text.lower() not in MISSING_WORDS for text in texts], dtype=bool)
    total = rows[present].sum()
    if not total:
        return "text"
    if rows[~np.isnan(read)].sum() >= MOSTLY * total:
        return "number"
    dates = np.array([_DATE.fullmatch(text) is not None for text in texts], dtype=bool)
    return "date" if rows[dates].sum() >= MOSTLY * total else "text"


def find_duplicate_columns(columns: tuple[ColumnProfile, ...]) -> Iterator[tuple[ColumnProfile, ColumnProfile, str]]:
    """Yield each column that repeats an earlier one, that one, and how: the same up to renaming, or numbers that are correlated."""
    taken: set[str] = set()
    for at, later in enumerate(columns):
        for earlier in columns[:at]:
            if earlier.name not in taken and later.distinct > 1 and earlier.distinct > 1:
                how = _describe_correlation(earlier, later) or (
                    "the same up to renaming" if _are_renamed(earlier, later) else ""
                )
                if how:
                    taken.add(later.name)
                    yield later, earlier, how
                    break


def _are_renamed(a: ColumnProfile, b: ColumnProfile) -> bool:
    first, second = a.codes[:COMPARED_ROWS], b.codes[:COMPARED_ROWS]
    # With nearly as many values as rows, any two columns would be equal up to renaming.
    if a.distinct != b.distinct or a.own_share > 0.5:
        return False
    pairs = len(np.unique((first + 1) * (b.distinct + 1) + second + 1))
    return pairs == len(np.unique(first)) == len(np.unique(second))


def _describe_correlation(a: ColumnProfile, b: ColumnProfile) -> str:
    if a.holds != "number" or b.holds != "number":
        return ""
    x, y = a.numbers[:COMPARED_ROWS], b.numbers[:COMPARED_ROWS]
    both = ~np.isnan(x) & ~np.isnan(y)
    if both.sum() < max(10, 0.9 * max((~np.isnan(x)).sum(), (~np.isnan(y)).sum())):
        return ""
    x, y = x[both], y[both]
    # Scaled first, so that huge values do not overflow their squares.
    x, y = x / (np.abs(x).max() or 1.0), y / (np.abs(y).max() or 1.0)
    if x.std() < 1e-12 or y.std() < 1e-12:
        return ""
    r = float(np.corrcoef(x, y)[0, 1])
    return f"correlation {r:.4f}" if abs(r) > CORRELATION else ""


def to_canonical(column: ColumnProfile, rows: IntArray) -> Any:
    """Return the values of a column at `rows` as canonical rows hold them: numbers, dates, or a dictionary of texts."""
    if column.holds == "number":
        return pa.array(column.numbers[rows], pa.float64(), from_pandas=True)
    codes = pa.array(column.codes[rows], pa.int32(), mask=column.codes[rows] < 0)
    texts = pa.array(column.values, pa.string())
    if column.date_kind is not None:
        return column_type(column.date_kind).parse(texts).values.take(codes)
    return pa.DictionaryArray.from_arrays(codes, texts)
