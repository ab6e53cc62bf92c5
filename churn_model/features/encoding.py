"""Canonical rows as the float32 matrix that a model reads.

Each column type lays out the columns of its features and says how they are written (`column_types`); this module fills the matrix, fast.
"Missing" has a column of its own if training had missing values and the layout is one-hot or linear.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa

from churn_model.column_types.parts import Encoded, EncodedPart, LookupPart
from churn_model.column_types.registry import column_type, type_of
from churn_model.errors import InputError, listed, problem
from churn_model.features.schema import FeatureSchema, Rows, column_named, values_of
from churn_model.spec.column_names import AS_OF
from churn_model.spec.sections.search import Family

__all__ = ["Encoded", "encode", "feature_names_of", "unknown_levels"]

# Rows filled at a time: the block of the row-major matrix stays in the cache while its columns are written.
_BLOCK = 4096
# Rows of a table that neighbouring lookups share: with their columns, they stay in the cache.
_MOST_COMBINATIONS = 1024


def encode(rows: Rows, schema: FeatureSchema, family: Family, *, threads: int = 1) -> Encoded:
    """Return the rows as float32 (n, width), C-contiguous; `feature_names_of` names the feature of each column.

    Raises InputError, with all columns at once, if a required column is missing or of another type.
    """
    _require_columns(rows, schema)
    layout = schema.layout(family)
    types = [column_type(feature.kind) for feature in schema.features]
    width = sum(one.width(feature, layout) for one, feature in zip(types, schema.features, strict=True))
    out: Encoded = np.empty((rows.num_rows, width), dtype=np.float32)

    def fill(piece: pa.RecordBatch, end: int) -> None:
        as_of = column_named(piece, AS_OF)
        parts = [
            one.encode(values_of(piece, feature), feature, layout, as_of)
            for one, feature in zip(types, schema.features, strict=True)
        ]
        _fill(out[end - piece.num_rows : end], _join(parts))

    pieces = _slice_pieces(rows, threads)
    ends = np.cumsum([piece.num_rows for piece in pieces])
    if threads == 1 or len(pieces) < 2:
        for piece, end in zip(pieces, ends, strict=True):
            fill(piece, end)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(fill, pieces, ends))
    return out


def _slice_pieces(rows: Rows, threads: int) -> list[pa.RecordBatch]:
    """Return the rows in pieces without a copy; if they are many, at least one for each thread."""
    table = rows if isinstance(rows, pa.Table) else pa.Table.from_batches([rows])
    pieces: list[pa.RecordBatch] = table.to_batches(max_chunksize=max(-(-rows.num_rows // threads), _BLOCK))
    return pieces


def _fill(out: Encoded, parts: Sequence[EncodedPart]) -> None:
    for start in range(0, len(out), _BLOCK):
        block, left = out[start : start + _BLOCK], 0
        for part in parts:
            part.fill(block[:, left : left + part.width], start, start + len(block))
            left += part.width


def _join(parts: Iterable[EncodedPart]) -> list[EncodedPart]:
    """Join neighbouring lookups as long as their combinations are few: one lookup per row is left for them."""
    joined: list[EncodedPart] = []
    for part in parts:
        before = joined[-1] if joined else None
        if (
            isinstance(part, LookupPart)
            and isinstance(before, LookupPart)
            and len(before.table) * len(part.table) <= _MOST_COMBINATIONS
        ):
            joined[-1] = before.join(part)
        else:
            joined.append(part)
    return joined


def unknown_levels(rows: pa.RecordBatch, schema: FeatureSchema) -> Counter[str]:
    """Return, by feature, how many rows hold a value that training did not know; the model takes them for missing."""
    counts = {
        feature.name: column_type(feature.kind).count_unknown(column_named(rows, feature.source), feature)
        for feature in schema.features
        if feature.expression is None
    }
    return Counter({name: count for name, count in counts.items() if count is not None})


def feature_names_of(schema: FeatureSchema, family: Family) -> tuple[str, ...]:
    """Return, for each encoded column, the name of the feature it belongs to."""
    layout = schema.layout(family)
    return tuple(
        feature.name for feature in schema.features for _ in range(column_type(feature.kind).width(feature, layout))
    )


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
        elif not pa.types.is_null(column.type) and type_of(column.type).name != column_type(kind).name:
            found = type_of(column.type).noun
            problems.append(
                problem(expected=f"a {kind} in {name}, as in training", found=found, todo="correct the file or retrain")
            )
    if problems:
        raise InputError(listed(problems))
