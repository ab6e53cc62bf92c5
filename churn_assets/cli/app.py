"""`churn`: the main job at the command line. Each command runs the Dagster job that the UI shows, never a path of its own."""

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from rich.console import Console

from churn_assets.cli.command import ExitCode
from churn_assets.cli.commands import (
    check,
    clean,
    compare,
    deploy,
    destroy,
    doctor,
    endpoint,
    explore,
    land,
    load_test,
    mcp,
    new,
    plan,
    promote,
    report,
    retrain,
    rollback,
    sample,
    score,
    serve,
    sql,
    status,
    ui,
    variant,
    verify,
)
from churn_assets.console.safe_text import say
from churn_model.errors import ChurnError, SpecError
from resources.errors import CommandError
from resources.os_errors import explain_os_error
from resources.settings import read_settings

COMMANDS = (
    new.COMMAND,
    check.COMMAND,
    land.COMMAND,
    retrain.COMMAND,
    score.COMMAND,
    report.COMMAND,
    explore.COMMAND,
    compare.COMMAND,
    promote.COMMAND,
    rollback.COMMAND,
    endpoint.COMMAND,
    status.COMMAND,
    deploy.COMMAND,
    doctor.COMMAND,
    plan.COMMAND,
    destroy.COMMAND,
    verify.COMMAND,
    clean.COMMAND,
    sample.COMMAND,
    serve.COMMAND,
    load_test.COMMAND,
    variant.COMMAND,
    sql.COMMAND,
    mcp.COMMAND,
    ui.COMMAND,
)
EXIT_CODES = (
    "Exit codes: 0 done (a kept champion too), 1 failed for the reason printed, 2 wrong command, setting or spec, "
    "3 nothing could be promoted, 130 interrupted."
)
_HELP = """\
From a folder of files to a promoted churn model and scored customers, on this machine.

A first session:
  churn new telco telco_churn.csv       look at a file, write datasets/telco.yaml
  churn land telco telco_churn.csv      copy the file to where training data lands
  churn retrain telco                   ingest, split, search, fit, evaluate; the gate promotes or says why not
  churn land telco today.csv --batch today
  churn score telco today               probabilities, reasons, and the list of whom to contact
  churn serve telco                     ask the model about one customer, in a browser or from a program
  churn ui                              see and run all of it in a browser
"""
_EPILOG = f"""\
CHURN_HOME is the working folder (lake, tables, Dagster's home; default ./churn_home), CHURN_DATASETS the folder of specs (default ./datasets).
{EXIT_CODES}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    # Dagster's modules are a million objects that live to the end: scanning them again and again is a seventh of a short run.
    gc.set_threshold(100_000)
    os.umask(0o077)  # customers' data: what the command and its steps write is for its user alone
    parsed, unknown = build_parser().parse_known_args(arguments)
    if unknown:  # said with the usage of the command, where argparse shows that of all commands
        parsed.refuse(f"unrecognized arguments: {' '.join(unknown)}")
    console, errors = Console(soft_wrap=True), Console(stderr=True, soft_wrap=True)
    try:
        code: int = parsed.run(parsed, read_settings(), console)
    except (CommandError, SpecError) as error:
        say(errors, str(error))
        return ExitCode.MISUSED
    except ChurnError as error:
        say(errors, str(error))
        return ExitCode.FAILED
    except KeyboardInterrupt:
        errors.print("Interrupted. What was published stays; run the same command to continue.")
        return ExitCode.INTERRUPTED
    except Exception as error:
        explanation = explain_os_error(error)
        if explanation is None:
            raise
        say(errors, explanation)
        return ExitCode.FAILED
    return code


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of every command."""
    parser = argparse.ArgumentParser(
        "churn", description=_HELP, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.register(commands)
    return parser


def end_process(code: int) -> NoReturn:
    """Flush the output and end the process at once.

    An ordinary exit stops each of Arrow's threads that still holds a Python object, and the process with it: finished work would now and
    then end with code 134 (apache/arrow#34314).
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # the reader has gone
            stream.flush()
    os._exit(code)
