"""`churn plan`: what a retrain would start now, on what, for how long and for how much; nothing is started."""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from rich.console import Console

from churn_assets.cli.command import Command, ExitCode, add_dataset_argument, find_dataset
from churn_assets.console.safe_text import say
from churn_model.wording import counted
from resources.errors import CommandError
from resources.settings import Settings

if TYPE_CHECKING:
    import dagster as dg

    from churn_model.spec.sections.search import Engine
    from resources.catalog.planning import PlannedStep
    from resources.ports.prices import Price

_HISTORY = 20  # jobs of a step that are looked at
_HOUR = 3600
_THIS_MACHINE, _OWN_PROCESS = "this machine", "the run's own process"
_NOTHING_KNOWN = "not known: none of its jobs has ended yet"


@dataclass(frozen=True)
class Estimate:
    """A step of a run: on what, for how many seconds by the median of earlier jobs, and at which price an hour."""

    step: str
    machine: str
    seconds: float | None
    jobs: int
    price: "Price | None"

    @property
    def dollars(self) -> float | None:
        """What the step would cost, if that is known."""
        return None if self.seconds is None or self.price is None else self.seconds / _HOUR * self.price.dollars


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_dataset_argument(parser)


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> int:
    """Print what a retrain would start, and what each new batch starts."""
    from churn_assets.cli.workspace import open_instance
    from resources.catalog.planning import SCORING, plan_retrain
    from resources.wiring import wire

    dataset, ports = find_dataset(settings, arguments.dataset), wire(settings)
    steps = list(plan_retrain(ports.lake, ports.tables, ports.runner, dataset))
    found = [step.step for step in steps if step.is_published]
    with open_instance(settings) as instance:
        estimator = Estimator(settings, dataset.name, instance, engine=dataset.search.engine)
        retrain = [estimator.estimate(step) for step in steps if not step.is_published]
        batch = [estimator.estimate(step) for step in SCORING]
    _show(console, f"A retrain of {dataset.name} would start", retrain)
    if found:
        say(console, f"  Found again, and not started: {', '.join(found)}.")
    _show(console, f"Each new batch of {dataset.name} starts", batch)
    for note in estimator.notes():
        say(console, note)
    return ExitCode.DONE


class Estimator:
    """Looks up machines, the history of jobs and prices."""

    def __init__(
        self, settings: Settings, dataset: str, instance: "dg.DagsterInstance", *, engine: "Engine" = "job"
    ) -> None:
        self._settings, self._dataset, self._instance, self._engine = settings, dataset, instance, engine
        self._refusal = ""
        self._days: set[str] = set()
        self._warm = ""

    def estimate(self, planned: "PlannedStep") -> Estimate:
        """Return what is known of a step that would be started."""
        from resources.wiring import machine_of

        machine = machine_of(self._settings, planned.step, planned.input_bytes)
        if machine is None:
            return Estimate(planned.step, _OWN_PROCESS if self._settings.aws else _THIS_MACHINE, None, 0, None)
        seconds = self._history(planned)
        price = self._price(machine.use, machine.instance) if seconds else None
        typical = median(seconds) if seconds else None
        if machine.warm_minutes:
            most = f": at most ${machine.warm_minutes / 60 * price.dollars:,.4f} a job" if price else ""
            self._warm = f"The instance of {planned.step} is kept for {machine.warm_minutes:,} minutes more, which is billed too{most}."
        name = f"{machine.use.lower()} on {machine.instance}"
        if machine.small_megabytes:
            name += f", or {_OWN_PROCESS} if its inputs are less than {machine.small_megabytes:,} MB"
        return Estimate(planned.step, name, typical, len(seconds), price)

    def notes(self) -> Iterable[str]:
        """Yield what the figures rest on."""
        if self._settings.aws is None:
            yield "Steps are processes on this machine, and cost nothing."
            return
        yield "Durations are the median of what was billed for earlier jobs of the same step; start-up is not billed."
        if self._warm:
            yield self._warm
        if self._engine == "tuner":
            yield "The search is a job for each trial: the time of train is that of all of them together."
        if self._days:
            yield f"Prices are AWS's for {self._settings.aws_region or 'the region'} on demand, of {min(self._days)}, without disks and requests."
        if self._refusal:
            yield f"No prices: {self._refusal}"

    def _history(self, planned: "PlannedStep") -> list[float]:
        from resources.catalog.names import asset_key

        records = self._instance.fetch_materializations(asset_key(self._dataset, planned.asset), limit=_HISTORY).records
        found = [record.asset_materialization.metadata for record in records if record.asset_materialization]
        names = [f"{planned.step}_billed_seconds"]
        if planned.step == "train" and self._engine == "tuner":  # other searches say nothing of its trials
            names.append("trial_billed_seconds")
        values = [[metadata[name].value for name in names if name in metadata] for metadata in found]
        seconds = [[float(value) for value in each if isinstance(value, int | float)] for each in values]
        return [sum(each) for each in seconds if len(each) == len(names)]

    def _price(self, use: str, instance: str) -> "Price | None":
        from resources.wiring import open_prices

        if self._refusal:
            return None
        try:
            price = open_prices(self._settings).of(use, instance)
        except CommandError as error:
            self._refusal = str(error)
            return None
        if price:
            self._days.add(price.day)
        return price


def _show(console: Console, begin: str, estimates: list[Estimate]) -> None:
    say(console, f"{begin} {counted(len(estimates), 'step')}{':' if estimates else '.'}")
    for each in estimates:
        time = (
            f"{_duration(each.seconds)}, of {counted(each.jobs, 'job')}" if each.seconds is not None else _NOTHING_KNOWN
        )
        cost = "" if each.dollars is None else f", ${each.dollars:,.4f}"
        is_free = each.machine in (_THIS_MACHINE, _OWN_PROCESS)
        say(console, f"  {each.step}: {each.machine}" + ("" if is_free else f"; {time}{cost}"))
    known = [each.seconds for each in estimates if each.seconds is not None]
    costs = [each.dollars for each in estimates if each.dollars is not None]
    if len(known) == len(estimates) > 1:
        total = f", ${sum(costs):,.4f}" if len(costs) == len(estimates) else ""
        say(console, f"  In all: {_duration(sum(known))}{total}")


def _duration(seconds: float) -> str:
    return f"{seconds / _HOUR:.2f} h" if seconds >= _HOUR else f"{seconds / 60:.1f} min"


COMMAND = Command(
    name="plan",
    summary="Show what a retrain would start now, on what, for how long and for how many dollars. Starts nothing.",
    example="churn plan telco",
    add_arguments=add_arguments,
    run=run,
)
