"""`churn mcp`: an assistant asks about the lists and the model of one dataset, over standard input and output."""

import argparse

from rich.console import Console

from churn_assets.cli.command import Command, ExitCode, add_dataset_argument, find_dataset
from resources.settings import Settings


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> int:
    """Answer until the client ends."""
    from churn_assets.assistant.desk import Desk
    from churn_assets.assistant.server import serve_stdio
    from resources.wiring import wire

    dataset = find_dataset(settings, arguments.dataset)
    spec = settings.datasets / f"{dataset.name}.yaml"
    serve_stdio(Desk(wire(settings).lake, spec, threads=settings.threads))
    return ExitCode.DONE


COMMAND = Command(
    name="mcp",
    summary="Let an assistant ask, read only, over the Model Context Protocol on standard input and output: lists, customers, what if, trust.",
    example="churn mcp telco",
    add_arguments=add_dataset_argument,
    run=run,
)
