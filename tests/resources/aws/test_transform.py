"""A batch scored by Batch Transform: the predictions and the report of the step, one model a job, and every way in which it fails."""

import os
import signal
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest
from botocore.httpsession import URLLib3Session

from churn_model.models.bundle import write_bundle
from churn_model.models.bundle_file import BUNDLE
from churn_model.reports.step_report import REPORT, PublishedFile, StepReport
from churn_model.spec.sections.scoring import Scoring
from churn_model.steps import score
from churn_model.steps.contract import digest_file
from churn_model.steps.transform import PartServer
from churn_model.tables import open_table, write_table
from resources.aws.job_requests import JobOptions
from resources.aws.jobs.clock import SystemClock
from resources.aws.jobs.failures import JobFailed
from resources.aws.lake import S3Lake
from resources.aws.session import forget_clients
from resources.catalog.integrity import find_damage
from resources.catalog.published_tables import open_published_table
from resources.catalog.versions import restrict_dataset
from resources.errors import StepFailed
from resources.ports.lake import MANIFEST, Manifest
from resources.ports.runner import StepRequest
from tests.aws.faults import Killed
from tests.aws.sagemaker.running import runner_on, running_jobs
from tests.aws.sagemaker.service import Executor, Job, Refusal, Reset, SageMaker, running_sagemaker
from tests.churn_model.serving.shop import SHOP, landed, made_bundle, rows_of
from tests.churn_model.steps.test_transform import ask
from tests.steps import run_in_folder

ROWS, MODEL, OUTPUT = "shop/raw_batch/monday/r1/", "shop/tuned_model/m1/", "shop/batch_predictions/monday/v1/"
DATASET = replace(SHOP, scoring=Scoring(engine="transform"))
PARTS = [(0, 90), (90, 60), (150, 50)]


@dataclass
class Batch:
    """Folders of a landed batch in parts, of a model, and of what the step makes of them."""

    rows: Path
    model: Path
    scored: Path


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    home = tmp_path_factory.mktemp("batch")
    bundle = made_bundle("boosted_trees")
    for name in ("model", "batch/rows"):
        (home / name).mkdir(parents=True)
    write_bundle(bundle, home / "model" / BUNDLE)
    rows = rows_of(landed(200, seed=1), SHOP, bundle.schema.required)
    write_table(home / "whole" / "rows", rows)
    for number, (start, length) in enumerate(PARTS):
        pq.write_table(rows.slice(start, length), home / "batch" / "rows" / f"part-{number:05d}.parquet")
    scored = run_in_folder(score.step, home / "score", SHOP, rows=home / "whole", bundle=home / "model")
    return Batch(home / "batch", home / "model", scored)


@pytest.fixture
def request_(aws_lake: S3Lake, batch: Batch) -> StepRequest:
    publish(aws_lake, ROWS, batch.rows)
    publish(aws_lake, MODEL, batch.model)
    return StepRequest(
        step="score",
        version="v1",
        dataset=DATASET,
        inputs={"rows": [ROWS], "bundle": [MODEL]},
        output=OUTPUT,
        threads=2,
    )


@dataclass
class AtOnce(Executor):
    """Transform jobs that score in this process, by the model's own server, when they have been looked at a few times. `spoil`: what they write."""

    lake: S3Lake
    folder: Path
    looks: int = 3
    plans: list[dict[str, Any]] = field(default_factory=list)  # how the first jobs end otherwise
    spoil: Callable[[dict[str, bytes]], None] = lambda _outputs: None

    def start(self, job: Job) -> None:
        job.fields["_looks"] = self.looks

    def look(self, job: Job) -> None:
        if job.stopped.is_set():
            job.to("Stopped")
        job.fields["_looks"] -= 1
        if job.status != "InProgress" or job.fields["_looks"] > 0:
            return
        if self.plans:
            job.to(**self.plans.pop(0))
            return
        outputs = self.score(job)
        self.spoil(outputs)
        for key, content in outputs.items():
            self.lake.put(key, content)
        job.to("Completed")

    def score(self, job: Job) -> dict[str, bytes]:
        model = self.folder / job.name
        with tarfile.open(fileobj=self.lake.open(f"jobs/{job.name}/{BUNDLE}")) as archive:
            archive.extractall(model, filter="data")
        server = PartServer(job.request["Environment"] | {"CHURN_MODEL": str(model)})
        parts = [entry.key for entry in self.lake.entries(ROWS + "rows/")]
        return {f"jobs/{job.name}/result/{Path(key).name}.out": ask(server, self.lake.read(key))[1] for key in parts}


@pytest.fixture
def at_once(aws_lake: S3Lake, tmp_path: Path) -> AtOnce:
    return AtOnce(aws_lake, tmp_path)


@pytest.fixture
def sagemaker(at_once: AtOnce, monkeypatch: pytest.MonkeyPatch) -> Iterator[SageMaker]:
    with running_sagemaker(at_once) as (service, endpoint):
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", endpoint)
        forget_clients()
        yield service
    forget_clients()


def publish(lake: S3Lake, prefix: str, folder: Path) -> None:
    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        rows = pq.read_metadata(path).num_rows if path.suffix == ".parquet" else None
        name = path.relative_to(folder).as_posix()
        files[name] = PublishedFile(path.stat().st_size, digest_file(path), rows)
    for name in files:
        lake.put(prefix + name, folder / name)
    lake.publish(prefix, Manifest("made", files))


def assert_scored(lake: S3Lake, batch: Batch, report: StepReport) -> None:
    """The predictions and the report are those of the step, and are whole."""
    theirs = StepReport.from_json((batch.scored / REPORT).read_bytes())
    lake.publish(OUTPUT, Manifest("v1", report.files))
    scored = open_published_table(lake, OUTPUT + "predictions/").read().replace_schema_metadata()
    assert scored.equals(open_table(batch.scored / "predictions").read())
    assert report.metrics == pytest.approx(theirs.metrics, rel=1e-12)
    assert (report.counts, report.checks, report.detail) == (theirs.counts, theirs.checks, theirs.detail)
    assert report == StepReport.from_json(lake.read(OUTPUT + REPORT))
    assert [file.rows for file in report.files.values()] == [length for _, length in PARTS]
    assert find_damage(lake, OUTPUT, report.files, tables=True) == []
    assert len(list(lake.entries(OUTPUT))) == len(PARTS) + 2


# Executed, by the model's server in a process of its own


@pytest.fixture
def executed(aws_lake: S3Lake, tmp_path: Path) -> Iterator[SageMaker]:
    with running_jobs(aws_lake, tmp_path / "jobs") as service:
        yield service


def test_the_predictions_and_the_report_are_those_of_the_step(
    aws_lake: S3Lake, executed: SageMaker, batch: Batch, request_: StepRequest
) -> None:
    aws_lake.put(OUTPUT + "predictions/part-00009.parquet", b"of a run that died")
    read: Counter[str] = Counter()
    events = aws_lake.session.client("s3").meta.events
    events.register("before-parameter-build.s3.GetObject", lambda params, **_: read.update([params["Key"]]))
    assert_scored(aws_lake, batch, runner_on(aws_lake).run(request_))
    # Once for their footers, once for their digests.
    assert [count for key, count in read.items() if key.endswith(".out")] == [2] * len(PARTS)
    (job,) = executed.jobs.values()
    assert (job.kind.resource, job.request["ModelName"]) == ("TransformJob", job.name)
    assert job.fields["_model"]["EnableNetworkIsolation"] is True
    assert executed.models == {}  # a model goes with its job


@pytest.mark.prove
def test_a_model_that_does_not_load_fails_the_job_with_its_words(
    aws_lake: S3Lake, executed: SageMaker, request_: StepRequest
) -> None:
    aws_lake.put(MODEL + BUNDLE, b"damaged")
    with pytest.raises(JobFailed, match="AlgorithmError") as failure:
        runner_on(aws_lake).run(request_)
    assert "Message:" in str(failure.value)
    assert "Expected a tar.gz file" in str(failure.value)
    assert executed.models == {}
    assert list(aws_lake.entries(OUTPUT)) == []


@pytest.mark.prove
def test_a_job_that_is_stopped_ends_and_stores_nothing(
    aws_lake: S3Lake, executed: SageMaker, request_: StepRequest
) -> None:
    executed.interfere = stop_after_create(executed)
    with pytest.raises(JobFailed, match="Stopped"):
        runner_on(aws_lake).run(request_)
    assert not [entry for entry in aws_lake.entries("jobs/") if entry.key.endswith(".out")]


def stop_after_create(service: SageMaker) -> Callable[[str, str], None]:
    def interfere(operation: str, phase: str) -> None:
        if (operation, phase) == ("CreateTransformJob", "after"):
            (job,) = service.jobs.values()
            job.to("Stopping")
            job.stopped.set()

    return interfere


# One call fails


def refuse(code: str, status: int = 400) -> Callable[[], Exception]:
    return lambda: Refusal(code, "made up", status)


@pytest.mark.parametrize(
    ("operation", "phase", "fault"),
    [
        ("CreateModel", "before", refuse("ThrottlingException")),
        ("CreateModel", "before", refuse("InternalFailure", 500)),
        ("CreateModel", "after", Reset),
        ("CreateTransformJob", "before", refuse("ThrottlingException")),
        ("CreateTransformJob", "before", refuse("ResourceLimitExceeded")),
        ("CreateTransformJob", "after", Reset),
        ("DescribeTransformJob", "after", refuse("ThrottlingException")),
        ("DeleteModel", "before", refuse("AccessDeniedException")),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_whatever_fails_once_there_is_one_job_and_its_result(
    aws_lake: S3Lake,
    sagemaker: SageMaker,
    batch: Batch,
    request_: StepRequest,
    operation: str,
    phase: str,
    fault: Callable[[], Exception],
) -> None:
    faults = [fault] * 2

    def interfere(called: str, when: str) -> None:
        is_theirs = sagemaker.jobs or operation != "DescribeTransformJob"  # the first looks for a job that is not there
        if (called, when) == (operation, phase) and faults and is_theirs:
            raise faults.pop()()

    sagemaker.interfere = interfere
    report = runner_on(aws_lake).run(request_)
    assert len(faults) < 2
    assert_scored(aws_lake, batch, report)
    assert [job.status for job in sagemaker.jobs.values()] == ["Completed"]
    assert len(sagemaker.models) == (operation == "DeleteModel")


def test_a_job_of_a_worker_that_died_is_found_and_not_started_again(
    aws_lake: S3Lake, sagemaker: SageMaker, batch: Batch, request_: StepRequest
) -> None:
    class Evicted(SystemClock):
        def sleep(self, seconds: float) -> None:
            raise KeyboardInterrupt

    runner = runner_on(aws_lake)
    runner._clock = Evicted()
    with pytest.raises(KeyboardInterrupt):
        runner.run(request_)
    (job,) = sagemaker.jobs.values()
    assert (job.status, list(sagemaker.models)) == ("InProgress", [job.name])
    assert_scored(aws_lake, batch, runner_on(aws_lake).run(request_))
    assert len(sagemaker.jobs) == 1
    assert sagemaker.models == {}


def test_a_worker_that_dies_once_its_result_is_there_leaves_no_model(
    aws_lake: S3Lake, sagemaker: SageMaker, batch: Batch, request_: StepRequest
) -> None:
    def die(request: Any, **_: Any) -> None:
        if request.url.endswith(f"/{REPORT}"):
            URLLib3Session().send(request)
            raise Killed

    events = aws_lake.session.client("s3").meta.events
    events.register_first("before-send.s3.PutObject", die)
    try:
        with pytest.raises(Killed):
            runner_on(aws_lake).run(request_)
    finally:
        events.unregister("before-send.s3.PutObject", die)
    assert_scored(aws_lake, batch, runner_on(aws_lake).run(request_))
    assert len(sagemaker.jobs) == 1
    assert sagemaker.models == {}


def test_a_job_that_the_platform_failed_is_started_again_with_a_model_of_its_own(
    aws_lake: S3Lake, sagemaker: SageMaker, at_once: AtOnce, batch: Batch, request_: StepRequest
) -> None:
    at_once.plans = [{"status": "Failed", "FailureReason": "InternalServerError: made up"}]
    assert_scored(aws_lake, batch, runner_on(aws_lake).run(request_))
    assert [job.request["ModelName"][-2:] for job in sagemaker.jobs.values()] == ["-0", "-1"]


def test_a_cancelled_run_stops_its_job(
    aws_lake: S3Lake, sagemaker: SageMaker, at_once: AtOnce, request_: StepRequest, instance: dg.DagsterInstance
) -> None:
    at_once.looks = 1_000_000

    @dg.asset(required_resource_keys={"runner"})
    def made(context: dg.AssetExecutionContext) -> None:
        context.resources.runner.run(request_)

    looks = iter(range(3))

    def interfere(operation: str, phase: str) -> None:
        if (operation, phase) == ("DescribeTransformJob", "after") and sagemaker.jobs and next(looks, 9) == 2:
            instance.report_run_canceling(instance.get_runs()[0])
            os.kill(os.getpid(), signal.SIGTERM)

    sagemaker.interfere = interfere
    result = dg.materialize([made], resources={"runner": runner_on(aws_lake)}, instance=instance, raise_on_error=False)
    assert not result.success
    (job,) = sagemaker.jobs.values()
    assert job.stopped.is_set()


# A result that is not the batch's


def lose_one(outputs: dict[str, bytes]) -> None:
    outputs.popitem()


def swap_two(outputs: dict[str, bytes]) -> None:
    first, second, *_ = outputs
    outputs[first], outputs[second] = outputs[second], outputs[first]


def cut_one(outputs: dict[str, bytes]) -> None:
    name = next(iter(outputs))
    outputs[name] = outputs[name][:-1]


@pytest.mark.parametrize("spoil", [lose_one, swap_two, cut_one])
def test_a_completed_job_without_the_predictions_of_each_part_is_a_failure(
    aws_lake: S3Lake,
    sagemaker: SageMaker,
    at_once: AtOnce,
    request_: StepRequest,
    spoil: Callable[[dict[str, bytes]], None],
) -> None:
    at_once.spoil = spoil
    with pytest.raises(JobFailed, match="found no report of this version with all its files"):
        runner_on(aws_lake).run(request_)
    assert list(aws_lake.entries(OUTPUT)) == []
    assert sagemaker.models == {}


# Refused before anything is spent


def test_what_sagemaker_would_refuse_is_said_before_anything_is_spent(
    aws_lake: S3Lake, sagemaker: SageMaker, request_: StepRequest
) -> None:
    long = replace(DATASET, words={f"column {n}": "{value} calls, as ever" for n in range(6_000)})
    options = JobOptions(instances=["ml.m5.huge"], subnets=["a subnet"], security_groups=["sg-1"])
    with pytest.raises(StepFailed) as refusal:
        runner_on(aws_lake, options=options).run(replace(request_, dataset=long))
    for words in (
        "InstanceType; found 'ml.m5.huge'",
        "at most 16 entries in Environment; found",
        "VpcConfig.Subnets[0]",
    ):
        assert words in str(refusal.value)
    assert (sagemaker.jobs, sagemaker.models) == ({}, {})
    assert list(aws_lake.entries("jobs/")) == []


def test_a_part_that_no_request_holds_is_refused(aws_lake: S3Lake, sagemaker: SageMaker, request_: StepRequest) -> None:
    manifest = Manifest("made", {"rows/part-00000.parquet": PublishedFile(104_857_601, "0" * 32, 1)})
    aws_lake.withdraw(ROWS)
    aws_lake.swap(ROWS + MANIFEST, None, manifest.to_json())
    with pytest.raises(StepFailed, match=r"104,857,601 in shop/raw_batch/.*: \{engine: job\}"):
        runner_on(aws_lake).run(request_)
    assert (sagemaker.jobs, sagemaker.models) == ({}, {})


def test_a_model_of_that_name_that_is_another_is_refused(
    aws_lake: S3Lake, sagemaker: SageMaker, request_: StepRequest
) -> None:
    runner = runner_on(aws_lake)
    name = f"{runner.stack}-shop-score-v1-0"
    sagemaker.models[name] = {"ModelName": name, "ModelArn": "a", "CreationTime": 0, "ExecutionRoleArn": "another"}
    with pytest.raises(
        StepFailed, match=f"model {name} to be the one that was asked for; found another .*ExecutionRoleArn"
    ):
        runner.run(request_)
    assert sagemaker.jobs == {}


def test_the_engine_is_part_of_no_version() -> None:
    assert restrict_dataset(DATASET, "score") == restrict_dataset(SHOP, "score")
