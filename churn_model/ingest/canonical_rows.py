"""From landed files to canonical rows: every physical record becomes one typed row or one quarantined record, and the two are counted.

Belongs here: the way of a record from file to row, the quarantine, the two tables that come of it. Does not belong here: reading
files (`landed`, `csv_records`), what values mean (`cells`), which columns are used (`columns`), the order of rows (`hash_order`).
"""

import hashlib
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn_model.arrays import IntArray
from churn_model.column_types.category import CATEGORY
from churn_model.column_types.landed import LandedValues, ParsedColumn, Reason, read_words
from churn_model.column_types.registry import column_type, column_types, describe_field
from churn_model.errors import InputError, listed, problem
from churn_model.ingest.columns import Columns, resolve_columns
from churn_model.ingest.files import describe_endings, open_part
from churn_model.ingest.formats.base import Chunk, LandedFile, Part
from churn_model.ingest.row_order import (
    LIMIT_BYTES,
    HashOrder,
    OccurrenceCounter,
    Repeat,
    row_hashes,
    value_ids,
)
from churn_model.ingest.values import parse_as_of, parse_ids, parse_labels, parse_opt_outs, parse_worths
from churn_model.spec.column_names import name_key, same_name
from churn_model.spec.dataset import Dataset, Kind
from churn_model.tables import TableWriter

TOP_REASONS = 20
REPEATS = ("the same record again", "another record with the same id and date")
"""The reasons that say of a record only that another has its key."""
_QUARANTINE = pa.schema([("file", pa.string()), ("line", pa.int64()), ("column", pa.string()), ("reason", pa.string())])


@dataclass(frozen=True)
class Ingested:
    """What came of the landed files: `records` (counted without the parser) = `rows` + `quarantined`.

    `kinds`: every column of `rows` but the key columns. `reasons`: the commonest reasons for quarantine and how often each held.
    `positives`: rows that left; None when scoring. `examples`: for each of `reasons` what the first such record held, and what to do.
    `missing_words`: by column, the words that were read as missing, the commonest `TOP_REASONS` of them, and how many records hold each.
    """

    records: int
    rows: int
    quarantined: int
    files: int
    kinds: dict[str, Kind]
    ignored_columns: tuple[str, ...]
    reasons: dict[str, int]
    positives: int | None
    examples: dict[str, str] = field(default_factory=dict)
    missing_words: dict[str, dict[str, int]] = field(default_factory=dict)

    def to_counts(self) -> dict[str, Any]:
        """All of it as JSON can hold it."""
        return asdict(self) | {"ignored_columns": list(self.ignored_columns)}


def ingest(
    files: Sequence[LandedFile],
    dataset: Dataset,
    out: Path,
    *,
    expected: Mapping[str, Kind] | None,
    limit_bytes: int = LIMIT_BYTES,
) -> Ingested:
    """Write the tables `out/rows` (canonical rows) and `out/quarantine` (file, line, column, reason); nothing if it raises.

    `expected` None: training; the label is required, kinds are inferred over all rows of all files unless the spec or Parquet says them.
    Given: scoring; these columns are required and have these kinds, a label is passed over, other columns are dropped and named.
    Without an id each record is a row of its own. With an id, different records may be rows of one customer; of equal records, and of those with
    one id and date, the first by file key and line stays. `limit_bytes`: rows held in memory while they are ordered.
    Raises InputError, with the problems of all files at once; at the first value of the opt-out column that is neither yes nor no.
    """
    parts = _open_parts(files, dataset.source.sheet)
    columns = resolve_columns(parts, dataset, expected)
    if columns.id is None:
        _refuse_copies(parts)
    kinds = _infer_kinds(parts, columns)
    reader = _Reader(dataset, columns, kinds)
    out.mkdir(parents=True, exist_ok=True)
    positives = 0
    with ExitStack() as undo:
        for folder in (out / "rows", out / "quarantine"):
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
        with (
            HashOrder(
                out / ".hash_order", reader.schema, several=columns.as_of is None, limit_bytes=limit_bytes
            ) as order,
            _Quarantine(out / "quarantine") as quarantine,
            TableWriter(out / "rows", reader.stored_schema, key="_hash", dictionaries=list(kinds)) as rows,
        ):
            records = sum(_take(part, n, reader, order, quarantine) for n, part in enumerate(parts))
            for ordered in order:
                rows.write(ordered.rows)
                if columns.label:
                    positives += pc.sum(ordered.rows.column("_label")).as_py() or 0
                quarantine.add_repeats(ordered.repeats, [part.file.key for part in parts])
        if records != rows.rows + quarantine.count:
            found = f"{rows.rows:,} rows and {quarantine.count:,} in quarantine"
            raise InputError(
                problem(expected=f"{records:,} records, as landed", found=found, todo="report this: a record was lost")
            )
        undo.pop_all()
    reasons = dict(sorted(quarantine.reasons.items(), key=lambda item: (-item[1], item[0]))[:TOP_REASONS])
    examples = {short: quarantine.examples[short] for short in reasons if short in quarantine.examples}
    return Ingested(
        records,
        rows.rows,
        quarantine.count,
        len(parts),
        kinds,
        columns.ignored,
        reasons,
        positives if columns.label else None,
        examples,
        {name: dict(words.most_common(TOP_REASONS)) for name, words in reader.missing_words.items()},
    )


def _open_parts(files: Sequence[LandedFile], sheet: str | None) -> list[Part]:
    """The files in key order. Raises InputError for all that cannot be used."""
    if not files:
        raise InputError(
            problem(expected="at least one file", found="none", todo=f"land a file with {describe_endings()}")
        )
    parts, problems = [], []
    for file in sorted(files, key=lambda file: file.key):
        try:
            parts.append(open_part(file, sheet=sheet))
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError(listed(problems))
    return parts


def _refuse_copies(parts: Sequence[Part]) -> None:
    """Raise InputError if a file landed twice: without an id, nothing else would tell its rows from other customers."""
    files = [part.file for part in parts]
    sizes = Counter(file.path.stat().st_size for file in files)
    first: dict[tuple[int, str], LandedFile] = {}
    for file in files:
        size = file.path.stat().st_size
        if sizes[size] == 1:
            continue
        twin = first.setdefault((size, _digest(file)), file)
        if twin is not file:
            raise InputError(
                problem(
                    expected="each file once, since without an id each row is a customer of its own",
                    found=f"{file.key}, a copy of {twin.key}",
                    todo="remove one of the two, or name the column of the id in the spec",
                )
            )


def _digest(file: LandedFile) -> str:
    with file.path.open("rb") as stream:
        return hashlib.file_digest(stream, "blake2b").hexdigest()


class _Inference:
    """Infers the type of one column from its values, over all rows of all files."""

    def __init__(self, name: str, kind: Kind | None) -> None:
        self._name = name
        self._fallback = kind or CATEGORY.name
        types = column_types() if kind is None else (column_type(kind),)
        self._counts = [count for one in types if (count := one.count()) is not None]

    def add(self, array: pa.Array) -> None:
        """Count one more chunk."""
        values = LandedValues(array)
        for count in self._counts:
            count.add(values)

    @property
    def kind(self) -> Kind:
        """The first type that recognises the values; if none does, the type that is known already, or a category."""
        return next((count.kind for count in self._counts if count.kind is not None), self._fallback)

    @property
    def problems(self) -> list[str]:
        """Why the column cannot be left as it is although no type recognises it."""
        if any(count.kind is not None for count in self._counts):
            return []
        return [text for count in self._counts if (text := count.problem(self._name))]


def _infer_kinds(parts: Sequence[Part], columns: Columns) -> dict[str, Kind]:
    """Return the type of every column. Raises InputError for columns that seem to be of a type and cannot be read as it."""
    open_columns = {name: _Inference(name, kind) for name, kind in columns.kinds.items() if name in columns.undecided}
    for part in parts if open_columns else ():
        for chunk in part.chunks(columns.positions(part, open_columns)):
            for inference, column in zip(open_columns.values(), chunk.columns, strict=True):
                inference.add(column)
    problems = [text for inference in open_columns.values() for text in inference.problems]
    if problems:
        raise InputError(listed(problems))
    return {
        name: open_columns[name].kind if name in open_columns else str(kind) for name, kind in columns.kinds.items()
    }


@dataclass(frozen=True)
class _Typed:
    """A chunk's good records as rows, the line of each, and its other records by line."""

    rows: pa.RecordBatch
    lines: IntArray
    wrong: list[tuple[int, str | None, Reason]]


class _Reader:
    """Turns chunks into rows, for one dataset and one set of columns."""

    def __init__(self, dataset: Dataset, columns: Columns, kinds: dict[str, Kind]) -> None:
        self._dataset = dataset
        self._columns = columns
        self._kinds = kinds
        self._equal = OccurrenceCounter()
        self.missing_words: dict[str, Counter[str]] = {}
        self._identity = sorted((name for name in kinds if name_key(name) not in dataset.not_features), key=str.lower)
        self.wanted = [*columns.keys, *kinds]
        fields = [("_id", pa.string()), ("_as_of", pa.date32()), ("_hash", pa.uint64()), ("_label", pa.int8())]
        absent = {"_as_of": columns.as_of is None, "_label": columns.label is None}
        keys = [field for field in fields if not absent.get(field[0])]
        self.schema = pa.schema(keys + [(name, column_type(kind).arrow_type) for name, kind in kinds.items()])
        self.stored_schema = pa.schema(keys + [describe_field(name, kind) for name, kind in kinds.items()])

    def positions(self, part: Part) -> list[int]:
        """Where a file has the columns that `typed` takes."""
        return self._columns.positions(part, self.wanted)

    def typed(self, chunk: Chunk) -> _Typed:
        """The chunk's records, each as a row or with the first reason why it is none."""
        cells = {name: self._cells(name, array) for name, array in zip(self.wanted, chunk.columns, strict=True)}
        wrong: dict[int, tuple[str | None, Reason]] = {}
        for name, column in cells.items():
            for row, reason in column.wrong.items():
                wrong.setdefault(row, (name, reason))
            if column.words:
                self.missing_words.setdefault(name, Counter()).update(column.words)
        for row in _blank_rows(list(cells.values()), len(chunk.lines)):
            wrong[row] = (None, Reason("values", "blanks alone"))
        good = np.ones(len(chunk.lines), dtype=bool)
        good[list(wrong)] = False
        listed_wrong = [(int(chunk.lines[row]), name, reason) for row, (name, reason) in wrong.items()]
        listed_wrong += [(fault.line, fault.column, Reason(fault.expected, fault.found)) for fault in chunk.faults]
        return _Typed(self._rows(cells, good), chunk.lines[good], sorted(listed_wrong, key=lambda item: item[0]))

    def require_opt_outs(self, rows: pa.RecordBatch, key: str) -> None:
        """Raise InputError where rows of a file do not say whether the customer may be contacted; `key` names the file."""
        for name in self._kinds:
            if same_name(name, self._dataset.list.opt_out or ""):
                parse_opt_outs(rows.column(name), name, key)

    def _cells(self, name: str, array: pa.Array) -> ParsedColumn:
        if name == self._columns.id:
            return parse_ids(array)
        if name == self._columns.as_of:
            return parse_as_of(array, self._dataset.as_of_format)
        if name == self._columns.label:
            return parse_labels(array, self._dataset.label)
        if same_name(name, self._dataset.costs.value_column or ""):
            return parse_worths(array)
        if same_name(name, self._dataset.list.opt_out or ""):
            return read_words(array)
        return column_type(self._kinds[name]).parse(array)

    def _rows(self, cells: dict[str, ParsedColumn], good: np.ndarray[Any, np.dtype[np.bool_]]) -> pa.RecordBatch:
        mask = pa.array(good)
        kept = {name: column.values if good.all() else column.values.filter(mask) for name, column in cells.items()}
        landed = kept[self._columns.id] if self._columns.id else None
        row_ids = landed if landed is not None else value_ids([kept[name] for name in self._identity], self._equal)
        columns = {"_id": row_ids, "_hash": pa.array(row_hashes(row_ids, self._dataset.split.seed))}
        columns |= {
            written: kept[name]
            for written, name in (("_as_of", self._columns.as_of), ("_label", self._columns.label))
            if name
        }
        columns |= {name: kept[name] for name in self._kinds}
        return pa.RecordBatch.from_arrays([columns[name] for name in self.schema.names], schema=self.schema)


def _blank_rows(columns: Sequence[ParsedColumn], count: int) -> list[int]:
    """The records that hold nothing at all."""
    blank = np.ones(count, dtype=bool)
    for column in columns:
        if not blank.any():
            return []
        blank &= column.values.is_null().to_numpy(zero_copy_only=False)
    return [
        int(row)
        for row in np.flatnonzero(blank)
        if all(column.wrong[row].found == "a blank" for column in columns if row in column.wrong)
    ]


def _take(part: Part, number: int, reader: _Reader, order: HashOrder, quarantine: "_Quarantine") -> int:
    """Reads one file to its end; the records it has."""
    records = 0
    for chunk in part.chunks(reader.positions(part)):
        typed = reader.typed(chunk)
        reader.require_opt_outs(typed.rows, part.file.key)
        order.add(typed.rows, number, typed.lines)
        for line, column, reason in typed.wrong:
            quarantine.add(part.file.key, line, column, reason)
        records += chunk.records
    return records


class _Quarantine:
    """Writes records that did not become rows, and counts their reasons without the values in them.

    Of each reason one example is kept: a count for each value found would have no end.
    """

    def __init__(self, folder: Path) -> None:
        self._writer = TableWriter(folder, _QUARANTINE)
        self._pending: list[tuple[str, int, str | None, str]] = []
        self.count = 0
        self.reasons: Counter[str] = Counter()
        self.examples: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._writer.__exit__(kind, error, trace)

    def add(self, file: str, line: int, column: str | None, reason: Reason) -> None:
        """One record that holds a wrong value or none that can be read."""
        short = (f"{column}: " if column else "") + f"expected {reason.expected}"
        if reason.found:
            self.examples.setdefault(short, reason.found + (f"; {reason.todo}" if reason.todo else ""))
        self._add(file, line, column, str(reason), short)

    def add_repeats(self, repeats: Sequence[Repeat], keys: Sequence[str]) -> None:
        """Records whose key an earlier one has."""
        for file, line, first_file, first_line, same in repeats:
            what = REPEATS[0] if same else REPEATS[1]
            self._add(
                keys[file],
                line,
                None,
                f"{what}; kept: {keys[first_file]}:{first_line}, first by file name and line",
                what,
            )

    def _add(self, file: str, line: int, column: str | None, reason: str, short: str) -> None:
        self._pending.append((file, line, column, reason))
        self.count += 1
        self.reasons[short] += 1
        if len(self._pending) == 65_536:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            columns = zip(*self._pending, strict=True)
            arrays = [pa.array(values, kind) for values, kind in zip(columns, _QUARANTINE.types, strict=True)]
            self._writer.write(pa.Table.from_arrays(arrays, schema=_QUARANTINE))
            self._pending.clear()
