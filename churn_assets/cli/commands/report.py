"""`churn report`: the last evaluation in a few lines."""

import argparse

from rich.console import Console

from churn_assets.cli.command import Command, ExitCode, add_dataset_argument, find_dataset
from churn_assets.console.safe_text import say
from resources.settings import Settings


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> int:
    """Print the summary; nothing is run."""
    from churn_assets.cli.summaries.report import report_summary
    from resources.wiring import wire

    say(console, report_summary(wire(settings), find_dataset(settings, arguments.dataset)))
    return ExitCode.DONE


COMMAND = Command(
    name="report",
    summary="Summarise the last evaluation, and print where its page is.",
    example="churn report telco",
    add_arguments=add_dataset_argument,
    run=run,
)
