"""`churn clean`: remove what nothing needs any more, after it was shown."""

import argparse
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rich.console import Console

from churn_assets.cli.command import Command, ExitCode, find_dataset
from churn_assets.console.safe_text import say
from churn_model.errors import problem
from resources.errors import CommandError
from resources.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resources.ports.leftovers import Leftover
    from resources.wiring import Ports

_DAYS = 7
_TOO_YOUNG = problem(
    expected="--older-than of at least 1 day for a lake on S3",
    found="less",
    todo="leave what is younger: a run on another machine may be about to use it",
)
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

    wanted = arguments.dataset
    names = [find_dataset(settings, wanted).name] if wanted else sorted(load_specs(settings.datasets).datasets)
    prepare(settings)
    ports = wire(settings)
    if ports.lake.is_shared and arguments.older_than < 1:
        raise CommandError(_TOO_YOUNG)
    before = datetime.now(UTC) - timedelta(days=arguments.older_than)
    for name in names:
        if not arguments.yes:
            found = find_leftovers(ports.lake, ports.tables, ports.runner, name, before)
            for each in found:
                say(console, f"  {each.name} ({each.size / _MEGABYTE:,.1f} MB)")
        else:
            with ports.run_locks.hold_all(name, lambda text: say(console, text)):
                found = _remove(ports, name, before)
        size = sum(each.size for each in found) / _MEGABYTE
        done = "removed" if arguments.yes else "would be removed" if found else "to remove"
        say(
            console,
            f"{name}: {len(found):,} unused versions, folders of steps and partial files, {size:,.1f} MB {done}.",
        )
    if not arguments.yes:
        say(console, "Nothing was removed. To remove what is listed, add --yes.")
    return ExitCode.DONE


def _remove(ports: "Ports", dataset: str, before: datetime) -> "Sequence[Leftover]":
    """Remove what a dataset no longer needs, and return it. The locks are held, which are those of this machine."""
    from resources.catalog.cleaning import find_leftovers, remove_shared

    if ports.lake.is_shared:
        running = [step.name for step in ports.runner.running() if step.dataset == dataset]
        if running:
            raise CommandError(
                problem(expected=f"no job of {dataset} to be running", found=running[0], todo="wait until it has ended")
            )
        return remove_shared(ports.lake, ports.tables, dataset, before)
    found = find_leftovers(ports.lake, ports.tables, ports.runner, dataset, before)
    for each in found:
        each.remove()
    return found


COMMAND = Command(
    name="clean",
    summary="List versions that nothing names, folders of steps that ended and partial files; with --yes remove them.",
    example="churn clean telco --yes",
    add_arguments=add_arguments,
    run=run,
)
