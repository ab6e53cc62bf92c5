"""`churn status`: every dataset on one screen."""

import argparse

from rich.console import Console

from churn_assets.cli.command import Command, ExitCode
from churn_assets.console.safe_text import say
from resources.settings import Settings


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """Add no argument: all datasets are shown."""


def run(_arguments: argparse.Namespace, settings: Settings, console: Console) -> int:
    """Print the summary; nothing is run."""
    from churn_assets.cli.summaries.status import status_summary
    from churn_assets.cli.workspace import open_instance
    from resources.specs.loader import load_specs
    from resources.wiring import wire

    specs = load_specs(settings.datasets)
    with open_instance(settings) as instance:
        say(console, status_summary(wire(settings), specs.datasets, specs.bad, instance))
    return ExitCode.DONE


COMMAND = Command(
    name="status",
    summary="Show every dataset on one screen: champion, batches that wait or are old and why, the last runs.",
    example="churn status",
    add_arguments=add_arguments,
    run=run,
)
