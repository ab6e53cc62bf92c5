"""`churn retrain`: from landed files to the gate's decision."""

import argparse

from rich.console import Console

from churn_assets.cli.command import Command, ExitCode, add_dataset_argument, find_dataset
from churn_assets.cli.run_job import run_job
from churn_assets.console.safe_text import say
from resources.settings import Settings


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> int:
    """Run the job and print what it came to."""
    from churn_assets.cli.summaries.retrain import retrain_summary
    from resources.catalog.names import retrain_job_name
    from resources.wiring import wire

    dataset = find_dataset(settings, arguments.dataset)
    result = run_job(settings, console, dataset, retrain_job_name(dataset.name))
    if result is None:
        return ExitCode.FAILED
    summary = retrain_summary(wire(settings), dataset, result)
    say(console, summary.text)
    return ExitCode.DONE if summary.has_champion else ExitCode.NOTHING_PROMOTED


COMMAND = Command(
    name="retrain",
    summary="Run <dataset>_retrain: from landed files to the gate's decision.",
    example="churn retrain telco",
    add_arguments=add_dataset_argument,
    run=run,
)
