"""What every asset does the same way: find a published version or run its step, publish it, say what it holds, show it.

The order is the promise: version, step, manifest, checks, pointer. A version whose blocking checks fail stays published, for a person to look
at, and is never shown.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from churn_model.errors import ChurnError
from churn_model.spec.dataset import Dataset
from churn_model.steps.contract import REPORT
from churn_model.steps.os_errors import explain_os_error
from resources.catalog.pointers import Current, read_current
from resources.catalog.versions import digest_of, version_of
from resources.errors import NotInLake
from resources.ports.lake import MANIFEST, Lake, Manifest, PublishedFile
from resources.ports.runner import Runner, StepReport, StepRequest


@dataclass(frozen=True)
class Made:
    """A published version of an asset."""

    version: str
    prefix: str
    report: StepReport
    reused: bool

    @property
    def current(self) -> Current:
        """The pointer that shows it."""
        return Current(self.version, self.prefix)


def now() -> str:
    """The time as pointers and manifests write it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def make(
    lake: Lake,
    runner: Runner,
    dataset: Dataset,
    *,
    step: str,
    folder: str,
    inputs: Mapping[str, Sequence[str]],
    upstream: Mapping[str, str],
    beside: Callable[[StepReport], Mapping[str, bytes]] | None = None,
) -> Made:
    """The version of `step`'s result that these inputs give, found or made. `folder` ends with `/` and holds the versions.

    `beside`: files that the orchestrator makes of the step's report, published with it.
    """
    version = version_of(step, dataset, [f"{name}={value}" for name, value in upstream.items()])
    prefix = f"{folder}{version}/"
    found = published(lake, prefix)
    if found:
        return Made(version, prefix, found, reused=True)
    request = StepRequest(
        step=step, version=version, dataset=dataset, inputs=inputs, output=prefix, threads=runner.threads
    )
    report = runner.run(request)
    added = {REPORT: lake.read(prefix + REPORT), **(beside(report) if beside else {})}
    for name, content in added.items():
        if name != REPORT:
            lake.put(prefix + name, content)
    files = {
        **report.files,
        **{name: PublishedFile(len(content), digest_of(content)) for name, content in added.items()},
    }
    lake.publish(prefix, Manifest(version, files, dict(upstream), now()))
    return Made(version, prefix, report, reused=False)


def published(lake: Lake, prefix: str) -> StepReport | None:
    """The report of a published version, or None where nothing is published there."""
    try:
        lake.read(prefix + MANIFEST)
    except NotInLake:
        return None
    return StepReport.from_json(lake.read(prefix + REPORT))


def required(lake: Lake, dataset: Dataset, asset: str) -> Current:
    """The version shown for an upstream asset. Raises ChurnError where there is none yet."""
    current = read_current(lake, dataset.name, asset)
    if current is None:
        raise ChurnError(
            f"expected a published {dataset.name}/{asset}; found none; run `churn retrain {dataset.name}` first"
        )
    return current


@contextmanager
def user_errors_as_failures() -> Iterator[None]:
    """Turn an error that is meant for the user, and what the machine refuses, into a failure that reads as one."""
    try:
        yield
    except ChurnError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
    except OSError as error:
        refused = explain_os_error(error)
        if refused is None:
            raise
        raise dg.Failure(description=refused, allow_retries=False) from error


@dataclass(frozen=True)
class Claim:
    """A check of an asset, as its definition declares it."""

    name: str
    description: str
    blocking: bool = True

    def spec(self, asset: dg.AssetKey) -> dg.AssetCheckSpec:
        """The check as Dagster declares it."""
        return dg.AssetCheckSpec(self.name, asset=asset, description=self.description, blocking=self.blocking)


def check_results(claims: Sequence[Claim], checks: Sequence[Mapping[str, Any]]) -> list[dg.AssetCheckResult]:
    """What a step said of each claim."""
    said = {check["name"]: check for check in checks}
    return [_result(claim, said[claim.name]) for claim in claims]


def _result(claim: Claim, check: Mapping[str, Any]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=claim.name,
        passed=bool(check["passed"]),
        severity=dg.AssetCheckSeverity.ERROR if claim.blocking else dg.AssetCheckSeverity.WARN,
        description=_sentence(check),
        metadata={
            "expected": check["expected"],
            "found": check["found"],
            "to do": "nothing" if check["passed"] else check["todo"],
        },
    )


def _sentence(check: Mapping[str, Any]) -> str:
    if check["passed"]:
        return str(check["found"])
    return f"expected {check['expected']}; found {check['found']}; {check['todo']}"


def passed(results: Sequence[dg.AssetCheckResult]) -> bool:
    """Whether nothing stops what is downstream."""
    return all(result.passed or result.severity is not dg.AssetCheckSeverity.ERROR for result in results)


def materialized(
    made: Made, lake: Lake, results: Sequence[dg.AssetCheckResult], metadata: Mapping[str, Any]
) -> dg.MaterializeResult:
    """What Dagster is told: the version as data version, where it lies, whether it was reused, counts, metrics, checks."""
    numbers = {
        **made.report.counts,
        **{name: value for name, value in made.report.metrics.items() if value is not None},
    }
    common: dict[str, Any] = {
        "version": made.version,
        "reused": made.reused,
        "lies at": dg.MetadataValue.path(lake.uri(made.prefix)),
    }
    return dg.MaterializeResult(
        data_version=dg.DataVersion(made.version),
        metadata={**common, **numbers, **metadata},
        check_results=list(results),
    )


def loads(lake: Lake, key: str) -> Any:
    """A JSON object of the lake."""
    return json.loads(lake.read(key))
