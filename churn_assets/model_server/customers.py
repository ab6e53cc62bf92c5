"""Customers to start from: an example, and those of batches that were scored, found by id."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from churn_model.column_types.interface import Feature
from churn_model.column_types.number import NUMBER
from churn_model.column_types.registry import column_type
from churn_model.features.schema import column_named
from churn_model.serving.fields import Field, Role, landed_text
from churn_model.serving.openapi import features_of
from churn_model.serving.plan import Plan
from resources.catalog.names import ROWS, batch_of_key, batches_prefix
from resources.catalog.pointers import read_batch
from resources.catalog.published_tables import open_published_table, read_first
from resources.errors import DamagedError, NotInLake
from resources.ports.lake import Lake

MOST_BATCHES = 50
_COLUMNS: Mapping[Role, str] = {Role.ID: "_id", Role.AS_OF: "_as_of"}


def example_customer(plan: Plan) -> dict[str, str | None]:
    """Return the values that are most usual in training, by field: no customer's own."""
    canary = plan.bundle.canary.rows
    record: dict[str, str | None] = {}
    for field in plan.fields:
        features = features_of(plan, field)
        column = column_named(canary, "_as_of" if field.role is Role.AS_OF else field.name)
        value: Any = None if field.role is Role.ID or column is None else column[0].as_py()
        if features and features[0].levels:
            value = features[0].levels[0]
        elif features and column_type(field.kind).name == NUMBER.name:
            value = usual_number(features[0])
        record[field.name] = _landed(field, value)
    for field in plan.fields:
        if field.is_worth and record[field.name] is None:
            record[field.name] = "100"
    return record


def usual_number(feature: Feature) -> float:
    """Return the median of a number in training, rounded."""
    return round(feature.median) if abs(feature.median) >= 100 else round(feature.median, 2)


def _landed(field: Field, value: Any) -> str | None:
    """Return a canonical value as it lands in the field's own format; None if its parser would take that for another value."""
    plain = landed_text(value)
    if plain is None:
        return None
    text = field.column.write(plain)
    parsed = field.parse_value(text)
    is_same = parsed.wrong is None and (isinstance(value, str) or parsed.value == value)
    return text if is_same else None


def list_batches(lake: Lake, dataset: str) -> list[str]:
    """Return the batches that were ingested, latest first by name."""
    found = [batch_of_key(dataset, entry.key) for entry in lake.entries(batches_prefix(dataset))]
    return sorted(found, reverse=True)[:MOST_BATCHES]


def find_customer(lake: Lake, plan: Plan, batch: str, key: str) -> dict[str, str | None] | None:
    """Return the latest row of a customer in a batch, as a record; None if there is none."""
    row = find_row(lake, plan, batch, key)
    return None if row is None else _to_record(plan, row, key)


def read_customers(lake: Lake, plan: Plan, batch: str, most: int) -> list[dict[str, str | None]]:
    """Return the first rows of a batch, as records; none if the batch is not there or not whole."""
    try:
        record = read_batch(lake, plan.dataset.name, batch)
        if record is None:
            return []
        rows = read_first(lake, record.rows.prefix + ROWS, most)
    except (NotInLake, DamagedError):
        return []
    return [_to_record(plan, rows.slice(at, 1), str(key)) for at, key in enumerate(rows.column("_id"))]


def find_row(lake: Lake, plan: Plan, batch: str, key: str) -> pa.Table | None:
    """Return the latest row of a customer in a batch, canonical; None if there is none."""
    try:
        record = read_batch(lake, plan.dataset.name, batch)
        if record is None:
            return None
        table = open_published_table(lake, record.rows.prefix + ROWS)
    except (NotInLake, DamagedError):
        return None
    rows = [found for block in table.blocks() if (found := block.filter(pc.equal(block.column("_id"), key))).num_rows]
    if not rows:
        return None
    table_ = pa.Table.from_batches(rows)
    if "_as_of" in table_.column_names:
        table_ = table_.sort_by([("_as_of", "descending")])
    return table_.slice(0, 1)


def canonical_values(plan: Plan, row: pa.Table) -> list[Any]:
    """Return the values of a canonical row, one of each field; a field that the row has no column for is missing."""
    columns = [column_named(row, _COLUMNS.get(field.role, field.name)) for field in plan.fields]
    return [None if column is None else column[0].as_py() for column in columns]


def _to_record(plan: Plan, row: pa.Table, key: str) -> dict[str, str | None]:
    record: dict[str, str | None] = {}
    for field, value in zip(plan.fields, canonical_values(plan, row), strict=True):
        record[field.name] = key if field.role is Role.ID else _landed(field, value)
    return record
