"""Canonical rows as the float32 matrix that a model reads.

Belongs here: the layout of the encoded columns for each family, and filling it fast: a category's Arrow dictionary is remapped, so that the
work per row is one lookup. Does not belong here: fitting anything (`schema.py`).

Layout, feature by feature; "missing" has a column of its own where training had missing values, and an unknown level is all zeros:
trees    a number: its value, NaN where missing. A category of few levels: one column a level. A category of many levels: one column,
         the level's place in the order of frequency, NaN where unknown or missing.
linear   a number: standardised, the median where missing. A category: one column a level.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from churn_model.errors import InputError, listed, problem
from churn_model.features.schema import Feature, FeatureSchema, Rows, as_numbers, column_named, derive, is_category
from churn_model.spec.dataset import Family

Encoded = npt.NDArray[np.float32]

# Rows filled at a time: the block of the row-major matrix stays in the cache while its columns are written.
_BLOCK = 8192
# Rows of a table that neighbouring categories share: with their columns, they stay in the cache.
_MOST_COMBINATIONS = 1024
# Beyond, float32 overflows; this far out only the order matters to a tree.
_LARGEST = np.float32(3e38)
# Standard deviations beyond which a linear model would follow a mistyped value anywhere.
_FURTHEST = 8.0


@dataclass(frozen=True)
class _Numbers:
    values: npt.NDArray[np.float64]
    write: Callable[[npt.NDArray[np.float64], Encoded], None]
    width: int

    def fill(self, out: Encoded, start: int, stop: int) -> None:
        self.write(self.values[start:stop], out)


@dataclass(frozen=True)
class _Categories:
    """For each row, the row of `table` that holds its columns."""

    codes: npt.NDArray[np.int32]
    table: Encoded

    @property
    def width(self) -> int:
        return int(self.table.shape[1])

    def fill(self, out: Encoded, start: int, stop: int) -> None:
        out[:] = self.table.take(self.codes[start:stop], axis=0)

    def with_next(self, after: "_Categories") -> "_Categories":
        here, there = len(self.table), len(after.table)
        table = np.hstack([self.table.repeat(there, axis=0), np.tile(after.table, (here, 1))])
        return _Categories(self.codes * np.int32(there) + after.codes, table)


def encode(rows: Rows, schema: FeatureSchema, family: Family, *, threads: int = 1) -> Encoded:
    """The rows as float32 (n, width), C-contiguous; `feature_names_of` names the feature of each column.

    Raises InputError, with all columns at once, where a required column is missing or of another kind.
    """
    _require_columns(rows, schema)
    width = sum(_width(feature, schema, family) for feature in schema.features)
    out: Encoded = np.empty((rows.num_rows, width), dtype=np.float32)

    def fill(piece: pa.RecordBatch, end: int) -> None:
        _fill(
            out[end - piece.num_rows : end],
            _joined([_part(piece, feature, schema, family) for feature in schema.features]),
        )

    pieces = _pieces(rows, threads)
    ends = np.cumsum([piece.num_rows for piece in pieces])
    if threads == 1 or len(pieces) < 2:
        for piece, end in zip(pieces, ends, strict=True):
            fill(piece, end)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(fill, pieces, ends))
    return out


def _pieces(rows: Rows, threads: int) -> list[pa.RecordBatch]:
    """The rows in pieces without a copy; where they are many, one for each thread at least."""
    table = rows if isinstance(rows, pa.Table) else pa.Table.from_batches([rows])
    pieces: list[pa.RecordBatch] = table.to_batches(max_chunksize=max(-(-rows.num_rows // threads), _BLOCK))
    return pieces


def _fill(out: Encoded, parts: Sequence["_Numbers | _Categories"]) -> None:
    with np.errstate(over="ignore"):  # what is beyond float32 becomes infinite, then the largest
        for start in range(0, len(out), _BLOCK):
            block, left = out[start : start + _BLOCK], 0
            for part in parts:
                part.fill(block[:, left : left + part.width], start, start + len(block))
                left += part.width
            np.clip(block, -_LARGEST, _LARGEST, out=block)


def _joined(parts: Iterable["_Numbers | _Categories"]) -> list["_Numbers | _Categories"]:
    """The parts, neighbouring categories as one: of all their combinations, as long as these are few, one lookup a row is left."""
    joined: list[_Numbers | _Categories] = []
    for part in parts:
        before = joined[-1] if joined else None
        if (
            isinstance(part, _Categories)
            and isinstance(before, _Categories)
            and len(before.table) * len(part.table) <= _MOST_COMBINATIONS
        ):
            joined[-1] = before.with_next(part)
        else:
            joined.append(part)
    return joined


def unknown_levels(rows: pa.RecordBatch, schema: FeatureSchema) -> Counter[str]:
    """By category, how many rows hold a value that training did not know; the model takes them for missing."""
    features = [feature for feature in schema.features if feature.kind == "category"]
    return Counter({feature.name: _unknown(column_named(rows, feature.name), feature) for feature in features})


def _unknown(column: Any, feature: Feature) -> int:
    coded = _coded(column)
    words = coded.dictionary.cast(pa.string())
    unknown = pc.and_(words.is_valid(), pc.invert(pc.is_in(words, value_set=pa.array(feature.levels, pa.string()))))
    return int(pc.sum(unknown.take(coded.indices)).as_py() or 0)


def feature_names_of(schema: FeatureSchema, family: Family) -> tuple[str, ...]:
    """For each encoded column, the name of the feature it belongs to."""
    return tuple(feature.name for feature in schema.features for _ in range(_width(feature, schema, family)))


def _one_hot(feature: Feature, schema: FeatureSchema, family: Family) -> bool:
    return feature.kind == "category" and (family == "linear" or len(feature.levels) <= schema.one_hot_limit)


def _width(feature: Feature, schema: FeatureSchema, family: Family) -> int:
    flag = int(feature.missing > 0)
    if _one_hot(feature, schema, family):
        return len(feature.levels) + flag
    return 1 + flag if family == "linear" else 1


def _part(batch: pa.RecordBatch, feature: Feature, schema: FeatureSchema, family: Family) -> _Numbers | _Categories:
    if feature.kind == "category":
        return _categories(column_named(batch, feature.name), feature, one_hot=_one_hot(feature, schema, family))
    write, width = _standardised(feature) if family == "linear" else _plain, _width(feature, schema, family)
    if feature.expression is not None:
        return _Numbers(derive(batch, feature.name, feature.expression), write, width)
    return _Numbers(as_numbers(column_named(batch, feature.name), feature.name), write, width)


def _plain(values: npt.NDArray[np.float64], out: Encoded) -> None:
    out[:, 0] = values


def _standardised(feature: Feature) -> Callable[[npt.NDArray[np.float64], Encoded], None]:
    def write(values: npt.NDArray[np.float64], out: Encoded) -> None:
        absent = np.isnan(values)
        known = np.where(absent, feature.median, values)
        out[:, 0] = np.clip((known - feature.mean) / feature.scale, -_FURTHEST, _FURTHEST)
        if out.shape[1] == 2:
            out[:, 1] = absent

    return write


def _coded(column: Any) -> Any:
    return column if pa.types.is_dictionary(column.type) else column.cast(pa.string()).dictionary_encode()


def _categories(column: Any, feature: Feature, *, one_hot: bool) -> _Categories:
    column = _coded(column)
    places = (
        pc.index_in(column.dictionary.cast(pa.string()), value_set=pa.array(feature.levels, pa.string()))
        .fill_null(-1)
        .to_numpy()
    )
    # A dictionary may itself hold a null: that is a missing value too.
    absent = np.append(column.dictionary.is_null().to_numpy(zero_copy_only=False), True)
    places = np.append(places, -1)
    codes = column.indices.fill_null(len(column.dictionary)).to_numpy().astype(np.int32, copy=False)
    if not one_hot:
        return _Categories(codes, np.where(places < 0, np.nan, places).astype(np.float32)[:, None])
    table = np.zeros((len(places), len(feature.levels) + int(feature.missing > 0)), dtype=np.float32)
    known = np.flatnonzero(places >= 0)
    table[known, places[known]] = 1
    if feature.missing > 0:
        table[absent, -1] = 1
    return _Categories(codes, table)


def _require_columns(rows: Rows, schema: FeatureSchema) -> None:
    problems = []
    for name, kind in schema.required.items():
        column = column_named(rows, name)
        if column is None:
            problems.append(
                problem(
                    expected=f"column {name} ({kind})",
                    found="no such column",
                    todo="land it: the model was trained with it",
                )
            )
        elif not pa.types.is_null(column.type) and is_category(column.type) != (kind == "category"):
            found = "a category" if is_category(column.type) else "numbers"
            problems.append(
                problem(expected=f"a {kind} in {name}, as in training", found=found, todo="correct the file or retrain")
            )
    if problems:
        raise InputError(listed(problems))
