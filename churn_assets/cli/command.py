"""What a command of `churn` is: its name, help and arguments, and a function that runs it and returns an exit code."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from rich.console import Console

from churn_model.errors import SpecError, problem
from churn_model.spec.dataset import Dataset
from resources.settings import Settings

FILE_HELP = "{formats}"
"""The help of an argument that is a file to land: `describe_argument` names the formats."""


def describe_argument(action: argparse.Action) -> str:
    """Return the help of an argument, with the file formats named where it says `{formats}`."""
    text = action.help or ""
    if "{formats}" not in text:
        return text
    from churn_model.ingest.files import describe_formats  # takes as long as all else that help needs

    return text.replace("{formats}", describe_formats())


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Names the file formats when help is printed, and not whenever a parser is built."""

    def _get_help_string(self, action: argparse.Action) -> str:
        return describe_argument(action)


class ExitCode(IntEnum):
    """How a command ended."""

    DONE = 0
    FAILED = 1
    MISUSED = 2
    NOTHING_PROMOTED = 3
    INTERRUPTED = 130


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command. `run` returns its exit code; errors that are meant for a user it raises."""

    name: str
    summary: str
    example: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Settings, Console], int]

    def register(self, commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
        """Add the command to the parser of all commands."""
        description = f"{self.summary}\n\n  {self.example}"
        parser = commands.add_parser(
            self.name,
            help=self.summary,
            description=description,
            formatter_class=HelpFormatter,
        )
        self.add_arguments(parser)
        parser.set_defaults(run=self.run, refuse=parser.error)


def add_dataset_argument(parser: argparse.ArgumentParser) -> None:
    """Add the dataset, which most commands start with."""
    parser.add_argument("dataset", metavar="DATASET", help="the name of a spec")


def find_dataset(settings: Settings, name: str) -> Dataset:
    """Return the spec of that name. Raise SpecError with all its problems, or with the names that exist."""
    from resources.specs.loader import load_specs

    specs = load_specs(settings.datasets)
    if name in specs.bad:
        raise specs.bad[name]
    if name not in specs.datasets:
        known = ", ".join(specs.datasets) or "none yet"
        raise SpecError(
            problem(
                expected=f"a dataset described in {settings.datasets}",
                found=f"no {name}.yaml (there are: {known})",
                todo=f"write one: `churn new {name} FILE`",
            )
        )
    return specs.datasets[name]
