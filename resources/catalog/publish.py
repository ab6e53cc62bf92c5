"""Find a published version or make it: the one way in which anything is published.

The order is the promise: the version is computed, looked up, made, and published with its manifest written last. A pointer moves only afterwards.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from churn_model.reports.step_report import REPORT, PublishedFile, Report, StepReport
from churn_model.spec.dataset import Dataset
from resources.catalog.digests import digest_of
from resources.catalog.integrity import read_file, require_file, require_whole_input
from resources.catalog.pointers import Current, utc_now
from resources.catalog.source_code import locked_releases
from resources.catalog.versions import Maker, restrict_dataset, version_of
from resources.errors import DamagedError
from resources.ports.lake import Lake, Manifest
from resources.ports.runner import Runner, StepRequest


@dataclass(frozen=True)
class Publication:
    """A published version of an asset."""

    version: str
    prefix: str
    report: StepReport
    reused: bool

    @property
    def current(self) -> Current:
        """The pointer at it."""
        return Current(self.version, self.prefix)


@dataclass(frozen=True)
class Content:
    """What is published by this process: files by name, their numbers of rows if they are tables, and the report."""

    report: Report
    files: Mapping[str, bytes]
    rows: Mapping[str, int] = field(default_factory=dict)


def publish_step(
    lake: Lake,
    runner: Runner,
    dataset: Dataset,
    *,
    maker: Maker,
    folder: str,
    inputs: Mapping[str, Sequence[str]],
    upstream: Mapping[str, str],
    contents: Mapping[str, str] | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Publication:
    """Find the version of a step's result that these inputs give, or run the step and publish it.

    `folder` ends with `/` and holds the versions. `contents` (of landed files, by key) and `parameters` are written into the step's request;
    `upstream` names them as well.
    """

    def run(version: str, prefix: str) -> dict[str, PublishedFile]:
        for keys in inputs.values():
            for key in keys:
                require_whole_input(lake, key)
        request = StepRequest(
            step=maker.name,
            version=version,
            dataset=dataset,
            inputs=inputs,
            output=prefix,
            threads=runner.threads,
            contents=contents or {},
            parameters=parameters or {},
        )
        return dict(runner.run(request).files)

    libraries = runner.libraries(maker.source().libraries)
    return _publish(lake, dataset, maker, folder, upstream, libraries, run)


def publish_content(
    lake: Lake,
    dataset: Dataset,
    *,
    maker: Maker,
    folder: str,
    upstream: Mapping[str, str],
    make: Callable[[Dataset], Content],
) -> Publication:
    """Find the version of what `make` gives, or make it in this process and publish it. `make` is given the dataset as its maker may see it."""

    def write(_version: str, prefix: str) -> dict[str, PublishedFile]:
        content = make(restrict_dataset(dataset, maker.name))
        files = {
            name: PublishedFile(len(data), digest_of(data), content.rows.get(name))
            for name, data in content.files.items()
        }
        for name, data in content.files.items():
            lake.put(prefix + name, data)
        lake.put(prefix + REPORT, StepReport.of(maker.name, content.report, files).to_json())
        return files

    libraries = locked_releases(maker.source().libraries)
    return _publish(lake, dataset, maker, folder, upstream, libraries, write)


def _publish(
    lake: Lake,
    dataset: Dataset,
    maker: Maker,
    folder: str,
    upstream: Mapping[str, str],
    libraries: str,
    make: Callable[[str, str], dict[str, PublishedFile]],
) -> Publication:
    """Find the version, or have `make` write its files and report below the prefix and publish them."""
    version = version_of(maker, dataset, upstream, libraries=libraries)
    prefix = f"{folder}{version}/"
    found = _find_whole(lake, prefix)
    if found:
        return Publication(version, prefix, found, reused=True)
    files = make(version, prefix)
    report = lake.read(prefix + REPORT)
    files[REPORT] = PublishedFile(len(report), digest_of(report))
    lake.publish(prefix, Manifest(version, files, dict(upstream), utc_now()))
    return Publication(version, prefix, StepReport.from_json(report), reused=False)


def _find_whole(lake: Lake, prefix: str) -> StepReport | None:
    """Return the report of a published version, or None if there is none or it is damaged. A damaged one is withdrawn, to be made again."""
    try:
        return read_published(lake, prefix)
    except DamagedError as damage:
        dg.get_dagster_logger().warning(f"A published result is damaged and is made again. {damage}")
        lake.withdraw(prefix)
        return None


def read_published(lake: Lake, prefix: str) -> StepReport | None:
    """Return the report of a published version, or None if nothing is published there. Raise DamagedError if it is not as it was published."""
    content = read_file(lake, prefix, REPORT)
    return None if content is None else StepReport.from_json(content)


def require_published(lake: Lake, prefix: str) -> StepReport:
    """Return the report of a published version. Raise DamagedError if nothing is published there, or if it is not as it was published."""
    return StepReport.from_json(require_file(lake, prefix, REPORT))
