"""Customers month after month: who is still there, what lands, what became of them.

Each customer has a snapshot on the first of every month from the one in which they appear until they leave: who left has no later
snapshot. The latent factor is new each month and the columns hold all else that matters, so dropping those who left changes no probability
given the columns. Training holds six months, nobody contacted; batch k is month 5 + k, most of its customers known from before.

A customer and month has one uniform for its outcome, whether contacted or not: what would have happened otherwise is exact.
"""

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from churn_assets.sample.population import (
    BATCHES,
    TRAINING_MONTHS,
    YES_NO,
    Snapshots,
    Switches,
    as_landed,
    customer_ids,
    require,
    snapshots,
)
from churn_assets.sample.truth import Truth, truth
from churn_model.arrays import BoolArray, FloatArray, IntArray

FIRST = date(2025, 3, 1)  # from here to the last snapshot of training, months are at least the horizon apart
HORIZON = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class Contacted:
    """Who was contacted after batch 1, 2, ...: in that month they leave by p1, and those it saved are seen again."""

    batch: int
    customers: Collection[str]


@dataclass(frozen=True)
class Piece:
    """Rows as they land, and row by row the truth and the outcome."""

    landed: pa.Table
    truth: pa.Table
    outcomes: pa.Table


@dataclass(frozen=True, kw_only=True)
class Generator:
    """Customers without end, the same for the same seed and switches. Without `past` nobody was ever contacted."""

    seed: int = 1729
    switches: Switches = dataclasses.field(default_factory=Switches)
    past: tuple[Contacted, ...] = ()

    def __post_init__(self) -> None:
        require((0 <= self.seed < 2**63, "seed: a whole number from 0 to 2^63 - 1", self.seed))

    def training(self, rows: int) -> Iterator[Piece]:
        """Yield `rows` labelled snapshots of the first six months, sorted by customer, in pieces of some ten thousand."""
        for piece in self._pieces(rows, range(TRAINING_MONTHS)):
            landed = piece.landed.append_column("churned", piece.outcomes["churned"])
            yield dataclasses.replace(piece, landed=landed)

    def batch(self, number: int, rows: int) -> Iterator[Piece]:
        """Yield `rows` customers of batch 1, 2, ..., without the label. If `past` names this batch, their outcomes are drawn from p1."""
        month = batch_month(number)
        for piece in self._pieces(rows, range(month, month + 1)):
            unknown = pa.nulls(piece.landed.num_rows, pa.float64())
            leak = piece.landed.schema.get_field_index("retention_call_minutes")
            yield (
                piece
                if leak < 0
                else dataclasses.replace(piece, landed=piece.landed.set_column(leak, "retention_call_minutes", unknown))
            )

    def _pieces(self, rows: int, months: range) -> Iterator[Piece]:
        require((rows >= 1, "rows: at least 1", rows))
        contacted = {batch_month(past.batch): _numbers(past.customers) for past in self.past}
        block = 0
        while rows > 0:
            piece = _block(self.seed, block, months, self.switches, contacted)
            piece = Piece(piece.landed.slice(0, rows), piece.truth.slice(0, rows), piece.outcomes.slice(0, rows))
            rows -= piece.landed.num_rows
            block += 1
            yield piece


def as_of(month: int) -> date:
    """Return the snapshot's date in a month; month 0 is the first of training."""
    years, months = divmod(FIRST.month - 1 + month, 12)
    return date(FIRST.year + years, months + 1, 1)


def batch_month(number: int) -> int:
    """Return the month of batch 1, 2, ..."""
    require((1 <= number <= BATCHES, f"a batch from 1 to {BATCHES}", number))
    return TRAINING_MONTHS - 1 + number


def batch_name(number: int) -> str:
    """Return the name of batch 1, 2, ..., such as 2025-09."""
    return f"{as_of(batch_month(number)):%Y-%m}"


def _block(seed: int, block: int, months: range, switches: Switches, contacted: Mapping[int, IntArray]) -> Piece:
    rows = snapshots(seed, block, months.stop, switches)
    known = truth(rows, switches)
    treated = np.zeros(len(rows.month), dtype=np.bool_)
    for month, customers in contacted.items():
        treated |= (rows.month == month) & np.isin(rows.customer, customers)
    probability = known.probability(treated)
    left = rows.outcome < probability
    shown = _still_there(rows, left) & (rows.month >= months.start)

    dates = np.array([as_of(month) for month in range(months.stop)], dtype="datetime64[D]")[rows.month[shown]]
    keys = {"customer_id": customer_ids(rows.customer[shown]), "as_of": pa.array(dates)}
    columns = as_landed({name: values[shown] for name, values in rows.columns.items()})
    if switches.leak:
        columns["retention_call_minutes"] = pa.array(_leak(rows, left, switches.leak)[shown])
    return Piece(
        pa.table(keys | columns), _truth_table(keys, rows, known, shown), _outcomes(keys, rows, probability, shown)
    )


def _truth_table(keys: Mapping[str, pa.Array], rows: Snapshots, known: Truth, shown: BoolArray) -> pa.Table:
    alone, contacted = known.probability(False)[shown], known.probability(True)[shown]
    return pa.table(
        dict(keys)
        | {
            "p0": alone,
            "p1": contacted,
            "worth": rows.columns["annual_value"][shown],
            "p_columns": known.probability_given_columns(shown, contacted=False),
            "p1_columns": known.probability_given_columns(shown, contacted=True),
            "leaves_if_not_contacted": rows.outcome[shown] < alone,
            "leaves_if_contacted": rows.outcome[shown] < contacted,
        }
    )


def _outcomes(keys: Mapping[str, pa.Array], rows: Snapshots, probability: FloatArray, shown: BoolArray) -> pa.Table:
    """Whether each left within the horizon, and the day they did so (the last day of the horizon for those who stayed)."""
    outcome, risk = rows.outcome[shown], probability[shown]
    left = outcome < risk
    # Given that someone left, outcome / risk is uniform: the day needs no further draw.
    days = np.where(left, 1 + np.floor(HORIZON.days * outcome / risk), HORIZON.days).astype("timedelta64[D]")
    churned = pa.DictionaryArray.from_arrays(pa.array(left.astype(np.int8)), pa.array(YES_NO))
    return pa.table(dict(keys) | {"churned": churned, "outcome_date": pa.array(np.asarray(keys["as_of"]) + days)})


def _numbers(customers: Collection[str]) -> IntArray:
    """Return the customers' numbers from their ids. Raise ChurnError if one is no id of this sample."""
    strange = sum(1 for name in customers if not re.fullmatch(r"C\d{9,}", name))
    require((not strange, "ids of the sample, C and nine digits", f"{strange} that are not"))
    return np.array([int(name[1:]) for name in customers], dtype=np.int64)


def _still_there(rows: Snapshots, left: BoolArray) -> BoolArray:
    """Whether the customer had not left in a month before."""
    before = np.concatenate([[0], np.cumsum(left)[:-1]])
    starts = np.flatnonzero(np.diff(rows.customer, prepend=-1))
    own = np.repeat(before[starts], np.diff(starts, append=len(left)))
    return np.asarray(before == own)


def _leak(rows: Snapshots, left: BoolArray, share: float) -> FloatArray:
    called = rows.leak < np.where(left, share, 0.01)
    return np.where(called, np.round(3 + 30 * rows.leak / np.where(left, share, 0.01), 1), 0.0)
