"""`churn explore`: what landed, on one page."""

import argparse

from rich.console import Console

from churn_assets.cli.command import Command, ExitCode, add_dataset_argument, find_dataset
from churn_assets.cli.run_job import run_job
from churn_assets.console.safe_text import say
from resources.settings import Settings


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> int:
    """Run the job and print where its page is."""
    from churn_assets.cli.summaries.explore import explore_summary
    from resources.catalog.names import explore_job_name
    from resources.wiring import wire

    dataset = find_dataset(settings, arguments.dataset)
    if run_job(settings, console, dataset, explore_job_name(dataset.name)) is None:
        return ExitCode.FAILED
    say(console, explore_summary(wire(settings), dataset))
    return ExitCode.DONE


COMMAND = Command(
    name="explore",
    summary="Run <dataset>_explore: what landed, on one page, before any training.",
    example="churn explore telco",
    add_arguments=add_dataset_argument,
    run=run,
)
