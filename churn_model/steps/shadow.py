"""Step `shadow`: two models on the rows of a batch, block by block, at today's costs: whom they decide otherwise.

Inputs: `rows` (the batch with the columns that both models read), `first`, `second`. Result: table `differences`, and `differences.csv`, the same
for a spreadsheet: the rows decided otherwise, the largest first.
"""

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from churn_model.decisions.list_csv import write_csv
from churn_model.decisions.policy import Policy
from churn_model.evaluation.shadow import FIRST, SECOND, Judged, ShadowCounter
from churn_model.models.bundle import Bundle, read_bundle
from churn_model.models.bundle_file import BUNDLE
from churn_model.reports.shadow import ShadowReport
from churn_model.reports.step_report import Report
from churn_model.steps.contract import Layout
from churn_model.tables import open_table, write_table


def step(layout: Layout) -> Report:
    """Score with both, and compare what each decides."""
    policy, threads = Policy(layout.dataset.costs), int(layout.request["threads"])
    first, second = (read_bundle(layout.required(name) / BUNDLE, threads=threads) for name in ("first", "second"))
    source = open_table(layout.required("rows") / "rows")
    counter = ShadowCounter(source.schema)
    for block in source.blocks():
        counter.add(block, _judge(block, first, policy), _judge(block, second, policy))
    largest = counter.largest()
    write_table(layout.result / "differences", largest)
    write_csv(_round(largest), layout.result / "differences.csv", excel=layout.dataset.list.excel)
    content = ShadowReport(
        counts=counter.counts(),
        first_version=first.version,
        second_version=second.version,
        only_first=counter.only[FIRST],
        only_second=counter.only[SECOND],
        listed=largest.num_rows,
        assumed_success=policy.assumed_success,
    )
    return Report(
        content=replace(content, metrics={f"at_stake_{name}": money for name, money in vars(content.at_stake).items()})
    )


def _judge(block: pa.RecordBatch, bundle: Bundle, policy: Policy) -> Judged:
    probability = bundle.probabilities(block)
    return Judged(probability=probability, decisions=policy.decide(probability, policy.worth(block)))


def _round(table: pa.Table) -> pa.Table:
    """Return probabilities and money in as many digits as people read."""
    for place, name in enumerate(table.column_names):
        digits = 3 if name.startswith("probability") else 2 if name.startswith("expected_saving") else None
        if digits:
            table = table.set_column(place, name, pc.round(table[name], digits))
    return table
