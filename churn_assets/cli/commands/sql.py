"""`churn sql`: a query over the published tables, with functions that ask the champion."""

import argparse
import sys

from rich.console import Console

from churn_assets.cli.command import Command, ExitCode, add_dataset_argument, find_dataset
from churn_assets.console.safe_text import say
from churn_model.errors import problem
from resources.errors import CommandError
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
    parser.add_argument(
        "--for",
        dest="service",
        choices=("aurora-postgresql", "aurora-mysql", "athena", "redshift"),
        help="instead of a query: the SQL and the policy with which this service asks a SageMaker endpoint; only aurora-postgresql has been run",
    )
    parser.add_argument("--endpoint", metavar="NAME", help="the SageMaker endpoint that --for asks")


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> int:
    """Write the rows of the query as CSV, or the SQL of a service."""
    from churn_assets.sql.query import load_plan, run_query, written_out
    from churn_assets.sql.services import write_service

    _require_one_use(arguments)
    dataset = find_dataset(settings, arguments.dataset)
    plan = load_plan(settings, dataset)
    if arguments.service:
        sys.stdout.write(write_service(plan, arguments.service, arguments.endpoint) + "\n")
    elif arguments.query is None:
        say(console, written_out(plan))
    else:
        run_query(settings, plan, arguments.query, sys.stdout)
    return ExitCode.DONE


def _require_one_use(arguments: argparse.Namespace) -> None:
    """Raise CommandError unless there is a query, or a service with its endpoint, or neither."""
    if bool(arguments.service) != bool(arguments.endpoint) or (arguments.service and arguments.query is not None):
        given = [("QUERY", arguments.query), ("--for", arguments.service), ("--endpoint", arguments.endpoint)]
        found = ", ".join(name for name, value in given if value is not None)
        todo = "leave one out, or add what is missing"
        raise CommandError(problem(expected="a query, or --for with --endpoint", found=found, todo=todo))


COMMAND = Command(
    name="sql",
    summary="Query the published tables with functions that ask the champion; the rows go to standard output as CSV.",
    example="churn sql telco 'SELECT customerID, churn_probability(t) FROM telco.raw_customers t'",
    add_arguments=add_arguments,
    run=run,
)
