"""`churn rollback`: make an earlier champion the champion again."""

import argparse

from rich.console import Console

from churn_assets.cli.command import Command, ExitCode, add_dataset_argument, find_dataset
from churn_assets.cli.run_job import run_job
from churn_assets.console.safe_text import say
from resources.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_dataset_argument(parser)
    version_help = "default: the champion before the last promotion"
    parser.add_argument("version", nargs="?", default="previous", metavar="VERSION", help=version_help)


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> int:
    """Run the job and print the champion there is now."""
    from churn_assets.assets.champion_model import plan_rollback
    from resources.catalog.names import CHAMPION_MODEL, op_name, rollback_job_name
    from resources.catalog.pointers import read_champion
    from resources.wiring import wire

    dataset = find_dataset(settings, arguments.dataset)
    ports = wire(settings)
    # Refuses a wrong version before a run starts.
    is_done = plan_rollback(ports.lake, dataset, arguments.version).earlier is None
    ops = {op_name(dataset.name, CHAMPION_MODEL): {"config": {"rollback_to": arguments.version}}}
    if run_job(settings, console, dataset, rollback_job_name(dataset.name), ops=ops) is None:
        return ExitCode.FAILED
    champion = read_champion(ports.lake, dataset.name)
    version, reason = (champion.version, champion.reason) if champion else ("none", "")
    say(console, f"The champion of {dataset.name} is {'already ' if is_done else ''}{version}. {reason}")
    if is_done:
        say(console, f"To make another model the champion, name it: churn rollback {dataset.name} VERSION")
    return ExitCode.DONE


COMMAND = Command(
    name="rollback",
    summary="Make an earlier champion the champion again; no retrain promotes the present one again by itself.",
    example="churn rollback telco",
    add_arguments=add_arguments,
    run=run,
)
