"""`churn variant`: the test of a candidate that `churn serve --variant` began, shown and ended."""

import argparse

from rich.console import Console

from churn_assets.cli.command import Command, ExitCode, add_dataset_argument, find_dataset
from churn_assets.console.safe_text import say
from resources.errors import CommandError
from resources.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_dataset_argument(parser)
    action_help = "status: how the tests go, also without a server; withdraw: leave all customers to the champion again, without a restart"
    parser.add_argument("action", choices=("status", "withdraw"), help=action_help)


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> int:
    """Show the tests of a dataset, or end those that run."""
    from churn_assets.cli.summaries.variant import variant_summary
    from churn_assets.model_server.ab_test import TESTS, find_tests
    from resources.catalog.pointers import read_champion
    from resources.wiring import wire

    dataset = find_dataset(settings, arguments.dataset)
    tests = find_tests(settings.home / TESTS, dataset.name)
    if arguments.action == "withdraw":
        left = [test for test in tests if not test.is_withdrawn]  # an alarm may have been told, and nothing done
        if not left:
            raise CommandError(
                f"Nothing to withdraw: no candidate of {dataset.name} is left. `churn serve {dataset.name} --variant` begins a test."
            )
        for test in left:
            test.withdraw()
    champion = read_champion(wire(settings).lake, dataset.name)
    states = [test.read_state() for test in tests]
    say(console, variant_summary(dataset.name, champion.version if champion else "none", states))
    return ExitCode.DONE


COMMAND = Command(
    name="variant",
    summary="Show how the test of a candidate goes that `churn serve --variant` began, or withdraw the candidate.",
    example="churn variant telco status",
    add_arguments=add_arguments,
    run=run,
)
