"""Find columns whose values seem to identify customers: values repeat, and rows with the same value have the same label.

If rows of one customer are on both sides of a split, a model that merely recognises customers looks good. The column that identifies a
customer belongs under `id`.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn_model.arrays import BoolArray, FloatArray, IntArray
from churn_model.column_types.category import encode_levels
from churn_model.column_types.registry import type_of
from churn_model.spec.column_names import RESERVED, name_key
from churn_model.spec.dataset import Dataset
from churn_model.training.leaks import EQUAL_ROWS, SharedLabel

LEAST_PAIRS = 30
LEAST_GROUPS = 20
LEAST_SHARE = 0.01
"""Pairs as a share of the rows; fewer could hardly change a figure."""
LEAST_AGREEMENT = 0.5
LEAST_SIGMAS = 4.0
LEAST_LEFT = 5
"""Pairs of which both left: correlation of rare labels is decided by a few of them."""


def find_shared_labels(train: pa.Table, dataset: Dataset) -> tuple[SharedLabel, ...]:
    """Return the columns that seem to identify customers, including those under `ignore`; skip those under `known`.

    `train`: canonical rows with `_id` and `_label`. Rows with one id already count as one customer, so only pairs with different ids are compared.
    Amounts with a fraction identify nobody. Columns whose order predicts the label (a date, an amount) are corrected for: their neighbouring
    values agree as well.
    """
    y = np.asarray(train["_label"], dtype=np.float64)
    if not len(y) or y.std() == 0:
        return ()
    owners = train["_id"].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    passed_over = {name_key(name) for name in (dataset.label.column, *dataset.known)}
    codes = {
        name: _code_values(train[name])
        for name in train.column_names
        if name not in RESERVED and name_key(name) not in passed_over
    }
    if dataset.id_column is None:
        # Equal rows have one id but for the number that ingest gives them.
        codes[EQUAL_ROWS] = _code_values(pc.utf8_slice_codeunits(train["_id"], 0, 16))
    found = (measure_agreement(name, code, owners, y) for name, code in codes.items())
    return tuple(one for one in found if one is not None and one.agreement >= LEAST_AGREEMENT)


def measure_agreement(name: str, codes: IntArray, owners: IntArray, y: FloatArray) -> SharedLabel | None:
    """Return how far rows with the same code (n,) agree in the label `y` (n,); None if too few share one. Codes follow the values' order, -1 is missing."""
    order = np.flatnonzero(codes >= 0)
    order = order[np.argsort(codes[order], kind="stable")]
    ranked, labels, owner = codes[order], y[order], owners[order]
    together = (ranked[1:] == ranked[:-1]) & (owner[1:] != owner[:-1])
    beside = ranked[1:] != ranked[:-1]
    pairs = int(together.sum())
    groups = len(np.unique(ranked[1:][together]))
    both_left = int((labels[1:] * labels[:-1])[together].sum())
    if pairs < max(LEAST_PAIRS, LEAST_SHARE * len(y)) or groups < LEAST_GROUPS or both_left < LEAST_LEFT:
        return None
    z = (labels - y.mean()) / y.std()
    products = z[1:] * z[:-1]
    agreement = float(products[together].mean())
    if agreement * np.sqrt(pairs) < LEAST_SIGMAS:
        return None
    neighbours = float(products[beside].mean()) if beside.any() else 0.0
    shared = _mark_pairs(together)
    return SharedLabel(column=name, rows=int(shared.sum()), agreement=agreement - max(neighbours, 0.0))


def _mark_pairs(together: BoolArray) -> BoolArray:
    """Return whether each row (n,) is in one of the pairs (n - 1,) of a row and the next."""
    shared: BoolArray = np.append(together, False) | np.insert(together, 0, False)
    return shared


def _code_values(column: Any) -> IntArray:
    """Return a number for each value (n,), in the order of the values; -1 if it is missing."""
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    numbers = type_of(values.type).to_numbers(values)
    if numbers is None:
        codes, words = encode_levels(values)
        places = np.append(np.argsort(np.argsort(np.array(words, dtype=object), kind="stable")), -1).astype(np.int64)
        return places[codes] if len(words) else np.full(len(codes), -1, dtype=np.int64)
    known = np.isfinite(numbers) & bool((np.floor(numbers) == numbers)[np.isfinite(numbers)].all())
    codes = np.full(len(numbers), -1, dtype=np.int64)
    codes[known] = np.unique(numbers[known], return_inverse=True)[1]
    return codes
