"""Runs a load test: warms up, asks step by step until there is enough to say, and says it."""

import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from churn_assets.load_test.figures import Figures, Judged, Step, describe_errors, judge, summarize
from churn_assets.load_test.knee import Verdict, next_rate, reach_verdict
from churn_assets.load_test.processes import Generators
from churn_model.errors import ChurnError, problem
from churn_model.wording import counted, percent

_WARM_UP_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """What is asked for.

    rate, most  requests a second of the first step, and at most
    seconds     of each step
    p99         milliseconds that the 99th percentile may have
    users       of a closed loop; 0 for constant rates
    processes   of the generator
    """

    rate: float
    most: float
    seconds: float
    p99: float
    users: int
    processes: int


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A target for `endpoint: scaling`: `invocations` a minute of each instance, `safety` being the share of the knee that this is."""

    invocations: int
    instances: int
    safety: float
    text: str


@dataclass(frozen=True, kw_only=True)
class LoadTest:
    """A load test with all that its report shows. `target`: an address or an endpoint's name; `machine`: that of the generator."""

    dataset: str
    target: str
    about: str
    began: str
    machine: str
    options: LoadOptions
    steps: tuple[Judged, ...]
    verdict: Verdict
    proposal: Proposal | None = None


def run_load_test(
    generators: Generators, options: LoadOptions, *, dataset: str, target: str, about: str, say: Callable[[str], None]
) -> LoadTest:
    """Return what the steps have shown. Raise ChurnError if the target answers nothing. `say` takes a line about each step."""
    began = datetime.now(UTC).isoformat(timespec="seconds")
    _warm_up(generators, options, target, dataset)
    say(describe_header())
    judged: list[Judged] = []
    for step in _steps(options, judged):
        judged.append(judge(summarize(step, generators.run(step, limit=options.p99)), limit=options.p99))
        say(describe_step(judged[-1]))
    return LoadTest(
        dataset=dataset,
        target=target,
        about=about,
        began=began,
        machine=f"{counted(os.cpu_count() or 1, 'core')}, {platform.system()}, Python {platform.python_version()}",
        options=options,
        steps=tuple(judged),
        verdict=reach_verdict(judged, processes=options.processes),
    )


def _steps(options: LoadOptions, judged: list[Judged]) -> Iterator[Step]:
    """Yield the steps. What became of each is in `judged` before the next is asked for."""
    if options.users:
        yield Step(users=options.users, seconds=options.seconds)
        return
    while rate := next_rate(judged, start=options.rate, most=options.most):
        yield Step(rate=rate, seconds=options.seconds)


def _warm_up(generators: Generators, options: LoadOptions, target: str, dataset: str) -> None:
    """Ask for a moment without judging: connections are opened, machines woken. Raise ChurnError if nothing is answered."""
    step = Step(rate=0 if options.users else options.rate, users=options.users, seconds=_WARM_UP_SECONDS)
    figures = summarize(step, generators.run(step, limit=options.p99))
    if figures.failed < figures.requests:
        return
    todo = f"start it, as by `churn serve {dataset}`, or name another address with --url; a server with a token wants CHURN_SERVE_TOKEN here, too"
    raise ChurnError(problem(expected=f"answers of {target}", found=describe_errors(figures.errors), todo=todo))


COLUMNS = ("asked/s", "reached/s", "p50 ms", "p90 ms", "p99 ms", "max ms", "errors", "generator", "late ms")
"""Of a table with a row for each step. `generator`: of its busiest process, processor time by time; `late`: its 99th percentile."""
_WIDTH = 10


def describe_figures(figures: Figures) -> tuple[str, ...]:
    """Return a step's row of the table."""
    step = figures.step
    return (
        f"{step.rate:,.0f}" if step.rate else counted(step.users, "user"),
        f"{figures.reached:,.0f}",
        *(f"{each:,.1f}" for each in (figures.p50, figures.p90, figures.p99, figures.longest)),
        f"{figures.failed:,}",
        percent(max(figures.busy)),
        f"{figures.late_p99:,.1f}",
    )


def describe_header() -> str:
    """Return the line above those of the steps."""
    return "".join(each.rjust(_WIDTH) for each in COLUMNS)


def describe_step(judged: Judged) -> str:
    """Return a step as a line below the header."""
    errors = f"  ({describe_errors(judged.figures.errors)})" if judged.figures.errors else ""
    row = "".join(each.rjust(_WIDTH) for each in describe_figures(judged.figures))
    return f"{row}  {judged.outcome}{errors}"
