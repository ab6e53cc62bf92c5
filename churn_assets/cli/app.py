"""`churn`: the main job at the command line. Each command runs the Dagster job that the UI shows, never a path of its own."""

import argparse
import errno
import gc
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from uuid import uuid4

from rich.console import Console

from churn_assets.console.safe_text import say
from churn_model.errors import ChurnError, SpecError, problem
from churn_model.spec.dataset import Dataset
from churn_model.steps.os_errors import explain_os_error
from resources.errors import CommandError
from resources.settings import Settings, read_settings

if TYPE_CHECKING:
    import dagster as dg

_UI_ENDS_WITHIN_SECONDS = 20
DONE, FAILED, MISUSED, NOTHING_PROMOTED, INTERRUPTED = 0, 1, 2, 3, 130

_HELP = """\
From a folder of files to a promoted churn model and scored customers, on this machine.

A first session:
  churn new telco telco_churn.csv       look at a file, write datasets/telco.yaml
  churn land telco telco_churn.csv      put the file where training data lands
  churn retrain telco                   ingest, split, search, fit, judge; the gate promotes or says why not
  churn land telco today.csv --batch today
  churn score telco today               probabilities, reasons, and the list of whom to contact
  churn ui                              see and run all of it in a browser
"""
_EPILOG = """\
CHURN_HOME is the working folder (lake, tables, Dagster's home; default ./churn_home), CHURN_DATASETS the folder of specs (default ./datasets).
Exit codes: 0 done (a kept champion too), 1 failed for the reason printed, 2 wrong command, setting or spec, 3 nothing could be promoted, 130 interrupted.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    # Dagster's modules are a million objects that live to the end: to look through them time and again is a seventh of a short run.
    gc.set_threshold(100_000)
    parsed = _parser().parse_args(arguments)
    console, errors = Console(soft_wrap=True), Console(stderr=True, soft_wrap=True)
    try:
        code: int = parsed.command(parsed, read_settings(), console)
    except (CommandError, SpecError) as error:
        say(errors, str(error))
        return MISUSED
    except ChurnError as error:
        say(errors, str(error))
        return FAILED
    except KeyboardInterrupt:
        errors.print("Interrupted. What was published stays; the same command goes on from there.")
        return INTERRUPTED
    except Exception as error:
        refused = explain_os_error(error)
        if refused is None:
            raise
        say(errors, refused)
        return FAILED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "churn", description=_HELP, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[..., int], told: str, example: str) -> argparse.ArgumentParser:
        made = commands.add_parser(
            name, help=told, description=f"{told}\n\n  {example}", formatter_class=argparse.RawDescriptionHelpFormatter
        )
        made.set_defaults(command=run)
        return made

    new = command(
        "new",
        _new,
        "Look at a file and write a first spec, with a comment for each guess.",
        "churn new telco telco_churn.csv",
    )
    new.add_argument(
        "dataset", metavar="NAME", help="a name for the table: a letter, then letters and digits, 2 to 12 in all"
    )
    new.add_argument("file", type=Path, metavar="FILE", help="csv, csv.gz or parquet")
    new.add_argument("--label", metavar="COLUMN", help="the column that says who left, where it cannot be guessed")
    new.add_argument("--id", metavar="COLUMN", help="the column that names a customer, where it cannot be guessed")

    land = command(
        "land",
        _land,
        "Put files where they are found: training data, or with --batch a batch to score.",
        "churn land telco today.csv --batch today",
    )
    land.add_argument("dataset", metavar="DATASET")
    land.add_argument("files", nargs="+", type=Path, metavar="FILE", help="csv, csv.gz or parquet")
    land.add_argument(
        "--batch", metavar="NAME", help="the batch these files belong to; without it they are training data"
    )

    retrain = command(
        "retrain", _retrain, "Run <dataset>_retrain: from what landed to the gate's decision.", "churn retrain telco"
    )
    retrain.add_argument("dataset", metavar="DATASET")

    score = command(
        "score",
        _score,
        "Run <dataset>_score_batch: predictions, reasons and the list of whom to contact.",
        "churn score telco today",
    )
    score.add_argument("dataset", metavar="DATASET")
    score.add_argument("batch", metavar="BATCH")

    report = command(
        "report", _report, "Say what the last evaluation found, and where its page lies.", "churn report telco"
    )
    report.add_argument("dataset", metavar="DATASET")

    explore = command(
        "explore",
        _explore,
        "Run <dataset>_explore: what landed, on one page, before any training.",
        "churn explore telco",
    )
    explore.add_argument("dataset", metavar="DATASET")

    compare = command(
        "compare",
        _compare,
        "Run <dataset>_compare: two model versions on the same test rows. Nothing is promoted.",
        "churn compare telco champion candidate",
    )
    compare.add_argument("dataset", metavar="DATASET")
    compare.add_argument(
        "first",
        nargs="?",
        default="",
        metavar="VERSION_A",
        help="a version, or champion, candidate or previous (the champion before the present one); default: the champion",
    )
    compare.add_argument(
        "second",
        nargs="?",
        default="",
        metavar="VERSION_B",
        help="default: the candidate; where that is the champion, the previous champion is set against it; one version alone is set against the champion",
    )

    rollback = command(
        "rollback",
        _rollback,
        "Make an earlier champion the champion again; the present one does not come back by itself.",
        "churn rollback telco",
    )
    rollback.add_argument("dataset", metavar="DATASET")
    rollback.add_argument(
        "version", nargs="?", default="previous", metavar="VERSION", help="default: the champion before the present one"
    )

    sample = command(
        "sample",
        _sample,
        "Make a telecom's customers with a known truth, and land them as dataset `sample`.",
        "churn sample --rows 10000",
    )
    sample.add_argument("--rows", type=_positive, default=10_000, help="training rows (default 10000)")
    sample.add_argument("--seed", type=int, default=1729, help="another seed is another company (default 1729)")

    ui = command(
        "ui", _ui, "Start the Dagster UI with its daemon: assets, runs, schedules and sensors.", "churn ui --port 3000"
    )
    ui.add_argument("--port", type=_port, default=3000)
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, found {text!r}")
    return int(text)


def _port(text: str) -> int:
    if not (text.isdigit() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"expected a port from 1 to 65535, found {text!r}")
    return int(text)


def _dataset(settings: Settings, name: str) -> Dataset:
    """The spec of that name. Raises SpecError with all that is wrong with it, or with the names there are."""
    from resources.specs.loader import load_specs

    specs = load_specs(settings.datasets)
    if name in specs.bad:
        raise specs.bad[name]
    if name not in specs.datasets:
        known = ", ".join(specs.datasets) or "none yet"
        raise SpecError(
            f"expected a dataset described in {settings.datasets}; found no {name}.yaml (there are: {known}); write one: `churn new {name} FILE`"
        )
    return specs.datasets[name]


def _new(parsed: argparse.Namespace, settings: Settings, console: Console) -> int:
    from churn_assets.onboarding.spec_text import propose

    path = settings.datasets / f"{parsed.dataset}.yaml"
    if path.exists():
        raise SpecError(f"expected a new dataset; found {path}; take another name, or move that file away")
    text = propose(parsed.dataset, parsed.file, label=parsed.label, id=parsed.id, folder=settings.datasets)
    _save(path, text)
    say(console, text)
    say(console, f"Written to {path}. Read it, correct it, then: churn land {parsed.dataset} {parsed.file}")
    return DONE


def _save(path: Path, text: str) -> None:
    """Write a spec. Raises ChurnError, in the terms of the folder of specs, where that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    except OSError as error:
        other = problem(
            expected=f"to write {path}", found=error.strerror or str(error), todo="set CHURN_DATASETS to another folder"
        )
        raise ChurnError(explain_os_error(error, setting="CHURN_DATASETS") or other) from error


def _land(parsed: argparse.Namespace, settings: Settings, console: Console) -> int:
    from churn_assets.cli.workspace import prepare
    from resources.catalog.landing import land, list_batch, list_landed
    from resources.catalog.names import batch_landing_prefix, train_prefix
    from resources.wiring import wire

    dataset = _dataset(settings, parsed.dataset)
    prepare(settings)
    lake = wire(settings).lake
    for made in land(lake, dataset.name, parsed.files, parsed.batch):
        say(
            console,
            f"Landed {lake.uri(made.key)} ({'in place of the file of that name' if made.replaced else 'a new file'})",
        )
    if parsed.batch:
        what, folder = f"Batch {parsed.batch}", batch_landing_prefix(dataset.name, parsed.batch)
        count = len(list_batch(lake, dataset.name, parsed.batch))
    else:
        what, folder = "The training data", train_prefix(dataset.name)
        count = len(list_landed(lake, folder))
    adds = "1 file" if count == 1 else f"{count:,} files, which add up"
    say(console, f"{what} of {dataset.name} is now {adds}. To take a file back, remove it from {lake.uri(folder)}.")
    then = f"churn score {dataset.name} {parsed.batch}" if parsed.batch else f"churn retrain {dataset.name}"
    say(console, f"Next: {then}")
    return DONE


def _retrain(parsed: argparse.Namespace, settings: Settings, console: Console) -> int:
    from churn_assets.cli.summaries import retrain_summary
    from resources.catalog.names import retrain_job_name
    from resources.wiring import wire

    dataset = _dataset(settings, parsed.dataset)
    result = _run(settings, console, retrain_job_name(dataset.name))
    if result is None:
        return FAILED
    summary = retrain_summary(wire(settings), dataset, result)
    say(console, summary.text)
    return DONE if summary.has_champion else NOTHING_PROMOTED


def _score(parsed: argparse.Namespace, settings: Settings, console: Console) -> int:
    from churn_assets.cli.summaries import score_summary
    from resources.catalog.landing import list_batch
    from resources.catalog.names import partitions_name, score_job_name
    from resources.wiring import wire

    dataset = _dataset(settings, parsed.dataset)
    ports = wire(settings)
    list_batch(ports.lake, dataset.name, parsed.batch)  # a wrong name is said before anything starts
    partition = (partitions_name(dataset.name), parsed.batch)
    if _run(settings, console, score_job_name(dataset.name), partition=partition) is None:
        return FAILED
    say(console, score_summary(ports, dataset, parsed.batch))
    return DONE


def _report(parsed: argparse.Namespace, settings: Settings, console: Console) -> int:
    from churn_assets.cli.summaries import report_summary
    from resources.wiring import wire

    say(console, report_summary(wire(settings), _dataset(settings, parsed.dataset)))
    return DONE


def _explore(parsed: argparse.Namespace, settings: Settings, console: Console) -> int:
    from churn_assets.cli.summaries import explore_summary
    from resources.catalog.names import explore_job_name
    from resources.wiring import wire

    dataset = _dataset(settings, parsed.dataset)
    if _run(settings, console, explore_job_name(dataset.name)) is None:
        return FAILED
    say(console, explore_summary(wire(settings), dataset))
    return DONE


def _compare(parsed: argparse.Namespace, settings: Settings, console: Console) -> int:
    from churn_assets.assets.model_comparison import ComparisonConfig, choose_models
    from churn_assets.cli.summaries import compare_summary
    from resources.catalog.names import MODEL_COMPARISON, compare_job_name, op_name
    from resources.wiring import wire

    dataset = _dataset(settings, parsed.dataset)
    # A wrong version is said before anything starts: a failed run would paint the healthy asset red.
    choose_models(wire(settings).lake, dataset, ComparisonConfig(first=parsed.first, second=parsed.second))
    ops = {op_name(dataset.name, MODEL_COMPARISON): {"config": {"first": parsed.first, "second": parsed.second}}}
    if _run(settings, console, compare_job_name(dataset.name), ops=ops) is None:
        return FAILED
    say(console, compare_summary(wire(settings), dataset))
    return DONE


def _rollback(parsed: argparse.Namespace, settings: Settings, console: Console) -> int:
    from churn_assets.assets.champion_model import plan_rollback
    from resources.catalog.names import CHAMPION_MODEL, op_name, rollback_job_name
    from resources.catalog.pointers import read_champion
    from resources.wiring import wire

    dataset = _dataset(settings, parsed.dataset)
    ports = wire(settings)
    plan_rollback(ports.lake, dataset, parsed.version)  # a wrong version is said before anything starts
    ops = {op_name(dataset.name, CHAMPION_MODEL): {"config": {"rollback_to": parsed.version}}}
    if _run(settings, console, rollback_job_name(dataset.name), ops=ops) is None:
        return FAILED
    champion = read_champion(ports.lake, dataset.name)
    say(
        console,
        f"The champion of {dataset.name} is {champion.version if champion else 'none'}. {champion.reason if champion else ''}",
    )
    return DONE


def _sample(parsed: argparse.Namespace, settings: Settings, console: Console) -> int:
    from churn_assets.cli.workspace import prepare
    from churn_assets.sample.landing import land_sample
    from resources.wiring import wire

    prepare(settings)
    for line in land_sample(wire(settings).lake, settings.home / "sample", rows=parsed.rows, seed=parsed.seed):
        say(console, line)
    say(console, "Next: churn retrain sample")
    return DONE


def _ui(parsed: argparse.Namespace, settings: Settings, console: Console) -> int:
    from churn_assets.cli.workspace import environment, open_instance
    from resources.settings import PROJECT

    _check_free(parsed.port)
    open_instance(settings).dispose()
    console.print(
        f"The UI will be at http://127.0.0.1:{parsed.port} in about ten seconds; Ctrl-C ends it.", highlight=False
    )
    dagster = Path(sys.executable).with_name("dagster")
    command = [
        str(dagster),
        "dev",
        "--workspace",
        str(PROJECT / "workspace.yaml"),
        "--host",
        "127.0.0.1",
        "--port",
        str(parsed.port),
    ]
    process = subprocess.Popen(command, env=os.environ | environment(settings), cwd=PROJECT)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        return process.wait()
    except KeyboardInterrupt:
        # Ctrl-C in a terminal has reached Dagster as well, which ends its services in order; a signal sent to us alone has not.
        try:
            process.wait(_UI_ENDS_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
        raise


def _check_free(port: int) -> None:
    """Raises CommandError where the UI could not listen: Dagster would find that out beside a daemon that runs already."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as the UI's own server: a port that was just left is free
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            found = (
                "it taken: perhaps by another `churn ui`"
                if error.errno == errno.EADDRINUSE
                else error.strerror or str(error)
            )
            expected, todo = (
                f"port {port} of 127.0.0.1 to be free",
                "name another with --port, as in `churn ui --port 3001`",
            )
            raise CommandError(problem(expected=expected, found=found, todo=todo)) from error


def _run(
    settings: Settings,
    console: Console,
    job: str,
    partition: tuple[str, str] | None = None,
    ops: Mapping[str, object] | None = None,
) -> "dg.ExecuteInProcessResult | None":
    """Run a Dagster job in this process. None where it failed; then the reason is printed."""
    from churn_assets.cli.workspace import open_instance
    from churn_assets.definitions import build_definitions
    from resources.specs.loader import load_specs
    from resources.wiring import wire

    with open_instance(settings) as instance:
        definitions = build_definitions(load_specs(settings.datasets), settings)
        if partition is not None:
            instance.add_dynamic_partitions(partition[0], [partition[1]])
        console.print(f"Running {job} ...", highlight=False)
        run_id = str(uuid4())
        result = definitions.resolve_job_def(job).execute_in_process(
            instance=instance,
            run_id=run_id,
            tags=wire(settings).run_locks.run_tags(run_id),
            partition_key=partition[1] if partition else None,
            run_config={"loggers": {"progress": {}}, "ops": ops or {}},
            raise_on_error=False,
        )
        if _was_interrupted(result):
            raise KeyboardInterrupt
        for reason in _reasons(result):
            say(console, reason)
        return result if result.success else None


def _was_interrupted(result: "dg.ExecuteInProcessResult") -> bool:
    """Whether Ctrl-C or SIGTERM ended the run: Dagster makes a failure of it."""
    from dagster import DagsterEventType, DagsterExecutionInterruptedError

    failures = [event.step_failure_data.error for event in result.get_step_failure_events()]
    failures += [
        event.job_failure_data.error
        for event in result.all_events
        if event.event_type is DagsterEventType.PIPELINE_FAILURE
    ]
    return any(error and error.cls_name == DagsterExecutionInterruptedError.__name__ for error in failures)


def _reasons(result: "dg.ExecuteInProcessResult") -> list[str]:
    """Why a run failed: the failures' own words, and the checks that stopped it."""
    from churn_assets.console.progress import failure_words, refused

    reasons = [
        f"\n{check.asset_key.path[-1]}: {check.check_name} does not hold: {check.description}"
        for check in result.get_asset_check_evaluations()
        if not check.passed and check.severity.value == "ERROR"
    ]
    if reasons:
        return reasons
    reasons = [f"\n{failure_words(event)}" for event in result.get_step_failure_events()]
    if not reasons and not result.success:
        ends = [event for event in result.all_events if event.event_type_value == "PIPELINE_FAILURE"]
        for event in ends:
            error = event.job_failure_data.error
            said = refused(error)
            reasons.append(
                f"\n{said}" if said else f"\nThe run failed before its first asset:\n{event.message}\n{error}"
            )
    return reasons


def end_process(code: int) -> NoReturn:
    """End the process with what it has said, and nothing more.

    Python's own way out ends each of Arrow's threads that still holds an object of Python's, and the process with them: work that is done
    would end with code 134 now and then (apache/arrow#34314).
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # whoever read it has gone
            stream.flush()
    os._exit(code)
