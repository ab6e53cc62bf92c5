"""Steps as jobs on SageMaker.

A job reads the lake and writes below `jobs/<name>/`. When it has completed with a report of our version, the files that the report names are
copied to the version's prefix, the report last. So nothing is ever half there, and no attempt sees another's leftovers.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from churn_model.reports.step_report import StepReport
from resources.aws.bucket_region import refuse_bucket_elsewhere
from resources.aws.code_archive import upload_code
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
from resources.aws.job_results import JobResult, clear, find_result, find_whole_result, take_over
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
from resources.aws.step_inputs import StepInputs, is_folder
from resources.aws.transform import BatchTransform, JobModel
from resources.aws.tuning import TRIAL, explain_failure, is_tuned, list_trials, read_tuned, sum_billed, tuning_request
from resources.catalog.source_code import locked_releases
from resources.catalog.versions import restrict_dataset
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
    "shadow": PROCESSING,
    "score": PROCESSING,
    "retention_list": PROCESSING,
    "list_layout": PROCESSING,
}
"""Which kind of job a step is, unless its dataset names another engine."""

JOBS = "jobs/"
_RETRY_TAG = "dagster/retry_number"


@dataclass(frozen=True)
class _Step:
    """A request that runs as a job of a kind.

    transform   its transform job, if it is one
    results     what completed jobs of it have left, by the prefix of each
    """

    request: StepRequest
    inputs: StepInputs
    kind: JobKind
    transform: BatchTransform | None = None
    results: dict[str, JobResult] = field(default_factory=dict)


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
        if report := find_whole_result(self.lake, request.output):
            return report
        inputs = StepInputs(self.lake, request)
        inputs.require_unchanged()
        if self.options.small_megabytes and self.options.is_small(inputs.size):
            return self._run_here(request, inputs)
        if is_tuned(request):
            request = self._tune(request, inputs)
        kind = kind_of(request)
        step = _Step(request, inputs, kind, self._transform(request) if kind is TRANSFORM else None)
        try:
            description = self._jobs().run(
                self._work(request, kind), partial(self._build, step), partial(self._is_whole, step)
            )
        except JobFailed as failure:
            if step.transform and failure.status in ENDED:
                step.transform.remove_model(failure.job)
            inputs.require_unchanged()  # a file that was half there when it was read comes first
            raise
        self._record(request.step, kind, description, kind.billed(description))
        # Before the report is there, by which a later run of this step finds its result and looks no further.
        if step.transform:
            step.transform.remove_model(kind.name_of(description))
        return self._take_over(step, description)

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

    def _tune(self, request: StepRequest, inputs: StepInputs) -> StepRequest:
        """Have a tuning job search, or find the one that has, and return the request of the step that takes its best trials."""
        sagemaker, work = self.session.client("sagemaker"), self._work(request, TUNING)

        def read_tail(trial: str) -> Sequence[str]:
            return JobLog(self.session.client("logs"), TRAINING, trial, self._clock, lambda _line: None).finish()

        @cache
        def list_once(tuning: str) -> Sequence[Description]:
            return list(list_trials(sagemaker, tuning))

        def read(found: Description) -> dict[str, Any] | None:
            return read_tuned(list_once(TUNING.name_of(found)), request.dataset)

        step = _Step(request, inputs, TUNING)
        try:
            description = self._jobs().run(work, partial(self._build, step), lambda found: bool(read(found)))
        except JobFailed as failure:
            raise explain_failure(sagemaker, failure, read_tail) from failure
        self._record(TRIAL, TUNING, description, sum_billed(list_once(TUNING.name_of(description))))
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

    def _run_here(self, request: StepRequest, inputs: StepInputs) -> StepReport:
        """Run a step in this process, with S3 before and behind it."""
        places = [
            # A prefix is a folder; single objects have their whole keys.
            (entry.key, f"{name}/{entry.key.removeprefix(keys[0]) if is_folder(keys) else entry.key}")
            for name, keys in request.inputs.items()
            for entry in inputs.entries[name]
        ]
        return run_here(
            self.lake,
            request.step,
            request.output,
            config=self._config(request),
            inputs=places,
            code=Path(self.code),
            check=partial(inputs.require_unchanged, datetime.now(UTC)),
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

    def _build(self, step: _Step, name: str) -> Mapping[str, Any]:
        """Upload what a job needs beside its inputs, and return its request."""
        refuse_bucket_elsewhere(self.session, self.lake.bucket)
        prefix, request, inputs, kind = f"{JOBS}{name}/", step.request, step.inputs, step.kind
        if step.transform:
            model = JobModel(image=self._image(), role=self.role, stack=self.stack, code=Path(self.code))
            return step.transform.prepare(name, prefix, model)
        for file, content in self._config(request).items():
            self.lake.put(f"{prefix}{CONFIG}/{file}", content)
        plan = JobPlan(
            step=TRIAL if kind is TUNING else request.step,
            image=self._image(),
            role=self.role,
            options=self.options,
            inputs={
                CODE: JobInput(uri=self.lake.uri(upload_code(self.lake, Path(self.code)))),
                CONFIG: JobInput(uri=self.lake.uri(f"{prefix}{CONFIG}/")),
                **{
                    input_: self._input(prefix, input_, keys, inputs.entries[input_])
                    for input_, keys in request.inputs.items()
                },
            },
            output=self.lake.uri(prefix if kind is PROCESSING else JOBS),
            input_bytes=inputs.size,
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

    def _input(self, prefix: str, name: str, keys: Sequence[str], entries: Sequence[Entry]) -> JobInput:
        """Return a prefix as it is, and single objects as a manifest, which keeps their whole keys and takes no others."""
        if is_folder(keys):
            return JobInput(uri=self.lake.uri(keys[0]))
        manifest = f"{prefix}inputs/{name}.manifest"
        self.lake.put(manifest, json.dumps([{"prefix": self.lake.uri("")}, *(each.key for each in entries)]).encode())
        return JobInput(uri=self.lake.uri(manifest), is_manifest=True)

    # Its result

    def _result_prefix(self, kind: JobKind, description: Description) -> str:
        name = kind.name_of(description)
        return f"{JOBS}{name}/output/model/" if kind is TRAINING else f"{JOBS}{name}/{RESULT}/"

    def _is_whole(self, step: _Step, description: Description) -> bool:
        """Return whether a completed job has left the whole result of our version."""
        prefix = self._result_prefix(step.kind, description)
        if step.transform:
            return step.transform.read_parts(prefix) is not None
        changed = step.inputs.require_unchanged()
        if changed and changed > description["CreationTime"]:
            return False
        result = find_result(self.lake, prefix, step.request)
        if result:
            step.results[prefix] = result
        return result is not None

    def _take_over(self, step: _Step, description: Description) -> StepReport:
        source, target = self._result_prefix(step.kind, description), step.request.output
        if step.transform:
            clear(self.lake, target, (MANIFEST,))
            return step.transform.take_over(source)
        return take_over(self.lake, step.results[source], target)

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
