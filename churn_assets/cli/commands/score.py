"""`churn score`: score a landed batch and list whom to contact."""

import argparse

from rich.console import Console

from churn_assets.cli.command import Command, ExitCode, add_dataset_argument, find_dataset
from churn_assets.cli.run_job import run_job
from churn_assets.console.safe_text import say
from resources.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_dataset_argument(parser)
    parser.add_argument("batch", metavar="BATCH", help="the name of a landed batch")
    parser.add_argument(
        "--provisional",
        action="store_true",
        help="without a champion: score with the model that the gate refused, marked on each row",
    )
    parser.add_argument("--accept", action="store_true", help="score it although it does not look like training")


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> int:
    """Run the job for one batch and print the list's figures."""
    from churn_assets.assets.batch_predictions import ACCEPT_TAG
    from churn_assets.assets.raw_batch import PROVISIONAL_TAG
    from churn_assets.cli.summaries.score import score_summary
    from resources.catalog.landing import list_batch
    from resources.catalog.names import partitions_name, score_job_name
    from resources.wiring import wire

    dataset = find_dataset(settings, arguments.dataset)
    ports = wire(settings)
    list_batch(ports.lake, dataset.name, arguments.batch)  # refuses a wrong name before a run starts
    partition = (partitions_name(dataset.name), arguments.batch)
    tags = {ACCEPT_TAG: "yes"} if arguments.accept else {}
    tags |= {PROVISIONAL_TAG: "yes"} if arguments.provisional else {}
    if run_job(settings, console, dataset, score_job_name(dataset.name), partition=partition, tags=tags) is None:
        return ExitCode.FAILED
    say(console, score_summary(ports, dataset, arguments.batch))
    return ExitCode.DONE


COMMAND = Command(
    name="score",
    summary="Run <dataset>_score_batch: predictions, reasons and the list of whom to contact.",
    example="churn score telco today",
    add_arguments=add_arguments,
    run=run,
)
