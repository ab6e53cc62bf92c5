"""A request divided between two models by customer, and put together again in its order.

A customer is always answered by the same model: a hash of the id, with a salt of the test's own, says by which. It needs no memory, so that all workers
agree and a restart changes nothing. A row without an id is the champion's.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa

from churn_model.arrays import BoolArray
from churn_model.serving.answers import Outcome
from churn_model.serving.fields import Field, FieldProblem, RefusedRow, Role, landed_text
from churn_model.serving.plan import Answer, Plan
from churn_model.serving.protocol import (
    Request,
    Response,
    Task,
    TooLate,
    answer_fault,
    answer_rows,
    read_task,
    refuse,
    to_response,
)
from churn_model.serving.requests import BadRequest, Columns, Limits, Records


@dataclass(frozen=True, kw_only=True)
class Division:
    """The customers of a test. `share`: of customers that the challenger answers, from 0 to 1."""

    salt: str
    share: float

    def position(self, customer: str) -> int:
        """Return a customer's place among all, uniform from 0 to below 2^64."""
        return int.from_bytes(blake2b(customer.encode(), digest_size=8, key=self._key).digest(), "big")

    @cached_property
    def _key(self) -> bytes:
        return blake2b(self.salt.encode(), digest_size=32).digest()

    def is_challenger(self, customer: str | None) -> bool:
        """Return whether the challenger answers this customer."""
        return customer is not None and self.position(customer) < self.share * 2.0**64


@dataclass(frozen=True, kw_only=True)
class Divided:
    """An answer, the customer of each row (n,) where it has one, and which rows (n,) the challenger answered; both are empty if nothing was read.

    is_alone      whether it is one customer in JSON, which costs both models the same to read
    probability   of that customer, NaN if there are more, or no answer
    fault         a bug that one of the models ran into
    """

    response: Response
    customers: Sequence[str | None] = ()
    is_challenger: BoolArray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    is_alone: bool = False
    probability: float = math.nan
    fault: Exception | None = None


def respond_divided(champion: Plan, challenger: Plan, division: Division, request: Request, limits: Limits) -> Divided:
    """Answer each row by its customer's model; whatever is wrong is said in the answer. Raise TooLate."""
    try:
        task = read_task(champion, request, limits)
    except BadRequest as bad:
        return Divided(response=refuse(bad))
    customers = read_customers(champion, task.rows)
    chosen = np.fromiter(map(division.is_challenger, customers), dtype=bool, count=len(customers))
    # Told apart once, and alike for both models: the guard compares the times of single customers.
    rows_of_challenger = int(np.count_nonzero(chosen))
    only = champion if not rows_of_challenger else challenger if rows_of_challenger == len(customers) else None
    task = replace(task, wanted=task.wanted.as_objects())
    is_alone = isinstance(task.rows, Records) and len(task.rows.records) == 1
    try:
        if only and (only is champion or isinstance(task.rows, Records)):
            outcomes = answer_rows(only, task.rows, task.wanted)
        else:
            outcomes = _answer_both(champion, challenger, task, request, limits, chosen)
    except TooLate:
        raise
    except Exception as error:  # told and logged as ever; here it is also an error of the variant
        return Divided(
            response=answer_fault(), customers=customers, is_challenger=chosen, is_alone=is_alone, fault=error
        )
    plans = [] if only else [challenger if each else champion for each in chosen]
    first = outcomes[0]
    return Divided(
        response=to_response(only or plans[0], task, outcomes, plans),
        customers=customers,
        is_challenger=chosen,
        is_alone=is_alone,
        probability=first.churn_probability if is_alone and isinstance(first, Answer) else math.nan,
    )


def _answer_both(
    champion: Plan, challenger: Plan, task: Task, request: Request, limits: Limits, chosen: BoolArray
) -> list[Outcome]:
    """Return what becomes of each row, each answered by its own model, in their order."""
    of_champion = iter(answer_rows(champion, _keep(task.rows, ~chosen), task.wanted) if not chosen.all() else ())
    of_challenger = iter(answer_again(challenger, task, request, limits, chosen))
    return [next(of_challenger if each else of_champion) for each in chosen]


def answer_again(plan: Plan, task: Task, request: Request, limits: Limits, chosen: BoolArray) -> list[Outcome]:
    """Return the challenger's answers to the chosen rows. It reads the body itself: its fields may be others.

    A body that it cannot read is its own failure, and refuses these rows alone.
    """
    try:
        rows = read_task(plan, request, limits).rows if isinstance(task.rows, Columns) else task.rows
    except BadRequest as bad:
        return [(FieldProblem(None, bad.expected, bad.found, bad.todo),)] * int(chosen.sum())
    if count_rows(rows) != len(chosen):
        found = f"{count_rows(rows):,} for one model and {len(chosen):,} for the other"
        return [(FieldProblem(None, "the same rows for both models", found, "send a header"),)] * int(chosen.sum())
    return answer_rows(plan, _keep(rows, chosen), task.wanted)


def count_rows(rows: Records | Columns) -> int:
    """Return how many rows a request has."""
    return rows.count if isinstance(rows, Columns) else len(rows.records)


def _keep(rows: Records | Columns, chosen: BoolArray) -> Records | Columns:
    """Return some rows of a request, in their order."""
    if isinstance(rows, Records):
        return replace(rows, records=[each for each, is_kept in zip(rows.records, chosen, strict=True) if is_kept])
    new_place = np.cumsum(chosen) - 1
    kept = pa.array([bool(chosen[place]) for place in rows.places], pa.bool_())
    return replace(
        rows,
        columns={name: column.filter(kept) for name, column in rows.columns.items()},
        places=[int(new_place[place]) for place in rows.places if chosen[place]],
        count=int(chosen.sum()),
        problems={int(new_place[place]): each for place, each in rows.problems.items() if chosen[place]},
    )


def read_customers(plan: Plan, rows: Records | Columns) -> list[str | None]:
    """Return the id of each row as the model reads it, None for a row without one."""
    id_field = next((each for each in plan.fields if each.role is Role.ID), None)
    if id_field is None:
        return [None] * count_rows(rows)
    if isinstance(rows, Records):
        return [_read_id(plan, id_field, record) if isinstance(record, Mapping) else None for record in rows.records]
    customers: list[str | None] = [None] * rows.count
    if id_field.name in rows.columns:
        values = id_field.parse_column(rows.columns[id_field.name]).values.to_pylist()
        for place, value in zip(rows.places, values, strict=True):
            customers[place] = value
    return customers


def _read_id(plan: Plan, id_field: Field, record: Mapping[str, Any]) -> str | None:
    try:
        landed = plan.names.resolve(record).get(id_field.name)
        value, wrong = id_field.parse_value(landed_text(landed))
    except (RefusedRow, TypeError):
        return None
    return None if wrong is not None else value
