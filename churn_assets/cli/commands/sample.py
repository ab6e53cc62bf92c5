"""`churn sample`: land made-up customers to try everything with."""

import argparse

from rich.console import Console

from churn_assets.cli.command import Command, ExitCode
from churn_assets.console.safe_text import say
from resources.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--rows", type=_positive, default=10_000, help="training rows (default 10000)")
    parser.add_argument("--seed", type=int, default=1729, help="another seed is another company (default 1729)")


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> int:
    """Write the files into the landing area and print what they are."""
    from churn_assets.cli.workspace import prepare
    from churn_assets.sample.landing import land_sample
    from resources.wiring import wire

    prepare(settings)
    lake, folder = wire(settings).lake, settings.home / "sample"
    for line in land_sample(lake, folder, rows=arguments.rows, seed=arguments.seed):
        say(console, line)
    say(console, "Next: churn retrain sample")
    return ExitCode.DONE


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, found {text!r}")
    return int(text)


COMMAND = Command(
    name="sample",
    summary="Make a telecom's customers with a known truth, and land them as dataset `sample`.",
    example="churn sample --rows 10000",
    add_arguments=add_arguments,
    run=run,
)
