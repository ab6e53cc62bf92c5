"""`churn verify`: read everything that is published and report what is damaged."""

import argparse

from rich.console import Console

from churn_assets.cli.command import Command, ExitCode, find_dataset
from churn_assets.console.safe_text import say
from resources.settings import Settings

_MEGABYTE = 1e6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("dataset", nargs="?", metavar="DATASET", help="the name of a spec (default: all of them)")
    repair_help = "first restore the champion from the recorded decisions and the ledger from the published lists, and withdraw damaged tables"
    parser.add_argument("--repair", action="store_true", help=repair_help)


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> int:
    """Compare each published file with its manifest. Print what is damaged and what to do."""
    from churn_assets.cli.workspace import prepare
    from resources.catalog.verification import repair_dataset, verify_dataset
    from resources.specs.loader import load_specs
    from resources.wiring import wire

    wanted = arguments.dataset
    if wanted:
        names = [find_dataset(settings, wanted).name]
    else:  # what was published under a spec that is broken today can be damaged as well
        specs = load_specs(settings.datasets)
        names = sorted({*specs.datasets, *filter(str.isidentifier, specs.bad)})
    prepare(settings)
    lake = wire(settings).lake
    code = ExitCode.DONE
    for name in names:
        for repaired in repair_dataset(lake, name) if arguments.repair else ():
            say(console, repaired)
        found = verify_dataset(lake, name)
        read = f"{found.versions:,} versions, {found.files:,} files, {found.size / _MEGABYTE:,.1f} MB"
        if found.problems:
            code = ExitCode.FAILED
            say(console, f"{name}: {read}; damaged:")
            for number, text in enumerate(found.problems, 1):
                say(console, f"  {number}. {text}")
        else:
            say(console, f"{name}: {read}, all as published.")
    return code


COMMAND = Command(
    name="verify",
    summary="Read all that is published and shown, and report what is damaged and what to do.",
    example="churn verify telco",
    add_arguments=add_arguments,
    run=run,
)
