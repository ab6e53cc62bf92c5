"""Step `score`: a prediction for each row of a batch, row group by row group.

Inputs: `rows` (a published `raw_batch`), `bundle` (the champion resolved for it). Result: table `predictions`.
"""

from dataclasses import replace

from churn_model.models.bundle_file import BUNDLE
from churn_model.reports.step_report import Report
from churn_model.scoring import prediction_schema
from churn_model.steps.batch_scorer import BatchScorer, repeated_columns
from churn_model.steps.contract import Layout
from churn_model.steps.score_report import report_parts
from churn_model.tables import TableWriter, open_table


def step(layout: Layout) -> Report:
    """Score the batch."""
    scorer = BatchScorer(layout.required("bundle") / BUNDLE, layout.dataset, layout.request)
    source = open_table(layout.required("rows") / "rows")
    schema = prediction_schema(source.schema)
    with TableWriter(layout.result / "predictions", schema, key="id", dictionaries=repeated_columns(schema)) as writer:
        scored = scorer.score(source, writer.write)
    return report_parts([replace(scored, written=open_table(layout.result / "predictions").rows)])
