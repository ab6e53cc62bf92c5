"""`churn land`: copy files into the landing area."""

import argparse
from pathlib import Path

from rich.console import Console

from churn_assets.cli.command import FILE_HELP, Command, ExitCode, add_dataset_argument, find_dataset
from churn_assets.console.safe_text import say
from resources.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_dataset_argument(parser)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help=FILE_HELP)
    batch_help = "the batch these files belong to; without it they are training data"
    parser.add_argument("--batch", metavar="NAME", help=batch_help)


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> int:
    """Copy the files, and print what the landing area now holds."""
    from churn_assets.cli.workspace import prepare
    from resources.catalog.landing import land, list_batch, list_landed
    from resources.catalog.names import batch_landing_prefix, train_prefix
    from resources.wiring import wire

    dataset = find_dataset(settings, arguments.dataset)
    prepare(settings)
    lake = wire(settings).lake
    for file in land(lake, dataset.name, arguments.files, arguments.batch):
        say(console, f"Landed {lake.uri(file.key)} ({'replaces a file of that name' if file.replaced else 'new'})")
    if arguments.batch:
        data, folder = f"Batch {arguments.batch}", batch_landing_prefix(dataset.name, arguments.batch)
        count = len(list_batch(lake, dataset.name, arguments.batch).entries)
    else:
        data, folder = "The training data", train_prefix(dataset.name)
        count = len(list_landed(lake, folder))
    files = "1 file" if count == 1 else f"{count:,} files, read together"
    say(console, f"{data} of {dataset.name} is now {files}. To withdraw a file, remove it from {lake.uri(folder)}.")
    then = f"churn score {dataset.name} {arguments.batch}" if arguments.batch else f"churn retrain {dataset.name}"
    say(console, f"Next: {then}")
    return ExitCode.DONE


COMMAND = Command(
    name="land",
    summary="Copy files into the landing area: training data, or with --batch a batch to score.",
    example="churn land telco today.csv --batch today",
    add_arguments=add_arguments,
    run=run,
)
