"""Steps as processes on this machine, or as jobs on SageMaker."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import dagster as dg

from churn_model.reports.step_report import StepReport
from churn_model.spec.dataset import Dataset
from resources.ports.leftovers import Leftover


@dataclass(frozen=True, kw_only=True)
class StepRequest:
    """One step to run. Its output prefix identifies it: the prefix holds the version, so equal prefixes are the same work."""

    step: str
    version: str
    dataset: Dataset
    inputs: Mapping[str, Sequence[str]]  # name of the input: keys, or prefixes that end with `/`
    output: str  # prefix that ends with `/`
    threads: int
    contents: Mapping[str, str] = field(
        default_factory=dict
    )  # of landed inputs, by key: the version was computed from it
    parameters: Mapping[str, Any] = field(default_factory=dict)  # plain values that the step reads of its request


@dataclass(frozen=True)
class RunningStep:
    """A step that is running elsewhere, whoever watches it: its job, since when (ISO time in UTC), and its page for a person."""

    name: str
    dataset: str
    since: str
    link: str


class Runner(dg.ConfigurableResource, ABC):
    """Runs steps: as processes on this machine, or as jobs on SageMaker."""

    threads: int = 2

    @abstractmethod
    def run(self, request: StepRequest) -> StepReport:
        """Run a step with its output below `request.output`, and return its report.

        One output has at most one step at a time. If it is running already, wait for it; if it has succeeded, return its report.
        An input that is gone, or whose content is not that of `contents`, fails the step.
        Raise StepFailed with the step's own message.
        """

    @abstractmethod
    def libraries(self, imports: frozenset[str]) -> str:
        """Identify the releases of `imports`, top-level modules that a step imports, and of all that they need, as steps compute with them.

        Part of every step's version: other releases, or another image, make another version.
        """

    def running(self) -> Sequence[RunningStep]:
        """Return the steps that run as jobs elsewhere. Processes of this machine end with their run. Raise StepFailed."""
        return ()

    def leftovers(self, dataset: str, before: datetime) -> Sequence[Leftover]:
        """Return the working folders of a dataset's steps that have ended, not changed since `before`. A job elsewhere leaves none."""
        return ()
