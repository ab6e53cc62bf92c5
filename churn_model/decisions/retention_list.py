"""Whom to contact: the list, best first, and who of it is held out so that the effect can be measured.

Belongs here: choosing among scored customers, and what a hold-out can show. Does not belong here: who is worth contacting at all
(`cutoff`), what a contact did achieve (measured later, from `listed`, `held_out` and `propensity`).
"""

import hashlib
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn_model.arrays import BoolArray, FloatArray
from churn_model.errors import InputError, listed, problem
from churn_model.ingest.values import parse_opt_outs
from churn_model.spec.dataset import RetentionList

NEEDED = ("id", "churn_probability", "will_churn", "expected_saving")
LEAST_HELD_OUT = 10

LISTED, BELOW_CUTOFF, OTHER_ROW, OPTED_OUT, COOLDOWN, OVER_CAPACITY, OVER_BUDGET = range(7)
WHY_NOT = (
    "listed",
    "below the cutoff",
    "another row of this customer",
    "opted out",
    "listed not long ago",
    "beyond the capacity",
    "beyond the budget",
)


@dataclass(frozen=True, kw_only=True)
class History:
    """What earlier lists did. `listed`: ids within the cooldown. `held_out`: id to whether it was held out, within the outcome horizon."""

    listed: Set[str] = frozenset()
    held_out: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Programme:
    """What a hold-out is drawn for: the same programme and period draw the same customers. The period lasts as long as an outcome takes."""

    name: str
    period: str


@dataclass(frozen=True, kw_only=True)
class Targeting:
    """Every scored row with what was done with it, and the list.

    rows       the predictions in their order, with `listed`, `held_out`, `contacted` (bool), `propensity` (the chance of being contacted)
               and `left_out` (why not; null where listed)
    contacts   who is to be contacted, best first, with `rank` from 1; held-out customers are not in it
    counts     rows by what was done with them
    """

    rows: pa.Table
    contacts: pa.Table
    counts: dict[str, int]
    listed: int
    held_out: int
    contact_cost: float
    expected_saving: float


def retention_list(
    predictions: pa.Table,
    limits: RetentionList,
    *,
    contact_cost: float,
    programme: Programme,
    history: History | None = None,
    opted_out: BoolArray | None = None,
) -> Targeting:
    """The customers to contact: best expected saving first, each once, within budget and capacity, after opt-out and cooldown.

    `predictions`: what `scoring.score` returns. `contact_cost`: money a contact, FP - TN. `opted_out` (n,): the spec's opt-out
    column, needed where the spec names one. Held-out customers are drawn from those who would be on the list and take a place on it.
    A customer's row is his latest `as_of`; of several, the one that saves most.
    """
    _checked(predictions, limits, contact_cost, opted_out)
    history = history or History()
    ids = predictions["id"].combine_chunks()
    saving = predictions["expected_saving"].to_numpy()
    status = np.where(predictions["will_churn"].to_numpy(zero_copy_only=False), LISTED, BELOW_CUTOFF)
    status[(status == LISTED) & ~_latest(predictions, ids, saving)] = OTHER_ROW
    if opted_out is not None:
        # Any row of a customer who opted out speaks for all of them.
        status[(status == LISTED) & pc.is_in(ids, ids.filter(pa.array(opted_out))).to_numpy(zero_copy_only=False)] = (
            OPTED_OUT
        )
    if history.listed:
        recent = pc.is_in(ids, pa.array(sorted(history.listed), pa.string())).to_numpy(zero_copy_only=False)
        status[(status == LISTED) & recent] = COOLDOWN
    order = _best_first(np.flatnonzero(status == LISTED), saving, ids)
    places = len(order) if limits.capacity is None else min(len(order), limits.capacity)
    drawn = _held_out(ids.take(pa.array(order)).to_pylist(), limits.holdout, programme, history)
    paid = len(order) if limits.budget is None else _affordable(drawn, limits.budget, contact_cost)
    status[order[min(places, paid) :]] = OVER_BUDGET if paid < places else OVER_CAPACITY
    order, drawn = order[: min(places, paid)], drawn[: min(places, paid)]
    propensity = np.where(status == LISTED, 1.0 - limits.holdout, 0.0)
    return _told(_with_decisions(predictions, status, order[drawn], propensity), order[~drawn], contact_cost)


def _checked(predictions: pa.Table, limits: RetentionList, contact_cost: float, opted_out: BoolArray | None) -> None:
    todo = "pass what scoring returned"
    problems = [
        problem(expected=f"column {name}", found="none", todo=todo)
        for name in NEEDED
        if name not in predictions.column_names
    ]
    if not contact_cost >= 0:
        problems.append(
            problem(
                expected="a contact that costs 0 or more", found=str(contact_cost), todo="look at costs in the spec"
            )
        )
    if limits.opt_out is not None and opted_out is None:
        problems.append(
            problem(
                expected=f"the opt-out column {limits.opt_out}", found="none", todo="land it, or remove list.opt_out"
            )
        )
    if opted_out is not None and len(opted_out) != predictions.num_rows:
        found = f"{len(opted_out)} opt-outs"
        problems.append(problem(expected=f"an opt-out for each of {predictions.num_rows} rows", found=found, todo=todo))
    if problems:
        raise InputError(listed(problems))


def _latest(predictions: pa.Table, ids: Any, saving: FloatArray) -> BoolArray:
    """The row that stands for each customer: (n,)."""
    customers = np.asarray(ids.dictionary_encode().indices.to_numpy(zero_copy_only=False), dtype=np.int64)
    dates = np.zeros(len(ids), dtype=np.int64)
    if "as_of" in predictions.column_names:
        dates = (
            predictions["as_of"]
            .combine_chunks()
            .cast(pa.date32())
            .cast(pa.int32())
            .fill_null(-(2**31))
            .to_numpy()
            .astype(np.int64)
        )
    order = np.lexsort((-saving, -dates, customers))
    first = np.r_[True, np.diff(customers[order]) > 0] if len(order) else np.zeros(0, dtype=bool)
    chosen = np.zeros(len(ids), dtype=bool)
    chosen[order[first]] = True
    return chosen


def _best_first(rows: Any, saving: FloatArray, ids: Any) -> Any:
    """`rows` by falling saving; of equal ones the smaller id first, so that the order of the batch's files does not matter."""
    places = pc.rank(ids.take(pa.array(rows)), tiebreaker="first").to_numpy()
    return rows[np.lexsort((places, -saving[rows]))]


def _affordable(held: BoolArray, budget: float, contact_cost: float) -> int:
    """How many of the list fit the budget: who is held out takes a place and no money."""
    if contact_cost == 0:
        return len(held)
    calls = int(np.floor(budget / contact_cost + 1e-9))
    return int(np.searchsorted(np.cumsum(~held), calls, side="right"))


def _held_out(ids: list[str], share: float, programme: Programme, history: History) -> BoolArray:
    """Who is not contacted though listed: by hash, unless an earlier list whose outcome is still open has settled it."""
    edge = share * 2.0**64
    prefix = f"{programme.name}:{programme.period}:"
    held = (
        history.held_out[customer] if customer in history.held_out else share > 0 and _hash(prefix + customer) < edge
        for customer in ids
    )
    return np.fromiter(held, dtype=bool, count=len(ids))


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _with_decisions(predictions: pa.Table, status: Any, held: Any, propensity: FloatArray) -> pa.Table:
    """The predictions with what was done with each row."""
    chosen, held_out = status == LISTED, np.zeros(len(status), dtype=bool)
    held_out[held] = True
    why = pa.DictionaryArray.from_arrays(
        pa.array(status - 1, pa.int32(), mask=chosen), pa.array(WHY_NOT[1:], pa.string())
    )
    added = {
        "listed": pa.array(chosen),
        "held_out": pa.array(held_out),
        "contacted": pa.array(chosen & ~held_out),
        "propensity": pa.array(propensity),
        "left_out": why.cast(pa.string()),
    }
    for name, column in added.items():
        predictions = predictions.append_column(name, column)
    return predictions


def _told(rows: pa.Table, best: Any, contact_cost: float) -> Targeting:
    contacts = rows.take(pa.array(best)).drop_columns(["listed", "held_out", "contacted", "left_out"])
    contacts = contacts.add_column(0, "rank", pa.array(np.arange(1, len(best) + 1), pa.int64()))
    listed_rows, held = pc.sum(rows["listed"]).as_py() or 0, pc.sum(rows["held_out"]).as_py() or 0
    reasons = dict.fromkeys(WHY_NOT[1:], 0)
    for found in pc.value_counts(rows["left_out"].combine_chunks().drop_null()).to_pylist():
        reasons[found["values"]] = found["counts"]
    return Targeting(
        rows=rows,
        contacts=contacts,
        counts={"listed": listed_rows, "held out": held, "to contact": len(best), **reasons},
        listed=listed_rows,
        held_out=held,
        contact_cost=float(contact_cost) * len(best),
        expected_saving=float(pc.sum(contacts["expected_saving"]).as_py() or 0.0),
    )


def says_yes(column: Any, name: str) -> BoolArray:
    """Which rows of the opt-out column `name` say so, as `parse_opt_outs` reads it: (n,). Raises InputError for neither yes nor no."""
    return parse_opt_outs(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column, name, "the batch")


@dataclass(frozen=True, kw_only=True)
class HoldoutPower:
    """What a hold-out can show, before anything is sent: an effect is known to within `half_width`, money a customer, at 95 %."""

    contacted: int
    held_out: int
    half_width: float
    can_say: bool


def holdout_power(
    *, contacted: int, held_out: int, churn_rate: float, worth: float, effect: float = 0.0
) -> HoldoutPower:
    """Half the width of Newcombe's interval (1998, method 10) of the difference in churn, times what a customer is worth.

    `churn_rate`: expected among those held out. `effect`: money a contacted customer that is expected to be saved. Below 10 held out
    nothing can be said yet.
    """
    can_say = held_out >= LEAST_HELD_OUT and contacted >= LEAST_HELD_OUT
    if not (contacted and held_out):
        return HoldoutPower(contacted=contacted, held_out=held_out, half_width=float("inf"), can_say=False)
    treated = float(np.clip(churn_rate - effect / worth, 0.0, 1.0)) if worth else churn_rate
    low, high = _wilson(churn_rate, held_out)
    treated_low, treated_high = _wilson(treated, contacted)
    down = np.hypot(churn_rate - low, treated_high - treated)
    up = np.hypot(high - churn_rate, treated - treated_low)
    return HoldoutPower(
        contacted=contacted, held_out=held_out, half_width=float((down + up) / 2 * worth), can_say=can_say
    )


def _wilson(rate: float, rows: int, z: float = 1.959964) -> tuple[float, float]:
    centre, spread = rate + z * z / (2 * rows), z * np.sqrt(rate * (1 - rate) / rows + z * z / (4 * rows * rows))
    return float((centre - spread) / (1 + z * z / rows)), float((centre + spread) / (1 + z * z / rows))
