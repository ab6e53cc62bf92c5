"""`churn sql`: a query over the published tables, with functions that ask the champion."""

import argparse
import sys

from rich.console import Console

from churn_assets.cli.command import Command, ExitCode, add_dataset_argument, find_dataset
from churn_assets.console.safe_text import say
from resources.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_dataset_argument(parser)
    parser.add_argument(
        "query",
        metavar="QUERY",
        nargs="?",
        help="one SELECT; churn_probability(t) and will_churn(t) ask the champion about the rows of t. Without it: the functions written out",
    )


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> int:
    """Write the rows of the query as CSV."""
    from churn_assets.sql.query import load_plan, run_query, written_out

    dataset = find_dataset(settings, arguments.dataset)
    plan = load_plan(settings, dataset)
    if arguments.query is None:
        say(console, written_out(plan))
    else:
        run_query(settings, plan, arguments.query, sys.stdout)
    return ExitCode.DONE


COMMAND = Command(
    name="sql",
    summary="Query the published tables with functions that ask the champion; the rows go to standard output as CSV.",
    example="churn sql telco 'SELECT customerID, churn_probability(t) FROM telco.raw_customers t'",
    add_arguments=add_arguments,
    run=run,
)
