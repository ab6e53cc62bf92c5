"""`churn load-test`: how much a server of the champion holds, and the scaling target that follows from it."""

import argparse
import math
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rich.console import Console

from churn_assets.cli.command import Command, ExitCode, add_dataset_argument, find_dataset
from churn_assets.console.safe_text import say
from churn_model.errors import listed, problem
from churn_model.spec.dataset import Dataset
from resources.errors import CommandError
from resources.settings import Settings

if TYPE_CHECKING:
    from churn_assets.load_test.run import LoadOptions, Proposal
    from resources.ports.endpoint import Served

_HERE = "http://127.0.0.1:8080/invocations"
_MOST_REQUESTS = 1_000_000  # in one step: each is kept until the step is judged


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_dataset_argument(parser)
    parser.add_argument(
        "--url",
        type=_url,
        help="the server to ask (default http://127.0.0.1:8080; with CHURN_TARGET=aws the dataset's endpoint). It is sent rows of your customers",
    )
    parser.add_argument(
        "--rate", type=_number(1, 20_000), default=50.0, help="requests a second of the first step (default 50)"
    )
    parser.add_argument(
        "--most", type=_number(1, 20_000), default=10_000.0, help="requests a second at most (default 10000)"
    )
    parser.add_argument("--seconds", type=_number(1, 600), default=10.0, help="of each step (default 10)")
    parser.add_argument(
        "--p99",
        type=_number(10, 10_000),
        default=200.0,
        help="milliseconds that the 99th percentile may have (default 200)",
    )
    parser.add_argument(
        "--users",
        type=_whole(4_000),
        default=0,
        help="instead of constant rates: so many users, each asking again once answered",
    )
    parser.add_argument("--processes", type=_whole(64), default=1, help="of the generator (default 1)")
    parser.add_argument(
        "--apply",
        action="store_true",
        help="write the target found for the endpoint into the spec, and register it by a deployment",
    )


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> int:
    """Ask step by step, write the report, and say what was found."""
    from churn_assets.cli.workspace import environment
    from churn_assets.load_test.bodies import make_bodies
    from churn_assets.load_test.processes import Generators
    from churn_assets.load_test.report import publish_report
    from churn_assets.load_test.run import run_load_test
    from churn_assets.load_test.target import find_target, propose
    from churn_assets.model_server.champion import read_model
    from churn_model.serving.plan import Plan
    from resources.catalog.pointers import require_champion
    from resources.wiring import wire

    dataset, ports = find_dataset(settings, arguments.dataset), wire(settings)
    options = _read_options(arguments, settings, dataset)
    url = arguments.url or ("" if settings.aws else _HERE)
    target = find_target(ports.endpoint, dataset.name, url=url, token=settings.serve_token)
    champion = require_champion(ports.lake, dataset.name)
    bodies = make_bodies(ports.lake, Plan(read_model(ports.lake, champion.prefix, threads=1), dataset))
    started = Generators(
        target.told, bodies.requests, processes=options.processes, environment=os.environ | environment(settings)
    )
    with started as generators:
        say(console, f"Asking {target.name} about {bodies.about}.")
        judged = run_load_test(
            generators,
            options,
            dataset=dataset.name,
            target=target.name,
            about=bodies.about,
            say=lambda line: say(console, line),
        )
    test = propose(judged, target, ports.endpoint)
    where = publish_report(ports.outputs, test)
    proposed = [test.proposal.text] if test.proposal else []
    say(console, "\n".join(["", test.verdict.text, *proposed, f"Report: {where}"]))
    if test.verdict.is_failure:
        return ExitCode.FAILED
    if arguments.apply:
        return _apply(test.proposal, target.served, settings, console, dataset)
    return ExitCode.DONE


def _read_options(arguments: argparse.Namespace, settings: Settings, dataset: Dataset) -> "LoadOptions":
    """Return what is asked for. Raise CommandError with all that cannot be done."""
    from churn_assets.load_test.run import LoadOptions

    names = ("rate", "most", "seconds", "p99", "users", "processes")
    options = LoadOptions(**{name: getattr(arguments, name) for name in names})
    problems = list(_find_problems(options))
    if arguments.apply:
        problems += _find_problems_of_apply(arguments, settings, dataset)
    if problems:
        raise CommandError(listed(problems))
    return options


def _find_problems(options: "LoadOptions") -> Iterator[str]:
    from churn_assets.load_test.processes import most_rate

    if options.users:  # no rate is asked for
        if options.users < options.processes:
            expected = "a user for each of --processes"
            yield problem(expected=expected, found=f"--users {options.users}", todo="lower --processes")
        return
    most = f"--most {options.most:g}"
    if options.most < options.rate:
        yield problem(expected=f"--most {options.rate:g} or more", found=most, todo="raise it, or lower --rate")
    possible = most_rate(options.p99, options.processes)
    if options.most > possible:
        expected = f"--most {possible:g} or less, for which connections are enough"
        yield problem(expected=expected, found=most, todo="lower it or --p99, or raise --processes")
    if options.most * options.seconds > _MOST_REQUESTS:
        found = f"{most} and --seconds {options.seconds:g}"
        yield problem(
            expected=f"at most {_MOST_REQUESTS:,} requests in a step", found=found, todo="lower one of the two"
        )


def _find_problems_of_apply(arguments: argparse.Namespace, settings: Settings, dataset: Dataset) -> Iterator[str]:
    if arguments.users:
        todo = "leave one out: a closed loop finds no knee"
        yield problem(expected="--apply with constant rates", found="--users", todo=todo)
    if settings.aws is None or arguments.url:
        todo = "set CHURN_TARGET=aws, and leave out --url"
        yield problem(expected="--apply with figures of the endpoint", found="another server", todo=todo)
    if dataset.endpoint is None or dataset.endpoint.scaling is None:
        expected = f"`scaling` in the section `endpoint` of {dataset.name}, for --apply"
        todo = "write `scaling: {least: 1, most: 4, invocations: 600}`: how many instances you pay for is yours to say"
        yield problem(expected=expected, found="none", todo=todo)


def _apply(
    proposal: "Proposal | None", served: "Served | None", settings: Settings, console: Console, dataset: Dataset
) -> ExitCode:
    """Write the target into the spec, which every deployment reads, and deploy if nothing but the target is changed by that."""
    from churn_assets.assets.endpoint import plan_deployment
    from churn_assets.cli.run_job import run_job
    from resources.catalog.names import deploy_job_name
    from resources.catalog.pointers import require_champion
    from resources.specs.edit import replace_number
    from resources.wiring import wire

    if proposal is None or served is None:
        say(console, "Nothing is applied: no target was found.")
        return ExitCode.FAILED
    name, ports = dataset.name, wire(settings)
    replace_number(settings.datasets / f"{name}.yaml", ("endpoint", "scaling", "invocations"), proposal.invocations)
    say(console, f"{name}.yaml says `invocations: {proposal.invocations}` now.")
    changed, champion = find_dataset(settings, name), require_champion(ports.lake, name)
    if plan_deployment(ports.lake, ports.runner, changed, champion).version != served.version:
        also = f"`churn endpoint {name} deploy` registers it, and changes what is served as well"
        say(console, f"It is not registered: the endpoint does not serve today's champion, spec and code. {also}.")
        return ExitCode.FAILED
    done = run_job(settings, console, changed, deploy_job_name(name)) is not None
    return ExitCode.DONE if done else ExitCode.FAILED


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        fits = fits and not (parts.username or parts.password or parts.query or parts.fragment)
    except ValueError:
        fits = False
    if not fits or not text.isascii() or not text.isprintable() or " " in text:
        expected = "an address such as http://127.0.0.1:8080, without a password or a query"
        raise argparse.ArgumentTypeError(f"expected {expected}, found another text")
    return text.rstrip("/") if parts.path.rstrip("/") else f"{parts.scheme}://{parts.netloc}/invocations"


def _number(least: float, most: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"expected {least:g} to {most:g}, found {text[:20]!r}")
        return value

    return read


def _whole(most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isdecimal() and len(text) < 6 and 1 <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"expected 1 to {most}, found {text[:20]!r}")
        return int(text)

    return read


COMMAND = Command(
    name="load-test",
    summary="Ask a server of the champion more and more, until it no longer keeps up: the knee, and the scaling target that follows.",
    example="churn load-test telco --url http://127.0.0.1:8080 --p99 100",
    add_arguments=add_arguments,
    run=run,
)
