"""`churn clean`: remove what nothing needs any more, after it was shown."""

import argparse
from datetime import UTC, datetime, timedelta

from rich.console import Console

from churn_assets.cli.command import Command, ExitCode, find_dataset
from churn_assets.console.safe_text import say
from churn_model.errors import problem
from resources.errors import CommandError
from resources.settings import Settings

_DAYS = 7
_MEGABYTE = 1e6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("dataset", nargs="?", metavar="DATASET", help="the name of a spec (default: all of them)")
    older_help = f"leave alone what has changed in the last DAYS days (default: {_DAYS})"
    parser.add_argument("--older-than", type=_days, default=_DAYS, metavar="DAYS", help=older_help)
    parser.add_argument("--yes", action="store_true", help="remove it; without this it is only listed")


def _days(text: str) -> float:
    days = float(text)
    if not 0 <= days <= 36_500:
        raise ValueError(text)
    return days


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> int:
    """List the versions that nothing names, folders of steps and partial files; with --yes remove them."""
    from churn_assets.cli.workspace import prepare
    from resources.catalog.cleaning import find_leftovers
    from resources.specs.loader import load_specs
    from resources.wiring import wire

    # The locks are those of one machine: a run elsewhere may be about to point at a version that nothing names yet.
    if settings.aws:
        raise CommandError(
            problem(
                expected="a lake on this machine",
                found="one on S3, where this machine cannot see whether another one runs",
                todo="leave its versions: they cost storage and nothing else, and no rule of the bucket knows which of them are needed",
            )
        )
    wanted = arguments.dataset
    names = [find_dataset(settings, wanted).name] if wanted else sorted(load_specs(settings.datasets).datasets)
    prepare(settings)
    ports = wire(settings)
    before = datetime.now(UTC) - timedelta(days=arguments.older_than)
    for name in names:
        if not arguments.yes:
            found = find_leftovers(ports.lake, ports.tables, ports.runner, name, before)
            for each in found:
                say(console, f"  {each.name} ({each.size / _MEGABYTE:,.1f} MB)")
        else:
            with ports.run_locks.hold_all(name, lambda text: say(console, text)):
                found = find_leftovers(ports.lake, ports.tables, ports.runner, name, before)
                for each in found:
                    each.remove()
        size = sum(each.size for each in found) / _MEGABYTE
        done = "removed" if arguments.yes else "would be removed" if found else "to remove"
        say(
            console,
            f"{name}: {len(found):,} unused versions, folders of steps and partial files, {size:,.1f} MB {done}.",
        )
    if not arguments.yes:
        say(console, "Nothing was removed. To remove what is listed, add --yes.")
    return ExitCode.DONE


COMMAND = Command(
    name="clean",
    summary="List versions that nothing names, folders of steps that ended and partial files; with --yes remove them.",
    example="churn clean telco --yes",
    add_arguments=add_arguments,
    run=run,
)
