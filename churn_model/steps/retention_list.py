"""Step `retention_list`: whom to contact, and what was decided for every scored row.

Inputs: `predictions`, `rows` (only if the spec names an opt-out or a worth column), `recent` (assignments of the lists within the cooldown) and `settled`
(of the lists whose outcome is still open), each absent if there is none. Of the request: `period`, for which a hold-out is drawn.
Result: tables `assignments` (every row, in the order of the predictions) and `contacts` (best first), `list/holdout.txt` (what the hold-out can
show). `list_layout` makes of it what people read.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn_model.arrays import BoolArray, FloatArray, IntArray
from churn_model.checks import Check
from churn_model.column_types.number import as_numbers
from churn_model.decisions.holdout import SMALLEST_RATIO_P, Draws, HoldoutDraw, holdout_power, sample_ratio_p
from churn_model.decisions.policy import Policy
from churn_model.decisions.retention_list import (
    LISTED,
    REASONS,
    History,
    Selection,
    StatusArray,
    find_latest,
    row_status,
    select_customers,
)
from churn_model.errors import InputError, problem
from churn_model.ingest.values import parse_opt_outs
from churn_model.prefetch import prefetch
from churn_model.reports.retention_list import Holdout, ListCounts, ListMoney, ListReport, describe_holdout
from churn_model.reports.step_report import Report
from churn_model.spec.column_names import same_name
from churn_model.spec.dataset import Dataset
from churn_model.steps.claims.retention_list import RATIO
from churn_model.steps.contract import Layout
from churn_model.tables import BLOCK_ROWS, TableReader, TableWriter, open_table, write_table

_IDS = pa.large_string()  # 2 GB of ids are no limit then


@dataclass(frozen=True, kw_only=True)
class _Decided:
    """What is decided for the n rows of a batch; `best_first`: the rows of those to contact. A row that is not listed has a propensity of 0.

    `latest` (n,): whether the row is its customer's last, which speaks for the customer.
    """

    status: StatusArray
    held_out: BoolArray
    propensity: FloatArray
    best_first: IntArray
    latest: BoolArray
    holdout: Holdout


def step(layout: Layout) -> Report:
    """Select the customers to contact, and write what was decided for every row."""
    dataset = layout.dataset
    predictions = open_table(layout.required("predictions") / "predictions")
    contact_cost = Policy(dataset.costs).contact_cost
    decided = _decide(layout, predictions, dataset, contact_cost)
    at_stake = _read_value_at_stake(layout, dataset, len(decided.status))
    contacts = _write_assignments(layout.result / "assignments", predictions, decided, at_stake)
    write_table(layout.result / "contacts", contacts)
    (layout.result / "list").mkdir()
    (layout.result / "list" / "holdout.txt").write_text(describe_holdout(decided.holdout) + "\n", "utf-8")
    by_status = np.bincount(decided.status, minlength=len(REASONS)).tolist()
    counts = ListCounts(
        rows=len(decided.status),
        held_out=int(decided.held_out.sum()),
        to_contact=contacts.num_rows,
        customers=int(decided.latest.sum()),
        **{reason.replace(" ", "_"): count for reason, count in zip(REASONS, by_status, strict=True)},
    )
    lost, saved = (float(pc.sum(column).as_py() or 0.0) for column in (_loss(contacts), contacts["expected_saving"]))
    money = ListMoney(
        contact_cost=float(contact_cost * contacts.num_rows),
        expected_saving=saved,
        value_at_stake=float(pc.sum(contacts["value_at_stake"]).as_py() or 0.0),
        expected_loss=lost,
        expected_loss_of_all=_sum_losses(predictions, at_stake, decided.latest),
    )
    return Report(
        content=ListReport(counts=counts, metrics=money, holdout=decided.holdout),
        checks=[_check_ratio(decided.holdout, dataset.list.holdout)],
    )


def _loss(rows: pa.Table | pa.RecordBatch) -> Any:
    """Return the money that each customer (n,) is expected to cost if nobody calls."""
    return pc.multiply(rows.column("churn_probability"), rows.column("value_at_stake"))


def _sum_losses(predictions: TableReader, at_stake: FloatArray, latest: BoolArray) -> float:
    """Return the money that all customers are expected to cost if nobody calls, each counted by the latest row."""
    total, start = 0.0, 0
    for block in prefetch(predictions.blocks(["churn_probability"])):
        rows = slice(start, start + block.num_rows)
        total += float((block.column(0).to_numpy() * at_stake[rows])[latest[rows]].sum())
        start += block.num_rows
    return total


def _decide(layout: Layout, predictions: TableReader, dataset: Dataset, contact_cost: float) -> _Decided:
    will_churn, first_row = _read_flags(predictions)
    status = row_status(will_churn, first_row, _read_opt_outs(layout, dataset.list.opt_out))
    worth_contacting = np.flatnonzero(status == LISTED)
    ids, saving, probability = _read_customers(predictions, status == LISTED)
    recent, settled = (_find_tables(layout.input(name)) for name in ("recent", "settled"))
    selection = select_customers(
        ids,
        saving,
        dataset.list,
        contact_cost=contact_cost,
        draw=HoldoutDraw(programme=dataset.name, period=str(layout.request["period"])),
        history=History(
            listed=_read_listed(recent),
            draws=_read_draws(settled),
        ),
    )
    status[worth_contacting] = selection.status
    held_out = np.zeros(len(status), dtype=bool)
    listed = worth_contacting[selection.order]
    held_out[listed[selection.held_out]] = True
    propensity = np.zeros(len(status))
    propensity[listed] = selection.propensity
    return _Decided(
        status=status,
        held_out=held_out,
        propensity=propensity,
        best_first=listed[~selection.held_out],
        latest=find_latest(first_row),
        holdout=_summarize_holdout(selection, probability[selection.order], dataset.list.holdout),
    )


def _summarize_holdout(selection: Selection, probability: FloatArray, share: float) -> Holdout:
    """Return what the hold-out among the listed customers can show; `probability` (listed,) is that of leaving."""
    compared = (selection.propensity > 0.0) & (selection.propensity < 1.0)
    phases = [
        (int((~selection.held_out[of_phase]).sum()), int(selection.held_out[of_phase].sum()))
        for of_phase in (selection.propensity == each for each in np.unique(selection.propensity[compared]))
    ]
    drawn, held_out = int(selection.new.sum()), int(selection.held_out[selection.new].sum())
    churn = float(probability[compared].mean()) if compared.any() else None
    return Holdout(
        drawn=drawn,
        drawn_held_out=held_out,
        ratio_p=sample_ratio_p(drawn, held_out, share),
        phases=len(phases),
        power=holdout_power(phases, churn),
    )


def _check_ratio(holdout: Holdout, share: float) -> Check:
    p = holdout.ratio_p
    found = f"{holdout.drawn_held_out:,} of {holdout.drawn:,} drawn customers held out"
    return RATIO.check(
        p is None or p >= SMALLEST_RATIO_P,
        expected=f"about {share:.0%} of the customers drawn for this list held out",
        found=found if p is None else f"{found} (chi-square, p = {p:.2g})",
        todo="read no effect from this list: the hold-out is not the draw that it should be; look at how ids are written",
    )


def _read_flags(predictions: TableReader) -> tuple[BoolArray, BoolArray]:
    """Return whether contacting each row pays (n,), and whether it is the first of its customer (n,)."""
    will_churn, first_row = [np.zeros(0, dtype=bool)], [np.zeros(0, dtype=bool)]
    before: pa.Scalar | None = None
    for block in prefetch(predictions.blocks(["id", "will_churn"])):
        ids = block.column("id")
        changes = pc.not_equal(ids.slice(1), ids.slice(0, len(ids) - 1)).to_numpy(zero_copy_only=False)
        starts = before is None or before.as_py() != ids[0].as_py()
        first_row.append(np.insert(changes, 0, starts))
        will_churn.append(block.column("will_churn").to_numpy(zero_copy_only=False))
        before = ids[-1]
    return np.concatenate(will_churn), np.concatenate(first_row)


def _read_opt_outs(layout: Layout, column: str | None) -> BoolArray | None:
    """Return whether each row of the batch (n,) opts out. Raise InputError if the rows lack the column or a value is neither yes nor no."""
    if column is None:
        return None
    blocks = _read_column(layout, column, "the opt-out column", "list.opt_out")
    opted_out: BoolArray = np.concatenate(
        [np.zeros(0, dtype=bool), *(parse_opt_outs(block.column(0), column, "the batch") for block in blocks)]
    )
    return opted_out


def _read_value_at_stake(layout: Layout, dataset: Dataset, count: int) -> FloatArray:
    """Return the money that is lost if a customer leaves without a contact (n,). Raise InputError if the rows lack the column of worth."""
    policy, worth = Policy(dataset.costs), None
    if column := dataset.costs.value_column:
        blocks = _read_column(layout, column, "the column of worth", "costs.contact.value.column")
        worth = np.concatenate([np.zeros(0), *(as_numbers(block.column(0), column) for block in blocks)])
    return np.broadcast_to(policy.outcome_costs(worth).false_negative, count)


def _read_column(layout: Layout, column: str, what: str, key: str) -> Iterator[pa.RecordBatch]:
    """Yield blocks of one column of the batch's rows, which are in the order of the predictions."""
    rows = open_table(layout.required("rows") / "rows")
    names = [name for name in rows.schema.names if same_name(name, column)]
    if not names:
        raise InputError(problem(expected=f"{what} {column}", found="none", todo=f"land it, or remove {key}"))
    yield from prefetch(rows.blocks(names))


def _read_customers(predictions: TableReader, wanted: BoolArray) -> tuple[pa.Array, FloatArray, FloatArray]:
    """Return the ids, the expected savings and the churn probabilities of the wanted rows."""
    ids, savings, probabilities = [pa.array([], _IDS)], [np.zeros(0)], [np.zeros(0)]
    start = 0
    for block in prefetch(predictions.blocks(["id", "expected_saving", "churn_probability"])):
        mask = pa.array(wanted[start : start + block.num_rows])
        ids.append(block.column("id").filter(mask).cast(_IDS))
        savings.append(block.column("expected_saving").filter(mask).to_numpy())
        probabilities.append(block.column("churn_probability").filter(mask).to_numpy())
        start += block.num_rows
    return pa.concat_arrays(ids), np.concatenate(savings), np.concatenate(probabilities)


def _find_tables(folder: Path | None) -> list[Path]:
    """Return the folders of tables below an input, in the order of their names; links are followed."""
    if folder is None:
        return []
    return sorted(Path(at) for at, _, files in os.walk(folder, followlinks=True) if any(map(_is_part, files)))


def _is_part(name: str) -> bool:
    return name.endswith(".parquet")


def _read_listed(tables: list[Path]) -> Iterator[pa.Array]:
    """Yield the ids of the listed rows of earlier assignments."""
    for table in tables:
        for block in open_table(table).blocks(["id", "listed"], rows=8 * BLOCK_ROWS):
            yield block.column("id").filter(block.column("listed"))


def _read_draws(tables: list[Path]) -> Iterator[Draws]:
    """Yield the draws of the listed rows of earlier assignments."""
    for table in tables:
        for block in open_table(table).blocks(["id", "listed", "held_out", "propensity"], rows=8 * BLOCK_ROWS):
            rows = block.filter(block.column("listed"))
            yield Draws(
                ids=rows.column("id"),
                held_out=rows.column("held_out").to_numpy(zero_copy_only=False),
                propensity=rows.column("propensity").to_numpy(),
            )


def _write_assignments(folder: Path, predictions: TableReader, decided: _Decided, at_stake: FloatArray) -> pa.Table:
    """Write what was decided for every row, and what is at stake (n,), and return the rows to contact, best first, with their ranks."""
    words = pa.array([None, *REASONS[1:]], pa.string())
    added = [
        ("value_at_stake", pa.float64()),
        ("listed", pa.bool_()),
        ("held_out", pa.bool_()),
        ("contacted", pa.bool_()),
        ("propensity", pa.float64()),
    ]
    schema = pa.schema([*predictions.schema, *(pa.field(*column) for column in (*added, ("left_out", pa.string())))])
    contacts = []
    with TableWriter(folder, schema, key="id") as writer:
        start = 0
        for block in prefetch(predictions.blocks()):
            rows = slice(start, start + block.num_rows)
            listed, held_out = decided.status[rows] == LISTED, decided.held_out[rows]
            columns = [
                *block.columns,
                pa.array(at_stake[rows]),
                pa.array(listed),
                pa.array(held_out),
                pa.array(listed & ~held_out),
                pa.array(decided.propensity[rows]),
                words.take(pa.array(decided.status[rows])),
            ]
            assignments = pa.RecordBatch.from_arrays(columns, schema=schema)
            writer.write(assignments)
            contacts.append(assignments.filter(assignments.column("contacted")))
            start += block.num_rows
    return _rank(pa.Table.from_batches(contacts, schema=schema), decided.best_first)


def _rank(contacts: pa.Table, best_first: IntArray) -> pa.Table:
    """Return the contacts, which come in the order of the rows, best first. `best_first`: their rows in that order."""
    places = np.empty(len(best_first), dtype=np.int64)
    places[np.argsort(best_first)] = np.arange(len(best_first))
    ranked = contacts.take(pa.array(places)).drop_columns(["listed", "held_out", "contacted", "left_out"])
    return ranked.add_column(0, "rank", pa.array(np.arange(1, len(best_first) + 1)))
