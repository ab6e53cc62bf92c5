"""A challenger in the shadow of another model, on rows whose outcome nobody knows yet: whom the two decide otherwise, and the money at stake.

Does not belong here: which of the two is better. Each thinks its own decisions the cheaper ones, by its own probabilities.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn_model.arrays import BoolArray, FloatArray
from churn_model.decisions.policy import Decisions

MOST_DIFFERENCES = 10_000
"""Rows decided otherwise that are kept one by one: those with the most money between the two models."""
FIRST, SECOND = "A", "B"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What one model says of n rows: `probability` (n,), calibrated, and whom to contact."""

    probability: FloatArray
    decisions: Decisions


@dataclass(frozen=True, kw_only=True)
class ShadowCounts:
    """Rows by whom two models contact; customers, and those of them with a row that is decided otherwise."""

    rows: int
    both: int
    only_first: int
    only_second: int
    neither: int
    customers: int
    customers_otherwise: int


@dataclass(frozen=True, kw_only=True)
class Saving:
    """Money that contacts are expected to save, after what they cost, by the probabilities of each model."""

    by_first: float = 0.0
    by_second: float = 0.0


def differences_schema(rows: pa.Schema) -> pa.Schema:
    """Return the schema of the table of rows decided otherwise, for rows with this schema. `_a` is the first model, `_b` the second."""
    as_of = [pa.field("as_of", pa.date32())] if "_as_of" in rows.names else []
    figures = ("probability_a", "probability_b", "expected_saving_a", "expected_saving_b")
    return pa.schema(
        [
            pa.field("id", pa.string()),
            *as_of,
            pa.field("contacted_by", pa.string()),
            *(pa.field(name, pa.float64()) for name in figures),
        ]
    )


class ShadowCounter:
    """Counts a table block by block, rows of one customer beside each other as ingest leaves them. Memory does not grow with the table.

    only  what contacts of the rows that one model alone contacts are expected to save, by its letter
    """

    def __init__(self, rows: pa.Schema) -> None:
        self._schema = differences_schema(rows)
        self._counts: Counter[str] = Counter()
        self._customers, self._otherwise = _Customers(), _Customers()
        self._largest = self._schema.empty_table()
        self.only = {FIRST: Saving(), SECOND: Saving()}

    def add(self, block: pa.RecordBatch, first: Judged, second: Judged) -> None:
        """Count a block (n rows) that both have scored."""
        one, other = first.decisions.contact, second.decisions.contact
        groups = {
            "both": one & other,
            "only_first": one & ~other,
            "only_second": ~one & other,
            "neither": ~one & ~other,
        }
        self._counts.update({name: int(np.count_nonzero(rows)) for name, rows in groups.items()})
        self._customers.add(block.column("_id"))
        for letter, rows in ((FIRST, groups["only_first"]), (SECOND, groups["only_second"])):
            self.only[letter] = _add(self.only[letter], rows, first, second)
        if (differ := one != other).any():
            found = self._to_table(block, differ, first, second)
            self._otherwise.add(found["id"].combine_chunks())
            self._keep(found)

    def counts(self) -> ShadowCounts:
        """Return what was counted so far."""
        groups = {name: self._counts[name] for name in ("both", "only_first", "only_second", "neither")}
        return ShadowCounts(
            rows=sum(groups.values()),
            **groups,
            customers=self._customers.count,
            customers_otherwise=self._otherwise.count,
        )

    def largest(self) -> pa.Table:
        """Return the rows decided otherwise, those first for which the expected savings of the two differ most; at most `MOST_DIFFERENCES`."""
        return self._largest

    def _to_table(self, block: pa.RecordBatch, rows: BoolArray, first: Judged, second: Judged) -> pa.Table:
        chosen = block.filter(pa.array(rows))
        columns = {
            "id": chosen.column("_id").cast(pa.string()),
            "contacted_by": np.where(first.decisions.contact[rows], FIRST, SECOND),
            "probability_a": first.probability[rows],
            "probability_b": second.probability[rows],
            "expected_saving_a": first.decisions.expected_saving[rows],
            "expected_saving_b": second.decisions.expected_saving[rows],
        }
        if "as_of" in self._schema.names:
            columns["as_of"] = chosen.column("_as_of").cast(pa.date32())
        return pa.table({name: columns[name] for name in self._schema.names}, schema=self._schema)

    def _keep(self, found: pa.Table) -> None:
        held = pa.concat_tables([self._largest, found])
        apart = pc.abs(pc.subtract(held["expected_saving_a"], held["expected_saving_b"]))
        order = pc.sort_indices(
            pa.table({"apart": apart, "id": held["id"]}), sort_keys=[("apart", "descending"), ("id", "ascending")]
        )
        self._largest = held.take(order[:MOST_DIFFERENCES])


def _add(known: Saving, rows: BoolArray, first: Judged, second: Judged) -> Saving:
    return Saving(
        by_first=known.by_first + float(first.decisions.expected_saving[rows].sum()),
        by_second=known.by_second + float(second.decisions.expected_saving[rows].sum()),
    )


@dataclass
class _Customers:
    """Counts customers whose rows come one after the other."""

    count: int = 0
    _last: str | None = None

    def add(self, ids: pa.Array) -> None:
        if not len(ids):
            return
        ids = ids.cast(pa.string())
        changes = pc.sum(pc.not_equal(ids[1:], ids[:-1])).as_py() or 0
        self.count += changes + int(ids[0].as_py() != self._last)
        self._last = ids[-1].as_py()
