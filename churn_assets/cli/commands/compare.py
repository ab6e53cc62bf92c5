"""`churn compare`: two models on the same test rows."""

import argparse

from rich.console import Console

from churn_assets.cli.command import Command, ExitCode, add_dataset_argument, find_dataset
from churn_assets.cli.run_job import run_job
from churn_assets.console.safe_text import say
from resources.settings import Settings

_FIRST = "a version, or champion, candidate or previous (the champion before the present one); default: the champion"
_SECOND = (
    "default: the candidate, or the previous champion if the candidate is the champion; "
    "a single version is compared with the champion"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_dataset_argument(parser)
    parser.add_argument("first", nargs="?", default="", metavar="VERSION_A", help=_FIRST)
    parser.add_argument("second", nargs="?", default="", metavar="VERSION_B", help=_SECOND)


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> int:
    """Run the job and print how the two models differ."""
    from churn_assets.assets.model_comparison import ComparisonConfig, choose_models
    from churn_assets.cli.summaries.compare import compare_summary
    from resources.catalog.names import MODEL_COMPARISON, compare_job_name, op_name
    from resources.wiring import wire

    dataset = find_dataset(settings, arguments.dataset)
    # Refuses a wrong version before a run starts: a failed run would paint the healthy asset red.
    choose_models(wire(settings).lake, dataset, ComparisonConfig(first=arguments.first, second=arguments.second))
    config = {"first": arguments.first, "second": arguments.second}
    ops = {op_name(dataset.name, MODEL_COMPARISON): {"config": config}}
    if run_job(settings, console, compare_job_name(dataset.name), ops=ops) is None:
        return ExitCode.FAILED
    say(console, compare_summary(wire(settings), dataset))
    return ExitCode.DONE


COMMAND = Command(
    name="compare",
    summary="Run <dataset>_compare: two model versions on the same test rows. Nothing is promoted.",
    example="churn compare telco champion candidate",
    add_arguments=add_arguments,
    run=run,
)
