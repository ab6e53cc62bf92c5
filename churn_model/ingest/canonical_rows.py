"""Turn landed files into canonical rows: every physical record becomes one typed row or one quarantined record, and both are counted.

Files are read in `formats`; `values` and the column types say what values mean, `columns` which columns are used, `type_inference` what type
each has, `row_order` in which order rows are written.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn_model.arrays import IntArray
from churn_model.column_types.date import DATE
from churn_model.column_types.interface import ColumnType
from churn_model.column_types.landed import ParsedColumn, Reason, as_mask, read_words
from churn_model.column_types.number import NUMBER
from churn_model.column_types.registry import column_type, describe_field
from churn_model.errors import InputError, listed, problem
from churn_model.ingest.columns import Columns, resolve_columns
from churn_model.ingest.files import describe_endings, file_options, open_part
from churn_model.ingest.formats.base import DateText, LandedFile, NumberText, Options, Part, Write
from churn_model.ingest.quarantine import Quarantine
from churn_model.ingest.row_order import (
    LIMIT_BYTES,
    HashOrder,
    OccurrenceCounter,
    row_hashes,
    value_ids,
)
from churn_model.ingest.small_files import Block, read_blocks
from churn_model.ingest.type_inference import infer_kinds
from churn_model.ingest.values import parse_as_of, parse_ids, parse_labels, parse_opt_outs, parse_worths
from churn_model.spec.column_names import NOT_READ, name_key, same_name
from churn_model.spec.dataset import Dataset, Kind
from churn_model.tables import TableWriter

_NATIVE = {NUMBER.name: NumberText, DATE.name: DateText}
"""What a file's own value of a type is, as its text says."""
TOP_REASONS = 20
TOTALS = ("total", "totals", "grand total", "sum", "subtotal", "summe", "gesamt", "gesamtsumme", "totale", "suma")
"""What a footer says in the place of an id."""


@dataclass(frozen=True)
class Ingested:
    """What became of the landed files: `records` (counted without the parser) = `rows` + `quarantined`.

    `kinds`: every column of `rows` but the key columns. `reasons`: the most frequent reasons for quarantine with the number of records.
    `positives`: rows that left; None when scoring. `examples`: for each of `reasons` what the first such record held, and what to do.
    `missing_words`: by column, the most frequent `TOP_REASONS` words that were read as missing, with the number of records.
    `remarks`: by file, what it does not declare and how it was read all the same.
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
    remarks: dict[str, tuple[str, ...]] = field(default_factory=dict)


def ingest(
    files: Sequence[LandedFile],
    dataset: Dataset,
    out: Path,
    *,
    expected: Mapping[str, Kind] | None,
    limit_bytes: int = LIMIT_BYTES,
) -> Ingested:
    """Write the tables `out/rows` (canonical rows) and `out/quarantine` (file, line, column, reason); nothing if it raises.

    expected     None for training: the label is required, and types are inferred over all rows of all files unless the spec or Parquet gives them.
                 Otherwise the columns that scoring requires, with their types: a label is ignored, other columns are dropped and named.
    limit_bytes  of rows that are held in memory while they are ordered

    Without an id each record is a row of its own. With an id, different records may be rows of one customer; of equal records, and of those with
    one id and date, the first by file key and line is kept. Raise InputError with the problems of all files at once, or at the first value of the
    opt-out column that is neither yes nor no.
    """
    parts = _open_parts(files, file_options(dataset))
    columns = resolve_columns(parts, dataset, expected)
    if columns.id is None:
        _refuse_copies(parts)
    reader = _Reader(dataset, columns, infer_kinds(parts, columns))
    out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as undo:
        for folder in (out / "rows", out / "quarantine"):
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
        ingested = _write_tables(parts, reader, out, limit_bytes)
        undo.pop_all()
    return ingested


def _write_tables(parts: Sequence[Part], reader: "_Reader", out: Path, limit_bytes: int) -> Ingested:
    """Write both tables. Raise InputError if not every record is in one of them."""
    columns, positives = reader.columns, 0
    order = HashOrder(out / ".hash_order", reader.schema, several=columns.as_of is None, limit_bytes=limit_bytes)
    table = TableWriter(out / "rows", reader.stored_schema, key="_hash", dictionaries=list(reader.kinds))
    with order, Quarantine(out / "quarantine") as quarantine, table as rows:
        blocks = read_blocks([part.rewritten(reader.writers(part)) for part in parts], reader.positions)
        keys = [part.file.key for part in parts]
        records = sum(_take(block, keys, reader, order, quarantine) for block in blocks)
        for ordered in order:
            rows.write(ordered.rows)
            if columns.label:
                positives += pc.sum(ordered.rows.column("_label")).as_py() or 0
            quarantine.add_repeats(ordered.repeats, keys)
    if records != rows.rows + quarantine.count:
        found = f"{rows.rows:,} rows and {quarantine.count:,} in quarantine"
        raise InputError(
            problem(expected=f"{records:,} records, as landed", found=found, todo="report this: a record was lost")
        )
    reasons = quarantine.commonest(TOP_REASONS)
    return Ingested(
        records=records,
        rows=rows.rows,
        quarantined=quarantine.count,
        files=len(parts),
        kinds=reader.kinds,
        ignored_columns=columns.ignored,
        reasons=reasons,
        positives=positives if columns.label else None,
        examples={short: quarantine.examples[short] for short in reasons if short in quarantine.examples},
        missing_words={name: dict(words.most_common(TOP_REASONS)) for name, words in reader.missing_words.items()},
        remarks={part.file.key: part.remarks for part in parts if part.remarks},
    )


def _open_parts(files: Sequence[LandedFile], options: Options) -> list[Part]:
    """Open the files, in key order. Raise InputError naming all that cannot be used."""
    if not files:
        raise InputError(
            problem(expected="at least one file", found="none", todo=f"land a file with {describe_endings()}")
        )
    parts, problems = [], []
    for file in sorted(files, key=lambda file: file.key):
        try:
            parts.append(open_part(file, options))
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


@dataclass(frozen=True)
class _Typed:
    """A block's good records as rows, the file and the line of each, and its other records by file and line."""

    rows: pa.RecordBatch
    files: IntArray
    lines: IntArray
    wrong: list[tuple[int, int, str | None, Reason]]


class _Reader:
    """Turns blocks into rows, for one dataset and one set of columns."""

    def __init__(self, dataset: Dataset, columns: Columns, kinds: dict[str, Kind]) -> None:
        self._dataset = dataset
        self.columns = columns
        self.kinds = kinds
        self._equal = OccurrenceCounter()
        self.missing_words: dict[str, Counter[str]] = {}
        self._identity = sorted((name for name in kinds if name_key(name) not in dataset.not_features), key=str.lower)
        self.wanted = [*columns.keys, *kinds]
        fields = [("_id", pa.string()), ("_as_of", pa.date32()), ("_hash", pa.uint64()), ("_label", pa.int8())]
        absent = {"_as_of": columns.as_of is None, "_label": columns.label is None}
        keys = [field for field in fields if not absent.get(field[0])]
        self.schema = pa.schema(keys + [(name, column_type(kind).arrow_type) for name, kind in kinds.items()])
        self.stored_schema = pa.schema(
            keys + [describe_field(name, kind) for name, kind in kinds.items()],
            metadata={NOT_READ: json.dumps(dict(columns.nested))} if columns.nested else None,
        )

    def positions(self, part: Part) -> list[int]:
        """Return the positions in a file of the columns that `typed` takes."""
        return self.columns.positions(part, self.wanted)

    def writers(self, part: Part) -> dict[int, Write]:
        """Return what writes the numbers and dates of a file in the format of their column's text, by the places of the columns that have one."""
        formatted = {
            name: one
            for name, kind in self.kinds.items()
            if (one := column_type(kind)).has_format and not same_name(name, self._dataset.costs.value_column or "")
        }
        places = self.columns.positions(part, formatted)
        return {at: _write_native(one) for at, one in zip(places, formatted.values(), strict=True)}

    def typed(self, block: Block) -> _Typed:
        """Return the block's records, each as a row or with the first reason why it is none."""
        cells = {name: self._cells(name, array) for name, array in zip(self.wanted, block.columns, strict=True)}
        wrong: dict[int, tuple[str | None, Reason]] = {
            row: (None, Reason("a customer", found)) for row, found in self._no_customers(cells, block).items()
        }
        for name, column in cells.items():
            for row, reason in column.wrong.items():
                wrong.setdefault(row, (name, reason))
            if column.words:
                self.missing_words.setdefault(name, Counter()).update(column.words)
        for row in _blank_rows(list(cells.values()), len(block.lines)):
            wrong[row] = (None, Reason("values", "blanks alone"))
        good = np.ones(len(block.lines), dtype=bool)
        good[list(wrong)] = False
        listed_wrong = [
            (int(block.files[row]), int(block.lines[row]), name, reason) for row, (name, reason) in wrong.items()
        ]
        listed_wrong += [
            (file, fault.line, fault.column, Reason(fault.expected, fault.found)) for file, fault in block.faults
        ]
        listed_wrong.sort(key=lambda item: item[:2])
        return _Typed(self._rows(cells, good), block.files[good], block.lines[good], listed_wrong)

    def _no_customers(self, cells: dict[str, ParsedColumn], block: Block) -> dict[int, str]:
        """Return the records whose id is that of a footer or of a header within the file, and what they are."""
        name = self.columns.id
        if name is None:
            return {}
        ids = pc.utf8_lower(cells[name].values)
        rows = np.flatnonzero(as_mask(pc.is_in(ids, pa.array([name.strip().lower(), *TOTALS]))))
        found: dict[int, str] = {}
        for row in map(int, rows):
            others = [
                array[row].as_py() for other, array in zip(self.wanted, block.columns, strict=True) if other != name
            ]
            texts = [_plain(value) for value in others]
            names = [other.strip().lower() for other in self.wanted if other != name]
            if texts == names:
                found[row] = "the header once more"
            elif ids[row].as_py() in TOTALS and 2 * texts.count("") >= len(texts):
                found[row] = "a total"
        return found

    def require_opt_outs(self, typed: _Typed, keys: Sequence[str]) -> None:
        """Raise InputError if rows do not say whether the customer may be contacted; `keys` names the files."""
        for name in self.kinds:
            if same_name(name, self._dataset.list.opt_out or ""):
                column, files = typed.rows.column(name), typed.files
                try:
                    parse_opt_outs(column, name, "these files")
                except InputError:  # its message is to name the first file that is at fault
                    for file in dict.fromkeys(files.tolist()):
                        parse_opt_outs(column.filter(pa.array(files == file)), name, keys[file])
                    raise

    def _cells(self, name: str, array: pa.Array) -> ParsedColumn:
        if name == self.columns.id:
            return parse_ids(array)
        if name == self.columns.as_of:
            return parse_as_of(array, self._dataset.as_of_format)
        if name == self.columns.label:
            return parse_labels(array, self._dataset.label)
        if same_name(name, self._dataset.costs.value_column or ""):
            return parse_worths(array)
        if same_name(name, self._dataset.list.opt_out or ""):
            return read_words(array)
        return column_type(self.kinds[name]).parse(array)

    def _rows(self, cells: dict[str, ParsedColumn], good: np.ndarray[Any, np.dtype[np.bool_]]) -> pa.RecordBatch:
        mask = pa.array(good)
        kept = {name: column.values if good.all() else column.values.filter(mask) for name, column in cells.items()}
        landed = kept[self.columns.id] if self.columns.id else None
        row_ids = landed if landed is not None else value_ids([kept[name] for name in self._identity], self._equal)
        columns = {"_id": row_ids, "_hash": pa.array(row_hashes(row_ids, self._dataset.split.seed))}
        columns |= {
            written: kept[name]
            for written, name in (("_as_of", self.columns.as_of), ("_label", self.columns.label))
            if name
        }
        columns |= {name: kept[name] for name in self.kinds}
        return pa.RecordBatch.from_arrays([columns[name] for name in self.schema.names], schema=self.schema)


def _write_native(column: ColumnType) -> Write:
    """Return what leaves text as it is, and writes a value that a file holds as a number or a date as text of a column."""
    native = _NATIVE[column.name]
    return lambda text: column.write(text) if isinstance(text, native) else text


def _plain(value: object) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else "" if value is None else str(value)
    return text.strip().lower()


def _blank_rows(columns: Sequence[ParsedColumn], count: int) -> list[int]:
    """Return the records that hold nothing at all."""
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


def _take(block: Block, keys: Sequence[str], reader: _Reader, order: HashOrder, quarantine: Quarantine) -> int:
    """Put each record of a block where it belongs. Return their number. `keys` are those of the files, by their numbers."""
    typed = reader.typed(block)
    reader.require_opt_outs(typed, keys)
    order.add(typed.rows, typed.files, typed.lines)
    for file, line, column, reason in typed.wrong:
        quarantine.add(keys[file], line, column, reason)
    return block.records
