"""Many rows at once: records become columns of landed values, these become canonical rows, which are scored as `scoring.score` scores a batch."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa

from churn_model.arrays import BoolArray, IntArray
from churn_model.column_types.category import encode_levels
from churn_model.features.schema import column_named
from churn_model.scoring import ReasonsFor, Scores, score_rows
from churn_model.serving.fields import FieldProblem, Role
from churn_model.serving.plan import BLANK_ROW, Answer, Plan, Reason
from churn_model.serving.requests import Record

_RESERVED = {Role.ID: "_id", Role.AS_OF: "_as_of"}


@dataclass(frozen=True, kw_only=True)
class ReadBlock:
    """Canonical rows, the place (n,) that each had in the request, and what is wrong with the others by their place."""

    rows: pa.RecordBatch
    places: IntArray
    problems: dict[int, tuple[FieldProblem, ...]]


AnswerColumns = tuple[
    list[str | None],
    list[date | None],
    list[float],
    list[bool],
    list[float],
    list[float],
    list[tuple[Reason, ...]],
    list[tuple[str, ...]],
]
"""The fields of `Answer` in their order, each of n rows."""


@dataclass(frozen=True, kw_only=True)
class ScoredBlock:
    """What the model says of the rows that could be read (n,), as a batch says it."""

    block: ReadBlock
    scores: Scores

    def columns(self, plan: Plan) -> AnswerColumns:
        """Return the answers of the rows that could be read, in the order of `block.places`, as columns."""
        rows, decisions, count = self.block.rows, self.scores.decisions, len(self.block.places)
        unknown: list[tuple[str, ...]] = [()] * count
        for row, fields in _unknown_fields(plan, rows).items():
            unknown[row] = tuple(fields)
        as_of = _to_list(rows.column("_as_of").cast(pa.date32())) if "_as_of" in rows.schema.names else [None] * count
        return (
            _to_list(rows.column("_id")),
            as_of,
            self.scores.probability.tolist(),
            decisions.contact.tolist(),
            decisions.expected_saving.tolist(),
            np.broadcast_to(decisions.cutoff, count).tolist(),
            _ranked(self.scores, count),
            unknown,
        )

    def answers(self, plan: Plan) -> Iterable[Answer]:
        """Return the answers of the rows that could be read, in the order of `block.places`."""
        return map(Answer._make, zip(*self.columns(plan), strict=True))


def read_alike(plan: Plan, records: Sequence[Record]) -> dict[str, pa.Array] | None:
    """Return records that all have the same names, required fields among them, and texts in these, as columns; None if they are not so alike.

    That is how programs send them. To look at each record by itself takes a third as long as to score them.
    """
    first = records[0]
    names = plan.names.own(first) if isinstance(first, Mapping) and len(first) > 1 else None
    if names is None or set(map(len, records)) != {len(first)}:
        return None
    try:
        values = dict(zip(first, zip(*map(itemgetter(*first), records), strict=True), strict=True))
        for field in plan.fields:
            if field.column.has_format and field.name in names:
                values[field.name] = tuple(map(field.as_landed, values[field.name]))
        return {name: pa.array(values[name], pa.string()) for name in names}
    except (KeyError, TypeError, pa.ArrowInvalid):  # another name, no object, or a value that is no text
        return None


def to_columns(plan: Plan, records: Sequence[Mapping[str, Any]]) -> dict[str, pa.Array]:
    """Return resolved records of landed text as columns. A field that no record has is left out."""
    return {
        field.name: pa.array([record.get(field.name) for record in records], pa.string())
        for field in plan.fields
        if any(field.name in record for record in records)
    }


def _to_list(column: pa.Array) -> list[Any]:
    """Return texts or dates as Python has them. By way of numpy it takes a tenth of the time of `to_pylist`."""
    values: list[Any] = column.to_numpy(zero_copy_only=False).tolist()
    return values


def _ranked(scores: Scores, count: int) -> list[tuple[Reason, ...]]:
    """Return the reasons of each row, strongest first."""
    found: list[tuple[Reason, ...]] = [()] * count
    for words, contributions in zip(scores.words, scores.sizes, strict=True):
        if words.null_count == count:
            continue
        rows = np.flatnonzero(words.is_valid().to_numpy(zero_copy_only=False)).tolist()
        sizes = contributions.to_numpy(zero_copy_only=False)
        for row, text in zip(rows, words.drop_null().to_pylist(), strict=True):
            found[row] += (Reason(text, float(sizes[row])),)
    return found


def read_block(plan: Plan, columns: Mapping[str, pa.Array], count: int) -> ReadBlock:
    """Return columns of landed values, by the fields' own names, as canonical rows. Fields that are not required may be absent."""
    problems: dict[int, list[FieldProblem]] = {}
    values: dict[str, pa.Array] = {}
    blank = np.ones(count, dtype=bool)
    for field in plan.fields:
        landed = columns.get(field.name)
        if landed is None:
            values[field.name] = pa.nulls(count, field.arrow_type)
            continue
        parsed = field.parse_column(landed)
        absent: BoolArray = parsed.values.is_null().to_numpy(zero_copy_only=False).copy()
        for row, reason in parsed.wrong.items():
            problems.setdefault(row, []).append(field.describe(reason))
            absent[row] = reason.found == "a blank"
        blank &= absent
        values[field.name] = parsed.values
    refused: dict[int, tuple[FieldProblem, ...]] = {row: tuple(each) for row, each in problems.items()}
    refused |= {int(row): (BLANK_ROW,) for row in np.flatnonzero(blank)}
    places = np.setdiff1d(np.arange(count), np.fromiter(refused, dtype=np.int64, count=len(refused)))
    named = {_RESERVED.get(field.role, field.name): values[field.name] for field in plan.fields}
    if "_id" not in named:
        named["_id"] = pa.nulls(count, pa.string())
    rows = pa.RecordBatch.from_pydict(named)
    return ReadBlock(rows=rows.take(pa.array(places)) if refused else rows, places=places, problems=refused)


def score_block(
    plan: Plan, columns: Mapping[str, pa.Array], count: int, *, wanted: ReasonsFor = "contacted"
) -> ScoredBlock:
    """Return what the model says of `count` rows of landed values, by the fields' own names."""
    block = read_block(plan, columns, count)
    return ScoredBlock(block=block, scores=score_rows(block.rows, plan.bundle, plan.policy, plan.explainer, wanted))


def _unknown_fields(plan: Plan, rows: pa.RecordBatch) -> dict[int, list[str]]:
    """Return, by row, the fields whose value training did not know."""
    found: dict[int, list[str]] = {}
    for feature, is_unknown in plan.unknown_tests:
        column: Any = column_named(rows, feature.source)
        if not any(map(is_unknown, column.unique().to_pylist())):
            continue
        codes, words = encode_levels(column)
        strange = np.array([is_unknown(word) for word in words] + [False])
        for row in np.flatnonzero(strange[codes]).tolist():
            found.setdefault(row, []).append(feature.source)
    return found
