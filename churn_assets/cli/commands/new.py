"""`churn new`: write a first spec."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from churn_assets.cli.command import FILE_HELP, Command, ExitCode
from churn_assets.console.safe_text import say
from churn_model.errors import ChurnError, SpecError, listed, problem
from churn_model.spec.encodings import ENCODINGS, normal_encoding
from resources.durable import replace_file
from resources.os_errors import explain_os_error
from resources.settings import Settings

if TYPE_CHECKING:
    from churn_assets.onboarding.guesses import Guesses
    from churn_assets.onboarding.profile import Table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    name_help = "a name for the table: a letter, then letters and digits, 2 to 12 in all"
    parser.add_argument("dataset", metavar="NAME", help=name_help)
    parser.add_argument("file", type=Path, metavar="FILE", help=FILE_HELP)
    parser.add_argument("--label", metavar="COLUMN", help="the column that says who left, if it cannot be guessed")
    id_help = "the column that names a customer, if it cannot be guessed; `none` if each row is a customer of its own"
    parser.add_argument("--id", metavar="COLUMN", help=id_help)
    parser.add_argument("--sheet", metavar="NAME", help="the sheet of a workbook, if the fullest is not the one")
    encoding_help = "the encoding of a text file, such as cp1252, if it is detected wrongly"
    parser.add_argument("--encoding", metavar="NAME", type=_encoding, help=encoding_help)


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> int:
    """Guess a spec from a file, write it and print it."""
    from churn_assets.onboarding.landing_check import check_landing
    from churn_assets.onboarding.spec_text import examine, id_lines, write_text
    from churn_model.ingest.formats.base import Options
    from resources.specs.loader import load_spec

    path = settings.datasets / f"{arguments.dataset}.yaml"
    if path.exists():
        raise SpecError(
            problem(expected="a new dataset", found=str(path), todo="choose another name, or move that file away")
        )
    name, file = arguments.dataset, arguments.file
    table = examine(name, file, Options(sheet=arguments.sheet, encoding=arguments.encoding))
    guesses = _guess(arguments, table, console)
    text = write_text(name, file, table, guesses, settings.datasets)
    _write_spec(path, text)
    say(console, text)
    found = check_landing(load_spec(path), file)
    if found and found.refused:
        say(
            console,
            f"Written to {path}. As it is, this file would be refused when it is landed:\n{listed(found.refused)}",
        )
        return ExitCode.FAILED
    if found and found.too_little:
        say(console, f"This file alone is too little to learn from:\n{listed(found.too_little)}")
    if found is None:
        say(console, "The file is too large to be read once more: what landing would refuse of it is not known yet.")
    say(console, f"Written to {path}. Read it, correct it, then: churn land {name} {file}")
    if guesses.key.open:
        say(console, f"WHAT NAMES A CUSTOMER? Nothing is promoted until {path} has one of these lines:")
        say(console, "\n".join(f"  {line}" for line in id_lines(guesses.key)))
    return ExitCode.DONE


def _guess(arguments: argparse.Namespace, table: "Table", console: Console) -> "Guesses":
    """Return what is guessed about a table, after the question for the id if nothing else says it and a person is there to answer."""
    from churn_assets.onboarding.guesses import guess
    from churn_assets.onboarding.id_question import ask_id, can_ask

    guesses = guess(arguments.dataset, table, label=arguments.label, id_column=arguments.id)
    if not (guesses.key.open and can_ask(console)):
        return guesses
    label = guesses.label.column
    chosen = ask_id(console, guesses.key, [column.name for column in table.columns if column.name != label])
    return guess(arguments.dataset, table, label=label, id_column=chosen) if chosen else guesses


def _encoding(name: str) -> str:
    """Return the name of an encoding. Raise ArgumentTypeError if it is none that a text file may have."""
    found = normal_encoding(name)
    if not found:
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(ENCODINGS)}; found {name!r}")
    return found


def _write_spec(path: Path, text: str) -> None:
    """Write a spec. Raise ChurnError, naming the setting of the folder of specs, if that is not possible."""
    try:
        replace_file(path, lambda stream: stream.write(text.encode()), mode=0o644)
    except OSError as error:
        other = problem(
            expected=f"to write {path}", found=error.strerror or str(error), todo="set CHURN_DATASETS to another folder"
        )
        raise ChurnError(explain_os_error(error, setting="CHURN_DATASETS") or other) from error


COMMAND = Command(
    name="new",
    summary="Look at a file and write a first spec, with a comment for each guess.",
    example="churn new telco telco_churn.csv",
    add_arguments=add_arguments,
    run=run,
)
