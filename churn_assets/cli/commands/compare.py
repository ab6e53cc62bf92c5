"""`churn compare`: two models on the same rows, those of the test or of a batch."""

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
    parser.add_argument(
        "--batch",
        help="on the rows of this scored batch, not of the test: whom B would contact otherwise than A, and the money at stake",
    )


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> int:
    """Run the job and print how the two models differ."""
    from churn_assets.assets.batch_predictions import require_batch_record
    from churn_assets.assets.model_comparison import ComparisonConfig, choose_models
    from churn_assets.cli.summaries.compare import compare_summary, shadow_summary
    from resources.catalog.landing import list_batch
    from resources.catalog.names import MODEL_COMPARISON, compare_job_name, op_name
    from resources.wiring import wire

    dataset = find_dataset(settings, arguments.dataset)
    lake, config = wire(settings).lake, {name: getattr(arguments, name) or "" for name in ("first", "second", "batch")}
    # Refuses a wrong version or batch before a run starts: a failed run would paint the healthy asset red.
    choose_models(lake, dataset, ComparisonConfig(**config))
    if arguments.batch:
        list_batch(lake, dataset.name, arguments.batch)
        require_batch_record(lake, dataset, arguments.batch)
    ops = {op_name(dataset.name, MODEL_COMPARISON): {"config": config}}
    if run_job(settings, console, dataset, compare_job_name(dataset.name), ops=ops) is None:
        return ExitCode.FAILED
    ports = wire(settings)
    say(
        console, shadow_summary(ports, dataset, arguments.batch) if arguments.batch else compare_summary(ports, dataset)
    )
    return ExitCode.DONE


COMMAND = Command(
    name="compare",
    summary="Run <dataset>_compare: two model versions on the same test rows, or on a scored batch. Nothing is promoted.",
    example="churn compare telco champion candidate",
    add_arguments=add_arguments,
    run=run,
)
