"""What `churn` prints at the end of a command: a few lines that a manager reads, each figure with the assumption it rests on."""

from churn_assets.cli.summaries.compare import compare_summary
from churn_assets.cli.summaries.explore import explore_summary
from churn_assets.cli.summaries.report import report_summary
from churn_assets.cli.summaries.retrain import retrain_summary
from churn_assets.cli.summaries.score import score_summary
from churn_assets.cli.summaries.status import status_summary

__all__ = [
    "compare_summary",
    "explore_summary",
    "report_summary",
    "retrain_summary",
    "score_summary",
    "status_summary",
]
