"""The retention list: whom to contact, best first, within budget and capacity, and who is held out so that the effect can be measured.

Customers are arrays here, never Python objects: a batch has millions of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn_model.arrays import BoolArray, FloatArray, IntArray
from churn_model.decisions.holdout import Draws, HoldoutDraw, Settled, draw_held_out, find_settled
from churn_model.errors import InputError, problem
from churn_model.spec.sections.retention_list import RetentionList

LISTED, BELOW_CUTOFF, OTHER_ROW, OPTED_OUT, COOLDOWN, OVER_CAPACITY, OVER_BUDGET = range(7)
"""What is decided for a row: on the list, or the first reason that keeps it off."""
REASONS = (
    "listed",
    "below the cutoff",
    "another row of this customer",
    "opted out",
    "listed not long ago",
    "beyond the capacity",
    "beyond the budget",
)
_DRAW_ROWS = 65_536

StatusArray = np.ndarray[Any, np.dtype[np.int8]]


@dataclass(frozen=True, kw_only=True)
class History:
    """What earlier lists assigned, in blocks that are each read once.

    listed  ids (Arrow text) of the customers on a list within the cooldown
    draws   the hold-out's draws of the lists whose outcome is still open
    """

    listed: Iterable[pa.Array] = ()
    draws: Iterable[Draws] = ()


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What is decided for n customers.

    status      (n,) LISTED, COOLDOWN, OVER_CAPACITY or OVER_BUDGET
    order       (listed,) positions of the listed customers, best first; those held out are among them
    held_out    (listed,) whether each of `order` is held out
    propensity  (listed,) the chance of being contacted that its draw was made with; 1 without a draw
    new         (listed,) whether this list makes the draw
    """

    status: StatusArray
    order: IntArray
    held_out: BoolArray
    propensity: FloatArray
    new: BoolArray


def row_status(will_churn: BoolArray, first_row: BoolArray, opted_out: BoolArray | None = None) -> StatusArray:
    """Return LISTED, BELOW_CUTOFF, OTHER_ROW or OPTED_OUT for each row (n,).

    A customer's rows are neighbours, by date. `first_row` marks the first of each customer; the last, the latest, speaks for the customer.
    An opt-out in any row speaks for all of them.
    """
    status = np.where(will_churn, LISTED, BELOW_CUTOFF).astype(np.int8)
    status[(status == LISTED) & ~find_latest(first_row)] = OTHER_ROW
    if opted_out is not None and len(opted_out):
        starts = np.flatnonzero(first_row)
        rows = np.diff(np.append(starts, len(first_row)))
        refused = np.repeat(np.logical_or.reduceat(opted_out, starts), rows)
        status[(status == LISTED) & refused] = OPTED_OUT
    return status


def find_latest(first_row: BoolArray) -> BoolArray:
    """Return whether each row (n,) is the last of its customer, which speaks for the customer. See `row_status`."""
    return np.append(first_row[1:], True)[: len(first_row)]


def select_customers(
    ids: pa.Array,
    saving: FloatArray,
    limits: RetentionList,
    *,
    contact_cost: float,
    draw: HoldoutDraw,
    history: History,
) -> Selection:
    """Select the customers to list: best expected saving (n,) first, within budget and capacity, after the cooldown.

    ids           (n,) text, each customer once
    contact_cost  money per contact

    Held-out customers are drawn from those who would be on the list; they take a place on it and no money.
    Raise InputError if the contact cost is negative.
    """
    if not contact_cost >= 0:
        raise InputError(
            problem(
                expected="a contact that costs 0 or more", found=str(contact_cost), todo="look at costs in the spec"
            )
        )
    status = np.full(len(ids), LISTED, dtype=np.int8)
    status[_are_among(ids, history.listed)] = COOLDOWN
    eligible = np.flatnonzero(status == LISTED)
    order = _sort_best_first(eligible, saving, ids, limits.capacity)
    calls = None
    if limits.budget is not None and contact_cost > 0:
        calls = int(np.floor(limits.budget / contact_cost + 1e-9))
    chosen = ids.take(pa.array(order))
    settled = find_settled(chosen, history.draws)
    held_out = _draw(chosen, limits.holdout, calls, draw, settled)
    status[eligible] = OVER_BUDGET if len(held_out) < len(order) else OVER_CAPACITY
    order = order[: len(held_out)]
    status[order] = LISTED
    known = settled.known[: len(order)]
    return Selection(
        status=status,
        order=order,
        held_out=held_out,
        propensity=np.where(known, settled.propensity[: len(order)], 1.0 - limits.holdout),
        new=~known & (limits.holdout > 0),
    )


def _are_among(ids: pa.Array, blocks: Iterable[pa.Array]) -> BoolArray:
    """Return whether each id (n,) is in one of the blocks. Ids are compared as text, not by a hash."""
    found = np.zeros(len(ids), dtype=bool)
    for block in blocks:
        if len(block):
            found |= pc.is_in(ids, value_set=block.cast(ids.type)).to_numpy(zero_copy_only=False)
    return found


def _sort_best_first(rows: IntArray, saving: FloatArray, ids: pa.Array, most: int | None) -> IntArray:
    """Return the `most` best of `rows` by falling saving; of equal ones the smaller id first, so that the order of the files does not matter."""
    if most is not None and most < len(rows):
        worst = np.partition(saving[rows], len(rows) - most)[len(rows) - most]
        rows = rows[saving[rows] >= worst]
    order = rows[np.argsort(-saving[rows], kind="stable")]
    savings = saving[order]
    equal = np.flatnonzero(savings[1:] == savings[:-1])
    tied = np.union1d(equal, equal + 1)
    if len(tied):
        places = pc.rank(ids.take(pa.array(order[tied])), tiebreaker="first").to_numpy()
        order[tied] = order[tied][np.lexsort((places, -savings[tied]))]
    return order[:most]


def _draw(ids: pa.Array, share: float, calls: int | None, draw: HoldoutDraw, settled: Settled) -> BoolArray:
    """Return whether each of the customers, best first, is held out, as far as `calls` contacts reach: (listed,).

    A settled draw holds, also if the share is another today; the others are drawn at today's share.
    """
    held_out = settled.held_out.copy()
    contacts = 0
    for start in range(0, len(ids), _DRAW_ROWS):
        rows = slice(start, start + _DRAW_ROWS)
        if share > 0:
            undrawn = np.flatnonzero(~settled.known[rows]) + start
            held_out[undrawn] = draw_held_out(ids.take(pa.array(undrawn)), share, draw)
        contacted = np.cumsum(~held_out[rows])
        if calls is not None and contacts + contacted[-1] > calls:
            return held_out[: start + int(np.searchsorted(contacted, calls - contacts, side="right"))]
        contacts += int(contacted[-1])
    return held_out
