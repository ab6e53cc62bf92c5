"""What a job has left below its own prefix, and how that becomes the result of a version."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from churn_model.reports.step_report import REPORT, ReportError, StepReport
from resources.aws.container.start import RECEIPT
from resources.aws.lake import S3Lake
from resources.catalog.integrity import compare_files, find_damage
from resources.errors import NotInLake
from resources.ports.lake import MANIFEST, Entry
from resources.ports.runner import StepRequest

_COPIES_AT_ONCE = 16


def find_whole_result(lake: S3Lake, prefix: str) -> StepReport | None:
    """Return the report of a step whose run died after its result was taken over and before it was published."""
    try:
        report = StepReport.from_json(lake.read(prefix + REPORT))
    except (NotInLake, ReportError):
        return None
    return None if find_damage(lake, prefix, report.files) else report


@dataclass(frozen=True)
class JobResult:
    """A job's whole result: its report, as it is and as its bytes, and the objects of its files by their names."""

    report: StepReport
    content: bytes
    files: Mapping[str, Entry]


def find_result(lake: S3Lake, prefix: str, request: StepRequest) -> JobResult | None:
    """Return the result of a request below a job's prefix; None if it is not there, or not whole."""
    entries = {entry.key: entry for entry in lake.entries(prefix)}
    try:
        receipt = json.loads(lake.read_listed(entries[prefix + RECEIPT]))
        content = lake.read_listed(entries[prefix + REPORT])
        report = StepReport.from_json(content)
    except (KeyError, NotInLake, ReportError, ValueError):
        return None
    ours = receipt == {"step": request.step, "version": request.version} and report.step == request.step
    if not ours or compare_files(lake, prefix, report.files, entries):
        return None
    return JobResult(report, content, {name: entries[prefix + name] for name in report.files})


def take_over(lake: S3Lake, result: JobResult, target: str) -> StepReport:
    """Copy a job's result to a version's prefix within S3, the report last, and remove what else is there."""
    report = result.report
    clear(lake, target, (*report.files, REPORT, MANIFEST))
    with ThreadPoolExecutor(_COPIES_AT_ONCE) as pool:
        copies = [pool.submit(lake.copy_object, entry, target + name) for name, entry in result.files.items()]
        for copy in copies:
            copy.result()
    lake.put(target + REPORT, result.content)
    return report


def clear(lake: S3Lake, target: str, kept: Sequence[str]) -> None:
    """Remove what is below a version's prefix, but for what this result has as well."""
    keys = {target + name for name in kept}
    stray = [entry.key for entry in lake.entries(target) if entry.key not in keys]
    if stray:
        lake.remove(stray)
