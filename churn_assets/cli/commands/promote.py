"""`churn promote`: approve the candidate, where the gate asks a person."""

import argparse

from rich.console import Console

from churn_assets.cli.command import Command, ExitCode, add_dataset_argument, find_dataset
from churn_assets.cli.run_job import run_job
from churn_assets.console.safe_text import say
from resources.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_dataset_argument(parser)


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> int:
    """Run the job and print the champion there is now."""
    from churn_assets.assets.champion_model import plan_promotion
    from jobs.promote import promotion_of
    from resources.catalog.names import promote_job_name
    from resources.catalog.pointers import read_champion
    from resources.wiring import wire

    dataset = find_dataset(settings, arguments.dataset)
    ports = wire(settings)
    # Refuses before a run starts. The run is of this candidate, and of none that takes its place meanwhile.
    candidate = plan_promotion(ports.lake, dataset)
    if (
        run_job(settings, console, dataset, promote_job_name(dataset.name), ops=promotion_of(dataset, candidate))
        is None
    ):
        return ExitCode.FAILED
    champion = read_champion(ports.lake, dataset.name)
    version, reason = (champion.version, champion.reason) if champion else ("none", "")
    say(console, f"The champion of {dataset.name} is {version}. {reason}")
    return ExitCode.DONE


COMMAND = Command(
    name="promote",
    summary="Approve the candidate: with `gate: {promotion: manual}` it waits for this, and scores afterwards.",
    example="churn promote telco",
    add_arguments=add_arguments,
    run=run,
)
