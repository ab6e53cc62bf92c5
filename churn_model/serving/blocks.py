"""Many rows at once: columns of landed values become canonical rows, which `scoring.score` scores as it scores a batch."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from churn_model.arrays import BoolArray, FloatArray, IntArray
from churn_model.column_types.category import encode_levels
from churn_model.column_types.registry import column_type
from churn_model.features.schema import column_named
from churn_model.models.reasons import REASONS
from churn_model.scoring import ReasonsFor, score
from churn_model.serving.fields import FieldProblem, Role
from churn_model.serving.plan import BLANK_ROW, Answer, Plan, Reason

_RESERVED = {Role.ID: "_id", Role.AS_OF: "_as_of"}


@dataclass(frozen=True, kw_only=True)
class ReadBlock:
    """Canonical rows, the place (n,) that each had in the request, and what is wrong with the others by their place."""

    rows: pa.RecordBatch
    places: IntArray
    problems: dict[int, tuple[FieldProblem, ...]]


@dataclass(frozen=True, kw_only=True)
class ScoredBlock:
    """The predictions of the rows that could be read (n,), as a batch has them, with each row's cutoff (n,)."""

    block: ReadBlock
    predictions: pa.Table
    cutoff: FloatArray

    def answers(self, plan: Plan) -> Iterable[Answer]:
        """Return the answers of the rows that could be read, in the order of `block.places`."""
        predictions, count = self.predictions, len(self.block.places)
        dates = predictions["as_of"].to_pylist() if "as_of" in predictions.schema.names else [None] * count
        unknown: list[tuple[str, ...]] = [()] * count
        for row, fields in _unknown_fields(plan, self.block.rows).items():
            unknown[row] = tuple(fields)
        columns = (
            predictions["id"].to_pylist(),
            dates,
            *(predictions[name].to_numpy().tolist() for name in ("churn_probability", "will_churn", "expected_saving")),
            self.cutoff.tolist(),
            _ranked(predictions),
            unknown,
        )
        return map(Answer._make, zip(*columns, strict=True))


def _ranked(predictions: pa.Table) -> list[tuple[Reason, ...]]:
    """Return the reasons of each row, strongest first."""
    found: list[tuple[Reason, ...]] = [()] * predictions.num_rows
    for rank in range(1, REASONS + 1):
        words = predictions[f"reason_{rank}"]
        rows = np.flatnonzero(words.is_valid().to_numpy()).tolist()
        sizes = predictions[f"reason_{rank}_contribution"].to_numpy()
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
    """Return the predictions of `count` rows of landed values, by the fields' own names."""
    block = read_block(plan, columns, count)
    bundle = plan.bundle
    predictions = score(
        block.rows, bundle, plan.policy, plan.explainer, threads=bundle.model.threads, reasons_for=wanted
    )
    p = predictions["churn_probability"].to_numpy()
    cutoff = plan.policy.decide(p, plan.policy.worth(block.rows)).cutoff
    return ScoredBlock(block=block, predictions=predictions, cutoff=np.broadcast_to(cutoff, p.shape))


def _unknown_fields(plan: Plan, rows: pa.RecordBatch) -> dict[int, list[str]]:
    """Return, by row, the fields whose value training did not know."""
    found: dict[int, list[str]] = {}
    for feature, is_unknown in plan.unknown_tests:
        column: Any = column_named(rows, feature.source)
        if not column_type(feature.kind).count_unknown(column, feature):
            continue
        codes, words = encode_levels(column)
        strange = np.array([is_unknown(word) for word in words] + [False])
        for row in np.flatnonzero(strange[codes]).tolist():
            found.setdefault(row, []).append(feature.source)
    return found
