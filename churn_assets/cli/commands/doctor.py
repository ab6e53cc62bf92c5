"""`churn doctor`: what an installation on AWS needs, looked at before anything is spent."""

import argparse

from rich.console import Console

from churn_assets.cli.command import Command, ExitCode
from churn_assets.console.safe_text import say
from resources.settings import Settings


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """Add no argument: everything is looked at."""


def run(_arguments: argparse.Namespace, settings: Settings, console: Console) -> int:
    """Print a line for each thing, with what to do if it is not as it should be."""
    from resources.wiring import examine

    findings = []
    for finding in examine(settings):
        say(console, f"  {'good' if finding.is_good else 'BAD ':4}  {finding.subject}: {finding.text}")
        findings.append(finding)
    bad = sum(not finding.is_good for finding in findings)
    say(console, "Everything is there." if not bad else f"{bad} of {len(findings)} have to be put right first.")
    return ExitCode.FAILED if bad else ExitCode.DONE


COMMAND = Command(
    name="doctor",
    summary="On AWS: look at credentials, bucket, tables, roles, image and quotas, and say what to do. Starts nothing.",
    example="CHURN_TARGET=aws churn doctor",
    add_arguments=add_arguments,
    run=run,
)
