"""Steps as jobs on SageMaker.

A job reads the lake and writes below `jobs/<name>/`. When it has completed with a report of our version, the files that the report names are
copied to the version's prefix, the report last. So nothing is ever half there, and no attempt sees another's leftovers.
"""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from churn_model.errors import listed, problem
from churn_model.reports.step_report import REPORT, ReportError, StepReport
from resources.aws.code_archive import upload_code
from resources.aws.container.start import RECEIPT
from resources.aws.image import check_image, expected_xgboost, find_managed_image
from resources.aws.job_requests import (
    CHECKPOINTS,
    CODE,
    CONFIG,
    RESULT,
    JobInput,
    JobOptions,
    JobPlan,
    processing_request,
    training_request,
)
from resources.aws.jobs.client import JobClient
from resources.aws.jobs.clock import Clock, SystemClock
from resources.aws.jobs.failures import JobFailed
from resources.aws.jobs.kinds import (
    ENDED,
    PROCESSING,
    TRAINING,
    TRANSFORM,
    TUNING,
    Description,
    JobKind,
    share_saved,
)
from resources.aws.jobs.listing import list_running, without_trials
from resources.aws.jobs.logs import JobLog
from resources.aws.jobs.names import Work, check_stack_name
from resources.aws.lake import S3Lake
from resources.aws.session import AwsSession
from resources.aws.small_steps import run_here
from resources.aws.transform import BatchTransform, JobModel
from resources.aws.tuning import TRIAL, explain_failure, is_tuned, read_tuned, sum_billed, tuning_request
from resources.catalog.integrity import find_damage
from resources.catalog.source_code import locked_releases
from resources.catalog.versions import restrict_dataset
from resources.errors import NotInLake, StepFailed
from resources.ports.lake import MANIFEST, Entry
from resources.ports.runner import Runner, RunningStep, StepRequest
from resources.settings import PROJECT

IMAGE_LOCK = "requirements-image.lock"
KINDS: Mapping[str, JobKind] = {
    "ingest": PROCESSING,
    "preprocess": PROCESSING,
    "train": TRAINING,
    "evaluate": PROCESSING,
    "compare": PROCESSING,
    "score": PROCESSING,
    "retention_list": PROCESSING,
    "list_layout": PROCESSING,
}
"""Which kind of job a step is, unless its dataset names another engine."""

JOBS = "jobs/"
_COPIES_AT_ONCE = 16
_RETRY_TAG = "dagster/retry_number"
_AGAIN = "run the job again once all files are complete"


class SageMakerRunner(Runner):
    """Runs each step as one job of the kind that KINDS names."""

    session: AwsSession
    lake: S3Lake
    stack: str
    role: str  # ARN of the role that the jobs take
    image: str = (
        ""  # address of the image whose releases are those of requirements-image.lock; "" for the region's managed one
    )
    options: JobOptions = JobOptions()
    threads: int = 0  # 0: all of the instance's
    code: str = str(PROJECT)  # the folder that holds `churn_model`
    _instance: Any = PrivateAttr(default=None)
    _run_id: str = PrivateAttr(default="")
    _clock: Clock = PrivateAttr(default_factory=SystemClock)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Remember the run, to know who asks for a job and whether a person has cancelled it."""
        self._instance, self._run_id = context.instance, context.run.run_id if context.run else ""

    def run(self, request: StepRequest) -> StepReport:
        if report := self._find_whole(request.output):
            return report
        self._require_unchanged(request, None)
        if self._is_small(request):
            return self._run_here(request)
        if is_tuned(request):
            request = self._tune(request)
        work = self._work(request, kind_of(request))
        try:
            description = self._jobs().run(
                work,
                partial(self._build, request, work.kind),
                partial(self._is_whole, request, work.kind),
            )
        except JobFailed as failure:
            if work.kind is TRANSFORM and failure.status in ENDED:
                self._transform(request).remove_model(failure.job)
            self._require_unchanged(request, None)  # a file that was half there when it was read comes first
            raise
        self._record(request.step, work.kind, description, work.kind.billed(description))
        report = self._take_over(request, work.kind, description)
        if work.kind is TRANSFORM:
            self._transform(request).remove_model(work.kind.name_of(description))
        return report

    def _work(self, request: StepRequest, kind: JobKind) -> Work:
        return Work(
            kind=kind,
            stack=check_stack_name(self.stack),
            dataset=request.dataset.name,
            step=request.step,
            version=request.version,
            output=request.output,
            asked_by=self._asked_by(),
        )

    def _tune(self, request: StepRequest) -> StepRequest:
        """Have a tuning job search, or find the one that has, and return the request of the step that takes its best trials."""
        sagemaker, work = self.session.client("sagemaker"), self._work(request, TUNING)

        def read_tail(trial: str) -> Sequence[str]:
            return JobLog(self.session.client("logs"), TRAINING, trial, self._clock, lambda _line: None).finish()

        def read(found: Description) -> dict[str, Any] | None:
            return read_tuned(sagemaker, TUNING.name_of(found), request.dataset)

        try:
            description = self._jobs().run(work, partial(self._build, request, TUNING), lambda found: bool(read(found)))
        except JobFailed as failure:
            raise explain_failure(sagemaker, failure, read_tail) from failure
        self._record(TRIAL, TUNING, description, sum_billed(sagemaker, TUNING.name_of(description)))
        return replace(request, parameters={**request.parameters, "tuned": read(description)})

    def libraries(self, imports: frozenset[str]) -> str:
        image = locked_releases(imports, lock=IMAGE_LOCK)
        # Small steps compute with the releases of this process.
        return f"{image}\nor\n{locked_releases(imports)}" if self.options.small_megabytes else image

    def running(self) -> Sequence[RunningStep]:
        """Return the jobs of this stack that run. One listing for each kind: it is the account's most throttled call, so nothing waits for it."""
        client = self.session.client("sagemaker")
        kinds = sorted({*KINDS.values(), TRANSFORM, TUNING}, key=lambda kind: kind.resource)
        return without_trials([found for kind in kinds for found in list_running(client, kind, self.stack)])

    # A step on little data

    def _is_small(self, request: StepRequest) -> bool:
        if not self.options.small_megabytes:
            return False
        sizes = (entry.size for keys in request.inputs.values() for entry in self._entries(keys))
        return sum(sizes) < self.options.small_megabytes * 1_000_000

    def _run_here(self, request: StepRequest) -> StepReport:
        """Run a step in this process, with S3 before and behind it."""
        places = [
            # A prefix is a folder; single objects have their whole keys.
            (entry.key, f"{name}/{entry.key.removeprefix(keys[0]) if is_folder(keys) else entry.key}")
            for name, keys in request.inputs.items()
            for entry in self._entries(keys)
        ]
        return run_here(
            self.lake,
            request.step,
            request.output,
            config=self._config(request),
            inputs=places,
            code=Path(self.code),
            check=partial(self._require_unchanged, request, datetime.now(UTC)),
        )

    # A job and its inputs

    def _jobs(self) -> JobClient:
        log = dg.get_dagster_logger()
        return JobClient(
            self.session.client("sagemaker"),
            self.session.client("logs"),
            say=log.info,
            show=log.debug,
            is_cancelled=self._is_cancelled,
            clock=self._clock,
            shortest=self.options.shortest_pause,
            longest=self.options.longest_pause,
        )

    def _build(self, request: StepRequest, kind: JobKind, name: str) -> Mapping[str, Any]:
        """Upload what a job needs beside its inputs, and return its request."""
        prefix = f"{JOBS}{name}/"
        if kind is TRANSFORM:
            model = JobModel(image=self._image(), role=self.role, stack=self.stack, code=Path(self.code))
            return self._transform(request).prepare(name, prefix, model)
        for file, content in self._config(request).items():
            self.lake.put(f"{prefix}{CONFIG}/{file}", content)
        sizes = [entry.size for keys in request.inputs.values() for entry in self._entries(keys)]
        plan = JobPlan(
            step=TRIAL if kind is TUNING else request.step,
            image=self._image(),
            role=self.role,
            options=self.options,
            inputs={
                CODE: JobInput(uri=self.lake.uri(upload_code(self.lake, Path(self.code)))),
                CONFIG: JobInput(uri=self.lake.uri(f"{prefix}{CONFIG}/")),
                **{input_: self._input(prefix, input_, keys) for input_, keys in request.inputs.items()},
            },
            output=self.lake.uri(prefix if kind is PROCESSING else JOBS),
            input_bytes=sum(sizes),
            # By the version, so that another attempt goes on from the trials of the one before.
            checkpoints=self.lake.uri(f"{JOBS}{request.dataset.name}-{request.step}-{request.version}/{CHECKPOINTS}/")
            if kind is TRAINING and self.options.spot
            else "",
        )
        if kind is TUNING:
            return tuning_request(plan, request.dataset)
        return processing_request(plan) if kind is PROCESSING else training_request(plan)

    def _transform(self, request: StepRequest) -> BatchTransform:
        return BatchTransform(self.lake, request, self.session.client("sagemaker"), self._clock, self.options)

    def _image(self) -> str:
        return check_image(self.image) or find_managed_image(self.session.client("sagemaker").meta.region_name)

    def _config(self, request: StepRequest) -> Mapping[str, bytes]:
        """Return the files of a step's configuration, by name."""
        # Without the contents of landed files: theirs are ETags, which only the runner can compare.
        values = {
            **request.parameters,
            "version": request.version,
            "threads": request.threads,
            "inputs": list(request.inputs),
            "contents": {},
            "xgboost": expected_xgboost(),
        }
        dataset = restrict_dataset(request.dataset, request.step)
        return {"dataset.json": dataset.to_json().encode(), "request.json": json.dumps(values).encode()}

    def _input(self, prefix: str, name: str, keys: Sequence[str]) -> JobInput:
        """Return a prefix as it is, and single objects as a manifest, which keeps their whole keys and takes no others."""
        if is_folder(keys):
            return JobInput(uri=self.lake.uri(keys[0]))
        listed_keys = [entry.key for entry in self._entries(keys)]
        manifest = f"{prefix}inputs/{name}.manifest"
        self.lake.put(manifest, json.dumps([{"prefix": self.lake.uri("")}, *listed_keys]).encode())
        return JobInput(uri=self.lake.uri(manifest), is_manifest=True)

    def _entries(self, keys: Sequence[str]) -> Sequence[Entry]:
        """Return the objects that keys and prefixes name. Raise StepFailed for a key without an object."""
        found: list[Entry] = []
        for key in keys:
            entries = list(self.lake.entries(key)) if key.endswith("/") else self._entry(key)
            if not entries:
                raise StepFailed(_moved(key))
            found += entries
        return found

    def _entry(self, key: str) -> list[Entry]:
        return [entry for entry in self.lake.list(key, limit=1) if entry.key == key]

    def _require_unchanged(self, request: StepRequest, since: datetime | None) -> None:
        """Raise StepFailed with every landed file that is not, or since a moment was not always, what the version was computed from."""
        problems = [text for key, content in request.contents.items() if (text := self._change(key, content, since))]
        if problems:
            raise StepFailed(listed(problems))

    def _change(self, key: str, content: str, since: datetime | None) -> str:
        entries = self._entry(key)
        if not entries:
            return _moved(key)
        (entry,) = entries
        same = f"{entry.size}:{self.lake.digests(entries)[key]}" == content
        if same and (since is None or entry.modified <= since):
            return ""
        return problem(
            expected=f"{key} to stay as it is while it is read", found="that it was changed or replaced", todo=_AGAIN
        )

    # Its result

    def _result_prefix(self, kind: JobKind, description: Description) -> str:
        name = kind.name_of(description)
        return f"{JOBS}{name}/output/model/" if kind is TRAINING else f"{JOBS}{name}/{RESULT}/"

    def _is_whole(self, request: StepRequest, kind: JobKind, description: Description) -> bool:
        """Return whether a completed job has left the whole result of our version."""
        prefix = self._result_prefix(kind, description)
        if kind is TRANSFORM:
            return self._transform(request).read_parts(prefix) is not None
        self._require_unchanged(request, None)
        try:
            receipt = json.loads(self.lake.read(prefix + RECEIPT))
            report = StepReport.from_json(self.lake.read(prefix + REPORT))
        except (NotInLake, ReportError, ValueError):
            return False
        ours = receipt == {"step": request.step, "version": request.version} and report.step == request.step
        was_changed = any(
            self._change(key, content, description["CreationTime"]) for key, content in request.contents.items()
        )
        return ours and not was_changed and not find_damage(self.lake, prefix, report.files)

    def _find_whole(self, prefix: str) -> StepReport | None:
        """Return the report of a step whose run died after it was taken over and before it was published."""
        try:
            report = StepReport.from_json(self.lake.read(prefix + REPORT))
        except (NotInLake, ReportError):
            return None
        return None if find_damage(self.lake, prefix, report.files) else report

    def _take_over(self, request: StepRequest, kind: JobKind, description: Description) -> StepReport:
        """Copy a job's result to the version's prefix within S3, the report last, and remove what else is there."""
        source, target = self._result_prefix(kind, description), request.output
        if kind is TRANSFORM:
            self._clear(target, (MANIFEST,))
            return self._transform(request).take_over(source)
        content = self.lake.read(source + REPORT)
        report = StepReport.from_json(content)
        self._clear(target, (*report.files, REPORT, MANIFEST))
        with ThreadPoolExecutor(_COPIES_AT_ONCE) as pool:
            copies = [
                pool.submit(self.lake.copy_object, source + name, target + name, file.size)
                for name, file in report.files.items()
            ]
            for copy in copies:
                copy.result()
        self.lake.put(target + REPORT, content)
        return report

    def _clear(self, target: str, kept: Sequence[str]) -> None:
        """Remove what is below the version's prefix, but for what this result has as well."""
        keys = {target + name for name in kept}
        stray = [entry.key for entry in self.lake.entries(target) if entry.key not in keys]
        if stray:
            self.lake.remove(stray)

    # The run

    def _asked_by(self) -> str:
        """Return the run that a person or a schedule has started: this one, or the first of those that Dagster repeated by itself."""
        run = self._instance.get_run_by_id(self._run_id) if self._instance and self._run_id else None
        while run is not None and _RETRY_TAG in run.tags and run.parent_run_id:
            parent = self._instance.get_run_by_id(run.parent_run_id)
            if parent is None:
                break
            run = parent
        return str(run.run_id) if run else ""

    def _is_cancelled(self) -> bool:
        """Return whether a person has cancelled the run: then its status is CANCELING before its worker is told to end."""
        run = self._instance.get_run_by_id(self._run_id) if self._instance and self._run_id else None
        return run is not None and run.status in (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)

    def _record(self, step: str, kind: JobKind, description: Description, billed: float | None) -> None:
        """Show the job and what was billed for it in the asset's metadata, if an asset is being materialized."""
        try:
            context = dg.AssetExecutionContext.get()
        except dg.DagsterInvariantViolationError:
            return
        name = kind.name_of(description)
        link, saved = kind.link(self.session.client("sagemaker").meta.region_name, name), share_saved(description)
        context.add_asset_metadata(
            {
                "tuning_job" if kind is TUNING else "job": dg.MetadataValue.url(link),
                # By step, since some assets are made by two. `churn plan` reads it.
                **({} if billed is None else {f"{step}_billed_seconds": round(billed, 1)}),
                **({} if saved is None else {f"{step}_spot_saving": round(saved, 3)}),
            }
        )


def kind_of(request: StepRequest) -> JobKind:
    """Return which kind of job a step is."""
    is_transform = request.step == "score" and request.dataset.scoring.engine == "transform"
    return TRANSFORM if is_transform else KINDS[request.step]


def is_folder(keys: Sequence[str]) -> bool:
    """Return whether an input is one prefix, whose objects are its files."""
    return len(keys) == 1 and keys[0].endswith("/")


def _moved(key: str) -> str:
    return problem(
        expected=f"{key} to stay as it is while it is read", found="that it was moved or removed", todo=_AGAIN
    )
