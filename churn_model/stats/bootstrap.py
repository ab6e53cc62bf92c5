"""Bootstrap by customer: how far a figure may be from the truth, given the rows it was computed on.

Belongs here: drawing customers, and the sums and ranks that metrics are made of, once for each draw. Does not belong here: what a metric is
(`judging`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from churn_model.arrays import FloatArray, IntArray
from churn_model.errors import InputError, problem

SEED = 20_010_611
MOST = 2_000
LEAST = 200
ROWS_DRAWN = 40_000_000
"""Above 20,000 rows there are fewer draws, but never below `LEAST`: figures vary little there."""
CHUNK = 2_000_000
"""Weights held in memory at once."""


def number_customers(ids: Any) -> IntArray:
    """Return the number of each row's customer, in order of first appearance (n,). `ids`: an array of ids, or of their hashes."""
    array = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else pa.array(ids)
    if array.null_count:
        raise InputError(
            problem(
                expected="an id in every row",
                found=f"{array.null_count} rows without one",
                todo="judge ingested rows only",
            )
        )
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    return np.asarray(array.dictionary_encode().indices.to_numpy(zero_copy_only=False), dtype=np.int64)


@dataclass(frozen=True)
class Resamples:
    """Draws of as many customers as there are, with replacement; all rows of a customer come together.

    The draws depend on the customers' order and `seed` alone, so figures of two models on the same rows are paired draw by draw.
    """

    customers: IntArray
    draws: int | None = None
    seed: int = SEED
    _count: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not len(self.customers):
            raise InputError(problem(expected="at least one row to judge", found="none", todo="look at the split"))
        object.__setattr__(self, "_count", int(self.customers.max()) + 1)
        if self.draws is None:
            object.__setattr__(self, "draws", int(np.clip(ROWS_DRAWN // len(self.customers), LEAST, MOST)))

    def weights(self) -> Iterator[FloatArray]:
        """Yield how often each row was drawn, (b, n) at a time, `draws` in all."""
        generator = np.random.Generator(np.random.PCG64(self.seed))
        left = self.draws or 0
        one_row_each = self._count == len(self.customers) and bool((self.customers == np.arange(self._count)).all())
        while left:
            size = min(left, max(1, CHUNK // len(self.customers)))
            drawn = generator.integers(0, self._count, size=(size, self._count))
            drawn += np.arange(size)[:, None] * self._count
            times = (
                np.bincount(drawn.ravel(), minlength=size * self._count).reshape(size, self._count).astype(np.float64)
            )
            yield times if one_row_each else times[:, self.customers]
            left -= size

    def sums(self, values: FloatArray) -> FloatArray:
        """Return the sums of `values` (n, k) over the rows of each draw (draws, k)."""
        return np.concatenate([weight @ values for weight in self.weights()])

    def binned_sums(self, values: FloatArray, bins: Any, count: int) -> FloatArray:
        """Return the sums of `values` (n,) by bin (n,) for each draw (draws, count)."""
        order = np.argsort(bins, kind="stable")
        present, starts = np.unique(np.asarray(bins)[order], return_index=True)
        result = np.zeros((self.draws or 0, count))
        done = 0
        for weight in self.weights():
            part = np.add.reduceat(weight[:, order] * values[order], starts, axis=1)
            result[done : done + len(part), present] = part
            done += len(part)
        return result

    def auc(self, y: Any, p: FloatArray) -> FloatArray:
        """Return the area under the ROC curve of each draw (draws,); ties count half, NaN for a draw with one class."""
        order = np.argsort(p, kind="stable")
        positive = np.asarray(y, dtype=np.float64)[order]
        starts = np.flatnonzero(np.r_[True, np.diff(p[order]) > 0])
        return np.concatenate([_weighted_auc(weight[:, order], positive, starts) for weight in self.weights()])


def _weighted_auc(weight: FloatArray, positive: FloatArray, starts: Any) -> FloatArray:
    """Return the AUC (b,) of rows in ascending order of probability; `starts`: the first row of each run of equal ones."""
    ups = np.add.reduceat(weight * positive, starts, axis=1)
    downs = np.add.reduceat(weight * (1.0 - positive), starts, axis=1)
    below = np.cumsum(downs, axis=1) - 0.5 * downs
    pairs = ups.sum(axis=1) * downs.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(pairs > 0, (ups * below).sum(axis=1) / pairs, np.nan))


def auc(y: Any, p: FloatArray) -> float:
    """Return the area under the ROC curve; ties count half, NaN with one class."""
    order = np.argsort(p, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(p[order]) > 0])
    return float(_weighted_auc(np.ones((1, len(p))), np.asarray(y, dtype=np.float64)[order], starts)[0])
