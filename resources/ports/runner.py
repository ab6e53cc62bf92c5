"""Steps as processes on this machine, or as jobs on SageMaker."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from churn_model.spec.dataset import Dataset
from resources.ports.lake import PublishedFile


@dataclass(frozen=True, kw_only=True)
class StepRequest:
    """One step to run. Its output prefix identifies it: the prefix holds the version, so equal prefixes are the same work."""

    step: str
    version: str
    dataset: Dataset
    inputs: Mapping[str, Sequence[str]]  # name of the input: keys, or prefixes that end with `/`
    output: str  # prefix that ends with `/`
    threads: int


@dataclass(frozen=True)
class StepReport:
    """A step's report.json: numbers and checks, without any formatting."""

    step: str
    counts: Mapping[str, int]
    metrics: Mapping[str, float | None]
    checks: Sequence[Mapping[str, Any]]
    detail: Mapping[str, Any]
    files: Mapping[str, PublishedFile]

    @classmethod
    def from_json(cls, data: bytes) -> "StepReport":
        """Read a report written by `churn_model.steps.contract`."""
        raw = json.loads(data)
        files = {name: PublishedFile(**entry) for name, entry in raw["files"].items()}
        return cls(raw["step"], raw["counts"], raw["metrics"], raw["checks"], raw["detail"], files)


class Runner(dg.ConfigurableResource, ABC):
    """Runs steps: as processes on this machine, or as jobs on SageMaker."""

    threads: int = 2

    @abstractmethod
    def run(self, request: StepRequest) -> StepReport:
        """Run a step with its output below `request.output`, and return its report.

        One output has at most one step at a time. If it is running already, wait for it; if it has succeeded, return its report.
        Raise StepFailed with the step's own message.
        """

    @abstractmethod
    def libraries(self, imports: frozenset[str]) -> str:
        """Identify the releases of `imports`, top-level modules that a step imports, and of all that they need, as steps compute with them.

        Part of every step's version: other releases, or another image, make another version.
        """
