"""Whether a batch looks like the rows a model was trained on: columns that went blank, unknown or a hundred times larger.

A wrong export, another unit or another spelling makes such a batch; its scores would be those of other customers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn_model.column_types.interface import Feature
from churn_model.column_types.number import NUMBER
from churn_model.column_types.registry import column_type, type_of
from churn_model.features.schema import FeatureSchema, values_of
from churn_model.wording import number_text, percent

FEWEST_ROWS = 20
"""Rows of a batch below which chance may leave a column blank."""
NEARLY_ALL = 0.9
HARDLY_ANY = 0.1
TIMES = 30.0
"""A hundredfold, less what two samples of one column differ by."""
MATTERS = 0.02
"""Share of all contributions from which columns matter to a model, added up over those that differ."""


@dataclass(frozen=True, kw_only=True)
class BatchColumn:
    """A feature's values in a batch.

    missing  rows without a value
    unknown  rows with a level that training did not keep
    typical  the absolute value of the median, and of whichever of the 5% and 95% quantile is larger; None without numbers
    """

    missing: int
    unknown: int = 0
    typical: tuple[float, float] | None = None


def describe_batch(rows: pa.RecordBatch, schema: FeatureSchema) -> dict[str, BatchColumn]:
    """Return the values of each feature in these rows: a batch, or a random sample of it (canonical rows are in hash order)."""
    return {feature.name: _describe(values_of(rows, feature), feature) for feature in schema.features}


def _describe(values: Any, feature: Feature) -> BatchColumn:
    unknown = column_type(feature.kind).count_unknown(values, feature) or 0
    absent = pc.is_null(values, nan_is_null=True)
    missing = int(pc.sum(absent).as_py() or 0)
    if feature.part is not None or type_of(values.type) is not NUMBER:
        return BatchColumn(missing=missing, unknown=unknown)
    numbers = NUMBER.to_numbers(values)
    known = numbers[np.isfinite(numbers)] if numbers is not None else np.empty(0)
    if not len(known):
        return BatchColumn(missing=missing)
    low, median, high = np.quantile(known, [0.05, 0.5, 0.95])
    return BatchColumn(missing=missing, typical=(abs(float(median)), max(abs(float(low)), abs(float(high)))))


def find_differences(
    columns: Mapping[str, BatchColumn], rows: int, schema: FeatureSchema, weights: Mapping[str, float]
) -> dict[str, str]:
    """Return the columns of a batch that do not look as in training, each with what differs; none if they hardly matter to the model.

    rows     of the batch, or of its sample
    weights  by feature, its share of what the model's contributions add up to
    """
    if rows < FEWEST_ROWS:
        return {}
    found: dict[str, str] = {}
    weight = 0.0
    for feature in schema.features:
        column = columns[feature.name]
        text = _compare_known(column, rows, feature.missing, feature.rare)
        if text is None and column.typical is not None:
            text = _compare_scale(column.typical, abs(feature.median), max(abs(feature.low), abs(feature.high)))
        if text is not None:
            found.setdefault(feature.source, text)
            weight += weights.get(feature.name, 0.0)
    return found if weight >= MATTERS else {}


def _compare_known(column: BatchColumn, rows: int, missing: float, rare: float) -> str | None:
    """Return how a column differs if nearly all rows are blank or unknown, which in training hardly any were."""
    if column.missing + column.unknown < NEARLY_ALL * rows or missing + rare > HARDLY_ANY:
        return None
    what = [
        *([f"{column.unknown:,} of {rows:,} rows hold a value that training did not know"] if column.unknown else []),
        *([f"{column.missing:,} of {rows:,} rows are blank"] if column.missing else []),
    ]
    return f"{' and '.join(what)} ({percent(missing + rare)} in training)"


def _compare_scale(typical: tuple[float, float], median: float, high: float) -> str | None:
    """Return how a column differs if its values are a hundred times larger than in training, the usual and the extreme ones."""
    if high <= 0 or typical[1] < TIMES * high or typical[0] < TIMES * median:
        return None
    usual = (typical[0], median) if median > 0 else (typical[1], high)
    return f"values are about {usual[0] / usual[1]:,.0f} times as large: {number_text(usual[0])}, and {number_text(usual[1])} in training"
