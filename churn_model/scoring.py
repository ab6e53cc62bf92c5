"""From rows to predictions: the one function that the batch step, the server and the SQL function call.

Belongs here: a probability, a decision and reasons for each row. Does not belong here: reading rows, choosing whom a budget reaches
(`targeting`). The same rows and bundle give the same bytes, in one piece or in blocks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn_model.arrays import BoolArray, FloatArray
from churn_model.decisions.policy import PROVISIONAL, Decisions, Policy
from churn_model.errors import InputError, problem
from churn_model.features.encoding import Encoded, encode
from churn_model.features.schema import Rows
from churn_model.models.bundle import Bundle
from churn_model.models.families import Model
from churn_model.models.reasons import REASONS, Explainer, reasons
from churn_model.tables import BLOCK_ROWS

ReasonsFor = Literal["contacted", "all", "none"]
"""Which rows get reasons: exact ones are most of what a row costs."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What a model says of n rows.

    probability    (n,) calibrated
    words, sizes   by rank, strongest first: the reasons of each row (n,) and their contributions in log odds (n,), null where there are none
    """

    probability: FloatArray
    decisions: Decisions
    words: Sequence[Any]
    sizes: Sequence[Any]


def prediction_schema(rows: pa.Schema) -> pa.Schema:
    """Return the schema of predictions for rows with this schema."""
    as_of = [pa.field("as_of", pa.date32())] if "_as_of" in rows.names else []
    texts = [pa.field(f"reason_{rank}", pa.string()) for rank in range(1, REASONS + 1)]
    sizes = [pa.field(f"reason_{rank}_contribution", pa.float64()) for rank in range(1, REASONS + 1)]
    return pa.schema(
        [
            pa.field("id", pa.string()),
            *as_of,
            pa.field("churn_probability", pa.float64()),
            pa.field("will_churn", pa.bool_()),
            pa.field("expected_saving", pa.float64()),
            *texts,
            *sizes,
            pa.field("model_version", pa.string()),
        ]
    )


def score(
    batch: Rows,
    bundle: Bundle,
    policy: Policy,
    explainer: Explainer,
    *,
    threads: int,
    reasons_for: ReasonsFor = "contacted",
) -> pa.Table:
    """Score canonical rows. Return one prediction per row, in the same order, with the columns of `prediction_schema`.

    churn_probability  calibrated; unknown levels count as missing
    will_churn         whether contacting the customer is expected to pay
    expected_saving    money that a contact is expected to save

    Reasons and their contributions (log odds) are null for rows that `reasons_for` leaves out, which are those not to be contacted if it is not
    given. Raise InputError if a column is absent or of another type, or a worth is missing.
    """
    schema = prediction_schema(batch.schema)
    if "_id" not in batch.schema.names:
        raise InputError(problem(expected="canonical rows with _id", found="none", todo="ingest the batch first"))
    bundle = (
        replace(bundle, model=replace(bundle.model, threads=threads)) if bundle.model.threads != threads else bundle
    )
    blocks = [
        _to_predictions(block, score_rows(block, bundle, policy, explainer, reasons_for), bundle.version, schema)
        for block in _blocks(batch)
    ]
    return pa.Table.from_batches(blocks, schema=schema).combine_chunks()


def mark_provisional(predictions: pa.Table) -> pa.Table:
    """Return predictions whose model versions say that the gate refused the model."""
    marked = pc.binary_join_element_wise(PROVISIONAL, predictions["model_version"].cast(pa.string()), "")
    return predictions.set_column(predictions.schema.get_field_index("model_version"), "model_version", marked)


def _blocks(batch: Rows) -> Iterator[pa.RecordBatch]:
    parts = batch.to_batches(max_chunksize=BLOCK_ROWS) if isinstance(batch, pa.Table) else [batch]
    for part in parts:
        for start in range(0, part.num_rows, BLOCK_ROWS):
            yield part.slice(start, BLOCK_ROWS) if part.num_rows > BLOCK_ROWS else part
    if not batch.num_rows:
        yield pa.RecordBatch.from_arrays([pa.array([], field.type) for field in batch.schema], schema=batch.schema)


def score_rows(
    block: pa.RecordBatch, bundle: Bundle, policy: Policy, explainer: Explainer, reasons_for: ReasonsFor
) -> Scores:
    """Score canonical rows, as `score` does and without a table. Raise InputError."""
    model = bundle.model
    encoded = encode(block, bundle.schema, model.family, threads=model.threads)
    p = bundle.calibration.apply(model.probabilities(encoded))
    decisions = policy.decide(p, policy.worth(block))
    explained = decisions.contact if reasons_for == "contacted" else np.full(block.num_rows, reasons_for == "all")
    words, sizes = _explain(block, encoded, explained, explainer, model)
    return Scores(probability=p, decisions=decisions, words=words, sizes=sizes)


def _to_predictions(block: pa.RecordBatch, scores: Scores, version: str, schema: pa.Schema) -> pa.RecordBatch:
    columns = {
        "id": block.column("_id").cast(pa.string()),
        "churn_probability": pa.array(scores.probability),
        "will_churn": pa.array(scores.decisions.contact),
        "expected_saving": pa.array(scores.decisions.expected_saving),
        "model_version": pa.repeat(version, block.num_rows),
        **{f"reason_{rank + 1}": scores.words[rank] for rank in range(REASONS)},
        **{f"reason_{rank + 1}_contribution": scores.sizes[rank] for rank in range(REASONS)},
    }
    if "as_of" in schema.names:
        columns["as_of"] = block.column("_as_of").cast(pa.date32())
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def _explain(
    block: pa.RecordBatch, encoded: Encoded, chosen: BoolArray, explainer: Explainer, model: Model
) -> tuple[list[Any], list[Any]]:
    """Return the reasons of the chosen rows and their contributions, null for the others."""
    rows = np.flatnonzero(chosen)
    if not len(rows):
        return [pa.nulls(block.num_rows, pa.string())] * REASONS, [pa.nulls(block.num_rows, pa.float64())] * REASONS
    found = reasons(block.take(pa.array(rows)), np.ascontiguousarray(encoded[rows]), model, explainer)
    places = np.full(block.num_rows, -1, dtype=np.int64)
    places[rows] = np.arange(len(rows))
    where = pa.array(places, mask=places < 0)
    sizes = [pa.array(found.contributions[:, rank], from_pandas=True) for rank in range(REASONS)]
    return [text.take(where) for text in found.words], [size.take(where) for size in sizes]
