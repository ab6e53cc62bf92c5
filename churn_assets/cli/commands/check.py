"""`churn check`: every spec, read and not run."""

import argparse

from rich.console import Console

from churn_assets.cli.command import Command, ExitCode
from churn_assets.console.safe_text import say
from resources.settings import Settings


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """Add no argument: all specs are checked."""


def run(_arguments: argparse.Namespace, settings: Settings, console: Console) -> int:
    """Print what is wrong with each spec that cannot be used, and how many can."""
    from resources.specs.loader import load_specs

    specs = load_specs(settings.datasets)
    for error in specs.bad.values():
        say(console, str(error))
    say(console, f"Specs in {settings.datasets}: {len(specs.datasets)} can be used, {len(specs.bad)} cannot.")
    return ExitCode.MISUSED if specs.bad else ExitCode.DONE


COMMAND = Command(
    name="check",
    summary="Check every spec and print all problems; the exit code is 2 if there is one.",
    example="churn check",
    add_arguments=add_arguments,
    run=run,
)
