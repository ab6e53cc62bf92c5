"""What is SageMaker's own: manifests, uncompressed models, files that change meanwhile, who asks and who cancels, and small steps."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import boto3
import dagster as dg
import pytest

from churn_model.reports.step_report import REPORT
from churn_model.spec.dataset import Dataset
from resources.aws.job_requests import JobOptions
from resources.aws.jobs.failures import JobFailed
from resources.aws.lake import S3Lake
from resources.aws.runner import SageMakerRunner
from resources.catalog.landing import fingerprints
from resources.errors import LakeError, StepFailed
from resources.ports.runner import StepRequest
from tests.aws.sagemaker.containers import Containers
from tests.aws.sagemaker.running import runner_on, running_jobs
from tests.aws.sagemaker.service import Job, SageMaker
from tests.steps import write_stand_in

# Stands in for every step: its result is one file that names the files of its input.
STEP = """
import hashlib, json, os, pathlib, sys, time
root = pathlib.Path(os.environ["CHURN_ROOT"])
folders = (root / "processing" / "input" / "landed", root / "input" / "data" / "landed")
landed = next(folder for folder in folders if folder.exists())
names = sorted(path.relative_to(landed).as_posix() for path in landed.rglob("*") if path.is_file())
if any(path.read_text() == "forever" for path in landed.rglob("*") if path.is_file()):
    (pathlib.Path(os.environ["HOME"]) / "begun").touch()
    time.sleep(60)
result = root / "processing" / "output" / "result"
content = "\\n".join(names).encode()
(result / "names.txt").write_bytes(content)
files = {"names.txt": {"size": len(content), "digest": hashlib.blake2b(content, digest_size=16).hexdigest(), "rows": None}}
report = {"schema": 1, "step": sys.argv[1], "counts": {}, "metrics": {}, "checks": [], "detail": {}, "files": files}
(result / "report.json").write_text(json.dumps(report))
"""
OUTPUT = "telco/made/v1/"
TIMES: dict[str, Any] = {"shortest_pause": 0.05, "longest_pause": 0.2}  # seconds


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stand_in(tmp_path_factory.mktemp("code"), STEP)


@pytest.fixture
def sagemaker(aws_lake: S3Lake, tmp_path: Path) -> Iterator[SageMaker]:
    with running_jobs(aws_lake, tmp_path / "jobs", environment={"HOME": str(tmp_path)}) as service:
        yield service


@pytest.fixture
def runner(aws_lake: S3Lake, code: Path, sagemaker: SageMaker) -> SageMakerRunner:
    return runner_on(aws_lake, code=code)


@pytest.fixture
def make_request(aws_lake: S3Lake, dataset: Dataset) -> Callable[..., StepRequest]:
    for name in ("a.csv", "b/c.csv", "not listed.csv"):
        aws_lake.put(f"landing/telco/train/{name}", b"rows")

    def make(step: str = "ingest", *names: str) -> StepRequest:
        keys = [f"landing/telco/train/{name}" for name in names or ("a.csv", "b/c.csv")]
        entries = [entry for entry in aws_lake.entries("landing/") if entry.key in keys]
        contents = fingerprints(aws_lake, entries)
        return StepRequest(
            step=step,
            version="v1",
            dataset=dataset,
            inputs={"landed": keys},
            output=OUTPUT,
            threads=0,
            contents=contents,
        )

    return make


def test_landed_files_are_exactly_those_listed_under_their_whole_keys(
    runner: SageMakerRunner, aws_lake: S3Lake, make_request: Callable[..., StepRequest]
) -> None:
    runner.run(make_request())
    assert aws_lake.read(OUTPUT + "names.txt") == b"landing/telco/train/a.csv\nlanding/telco/train/b/c.csv"


def test_a_training_jobs_model_is_its_result_without_an_archive(
    runner: SageMakerRunner, aws_lake: S3Lake, sagemaker: SageMaker, make_request: Callable[..., StepRequest]
) -> None:
    runner.run(make_request("train"))
    (job,) = sagemaker.jobs.values()
    assert job.kind.resource == "TrainingJob"
    assert aws_lake.read(OUTPUT + "names.txt").startswith(b"landing/telco/train/a.csv")
    assert {entry.key for entry in aws_lake.entries(OUTPUT)} == {OUTPUT + "names.txt", OUTPUT + "report.json"}


def test_a_bucket_in_another_region_is_refused_before_a_job_is_started(
    aws_lake: S3Lake, code: Path, sagemaker: SageMaker, make_request: Callable[..., StepRequest]
) -> None:
    elsewhere = S3Lake(session=aws_lake.session, bucket=f"{aws_lake.bucket}-elsewhere")
    boto3.client("s3", region_name="eu-central-1").create_bucket(
        Bucket=elsewhere.bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    elsewhere.put("landing/telco/train/a.csv", b"rows")
    with pytest.raises(LakeError, match=r"in eu-west-1, where the jobs run; found it in eu-central-1\. Set AWS_REGION"):
        runner_on(elsewhere, code=code).run(make_request("ingest", "a.csv"))
    assert sagemaker.jobs == {}


def test_where_the_bucket_is_is_asked_once_and_not_for_each_job(
    aws_lake: S3Lake, code: Path, sagemaker: SageMaker, make_request: Callable[..., StepRequest]
) -> None:
    asked, events = list[object](), aws_lake.session.client("s3").meta.events
    events.register("before-send.s3.GetBucketLocation", lambda **_: asked.append(1))
    for number in range(3):
        request = replace(make_request("train"), version=f"v{number}", output=f"telco/made/v{number}/")
        runner_on(aws_lake, code=code).run(request)
    assert (len(sagemaker.jobs), len(asked)) == (3, 1)


def test_the_next_training_job_takes_the_instances_that_the_one_before_keeps_warm(
    aws_lake: S3Lake, code: Path, sagemaker: SageMaker, make_request: Callable[..., StepRequest]
) -> None:
    sagemaker.warm_pools.quota = 1
    warm = runner_on(aws_lake, code=code, options=JobOptions(keep_alive_minutes=10, **TIMES))
    larger = runner_on(aws_lake, code=code, options=JobOptions(keep_alive_minutes=10, volume_gigabytes=50, **TIMES))
    for number, runner in enumerate((warm, larger, warm, warm)):
        runner.run(replace(make_request("train"), version=f"v{number}", output=f"telco/made/v{number}/"))
    names = [job.name for job in sagemaker.jobs.values()]
    pools = [describe_pool(aws_lake, name) for name in names]
    # The second job has another disk, and there is no quota for its pool beside the first one's.
    assert [pool["Status"] for pool in pools] == ["Reused", "Terminated", "Reused", "Available"]
    assert [pool.get("ReusedByJob") for pool in pools] == [names[2], None, names[3], None]
    sagemaker.warm_pools.now = lambda: time.time() + 601
    assert describe_pool(aws_lake, names[3])["Status"] == "Terminated"
    assert describe_pool(aws_lake, names[3])["ResourceRetainedBillableTimeInSeconds"] == 600
    cold = replace(make_request("train"), version="v9", output="telco/made/v9/")
    runner_on(aws_lake, code=code).run(cold)
    assert describe_pool(aws_lake, [job.name for job in sagemaker.jobs.values()][-1]) == {}


def test_an_account_without_a_quota_of_warm_pools_trains_and_keeps_nothing(
    aws_lake: S3Lake, code: Path, sagemaker: SageMaker, make_request: Callable[..., StepRequest]
) -> None:
    runner_on(aws_lake, code=code, options=JobOptions(keep_alive_minutes=10, **TIMES)).run(make_request("train"))
    (job,) = sagemaker.jobs.values()
    assert describe_pool(aws_lake, job.name) == {"Status": "Terminated", "ResourceRetainedBillableTimeInSeconds": 0}


def describe_pool(lake: S3Lake, name: str) -> dict[str, Any]:
    found: dict[str, Any] = lake.session.client("sagemaker").describe_training_job(TrainingJobName=name)
    return dict(found.get("WarmPoolStatus", {}))


def test_a_small_step_runs_in_the_runs_own_process(
    aws_lake: S3Lake, code: Path, sagemaker: SageMaker, make_request: Callable[..., StepRequest]
) -> None:
    small = runner_on(aws_lake, code=code, options=JobOptions(small_megabytes=200, **TIMES))
    report = small.run(make_request())
    assert report.step == "ingest"
    assert aws_lake.read(OUTPUT + "names.txt") == b"landing/telco/train/a.csv\nlanding/telco/train/b/c.csv"
    assert sagemaker.calls == []
    assert small.libraries(frozenset({"numpy"})) != runner_on(aws_lake, code=code).libraries(frozenset({"numpy"}))


def test_what_an_attempt_that_died_has_left_is_no_part_of_a_small_step_s_result(
    aws_lake: S3Lake, code: Path, sagemaker: SageMaker, make_request: Callable[..., StepRequest]
) -> None:
    """A table shows all that is below its prefix."""
    aws_lake.put(f"{OUTPUT}rows/part-00007.parquet", b"of an attempt that died")
    small = runner_on(aws_lake, code=code, options=JobOptions(small_megabytes=200, **TIMES))
    report = small.run(make_request())
    assert {entry.key for entry in aws_lake.entries(OUTPUT)} == {OUTPUT + name for name in (*report.files, REPORT)}


def test_a_step_that_is_not_small_is_a_job(
    aws_lake: S3Lake, code: Path, sagemaker: SageMaker, make_request: Callable[..., StepRequest]
) -> None:
    aws_lake.put("landing/telco/train/large.csv", bytes(1_000_001))
    runner_on(aws_lake, code=code, options=JobOptions(small_megabytes=1, **TIMES)).run(
        make_request("ingest", "large.csv")
    )
    assert len(sagemaker.jobs) == 1


def test_a_spot_job_that_gets_no_instance_in_time_is_stopped_and_the_error_says_what_to_do(
    aws_lake: S3Lake,
    code: Path,
    sagemaker: SageMaker,
    make_request: Callable[..., StepRequest],
    caplog: pytest.LogCaptureFixture,
) -> None:
    machines = cast("Containers", sagemaker.executor)

    def has_none(job: Job) -> bool:
        if "InProgress Starting: Insufficient capacity error from EC2" in caplog.text:
            let_the_time_pass(job)
        return False

    machines.has_capacity = has_none
    runner = runner_on(aws_lake, code=code, options=JobOptions(spot=True, **TIMES))
    found = r"found Stopped: MaxWaitTimeExceeded\. Run the job again when there is more capacity.* raise `spot_hours`"
    with pytest.raises(JobFailed, match=found):
        runner.run(make_request("train"))
    (job,) = sagemaker.jobs.values()
    assert "TrainingStartTime" not in job.fields  # nothing ran, and nothing is billed
    machines.has_capacity = lambda _job: True
    runner.run(make_request("train"))
    assert [job.status for job in sagemaker.jobs.values()] == ["Stopped", "Completed"]


def test_a_spot_job_whose_instance_is_taken_and_not_given_back_in_time_is_stopped(
    aws_lake: S3Lake, code: Path, sagemaker: SageMaker, make_request: Callable[..., StepRequest], tmp_path: Path
) -> None:
    aws_lake.put("landing/telco/train/a.csv", b"forever")
    machines = cast("Containers", sagemaker.executor)

    def interrupts(job: Job, _root: Path) -> bool:
        if not (tmp_path / "begun").exists():
            return False
        machines.has_capacity = lambda _job: False
        let_the_time_pass(job)
        return True

    machines.interrupts = interrupts
    with pytest.raises(JobFailed, match="found Stopped: MaxWaitTimeExceeded"):
        runner_on(aws_lake, code=code, options=JobOptions(spot=True, **TIMES)).run(make_request("train", "a.csv"))
    (job,) = sagemaker.jobs.values()
    walked = [each["Status"] for each in job.fields["SecondaryStatusTransitions"]]
    assert walked == ["Downloading", "Training", "Interrupted", "Starting"]


def let_the_time_pass(job: Job) -> None:
    """Let a job be so old that no time to wait is left."""
    job.fields["CreationTime"] = 0.0


@pytest.mark.parametrize("change", ["changed", "removed"])
def test_a_landed_file_that_is_not_what_the_version_was_computed_from_starts_nothing(
    runner: SageMakerRunner,
    aws_lake: S3Lake,
    sagemaker: SageMaker,
    make_request: Callable[..., StepRequest],
    change: str,
) -> None:
    wanted = make_request()
    if change == "changed":
        aws_lake.put("landing/telco/train/a.csv", b"others")
    else:
        aws_lake.remove(["landing/telco/train/a.csv"])
    with pytest.raises(StepFailed, match=r"landing/telco/train/a.csv to stay as it is while it is read; found that"):
        runner.run(wanted)
    assert sagemaker.calls == []


def test_a_landed_file_that_changes_while_a_job_reads_it_fails_the_run(
    runner: SageMakerRunner, aws_lake: S3Lake, sagemaker: SageMaker, make_request: Callable[..., StepRequest]
) -> None:
    wanted = make_request()

    def interfere(operation: str, phase: str) -> None:
        if (operation, phase) == ("CreateProcessingJob", "after"):
            aws_lake.put("landing/telco/train/a.csv", b"others")

    sagemaker.interfere = interfere
    with pytest.raises(StepFailed, match=r"a.csv to stay as it is while it is read; found that it was changed"):
        runner.run(wanted)
    assert list(aws_lake.entries(OUTPUT)) == []


def test_a_result_that_was_lost_before_it_was_published_is_taken_over_again(
    runner: SageMakerRunner, aws_lake: S3Lake, sagemaker: SageMaker, make_request: Callable[..., StepRequest]
) -> None:
    first = runner.run(make_request())
    aws_lake.put(OUTPUT + "names.txt", b"damaged")
    assert runner.run(make_request()) == first
    assert aws_lake.read(OUTPUT + "names.txt").startswith(b"landing/")
    assert len(sagemaker.jobs) == 1


def test_a_result_whose_files_are_gone_is_made_by_another_attempt(
    runner: SageMakerRunner, aws_lake: S3Lake, sagemaker: SageMaker, make_request: Callable[..., StepRequest]
) -> None:
    first = runner.run(make_request())
    aws_lake.remove([entry.key for prefix in ("jobs/", OUTPUT) for entry in aws_lake.entries(prefix)])
    assert runner.run(make_request()) == first
    assert len(sagemaker.jobs) == 2


def test_a_missing_role_or_instance_type_is_told_before_anything_is_spent(
    aws_lake: S3Lake, code: Path, sagemaker: SageMaker, make_request: Callable[..., StepRequest]
) -> None:
    options = JobOptions(instances=["ml.m5.huge"], **TIMES)
    with pytest.raises(StepFailed, match=r"InstanceType; found 'ml.m5.huge'"):
        runner_on(aws_lake, code=code, options=options).run(make_request())
    assert sagemaker.jobs == {}


# Runs of Dagster


def asset_of(wanted: StepRequest) -> dg.AssetsDefinition:
    @dg.asset(required_resource_keys={"runner"})
    def made(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        context.resources.runner.run(wanted)
        return dg.MaterializeResult(metadata={"rows": 1})

    return made


def materialize(
    runner: SageMakerRunner, instance: dg.DagsterInstance, wanted: StepRequest, **arguments: Any
) -> dg.ExecuteInProcessResult:
    return dg.materialize([asset_of(wanted)], resources={"runner": runner}, instance=instance, **arguments)


def test_the_job_and_what_was_billed_are_in_the_assets_metadata(
    runner: SageMakerRunner, instance: dg.DagsterInstance, make_request: Callable[..., StepRequest]
) -> None:
    result = materialize(runner, instance, make_request("train"))
    (made,) = result.asset_materializations_for_node("made")
    assert str(made.metadata["job"].value).endswith(f"#/jobs/{runner.stack}-telco-train-v1-0")
    assert made.metadata["train_billed_seconds"].value >= 1  # type: ignore[operator]
    assert made.metadata["rows"].value == 1


@pytest.mark.parametrize("moment", ["CreateProcessingJob", "DescribeProcessingJob"])
@pytest.mark.parametrize(
    ("status", "stops"), [(dg.DagsterRunStatus.CANCELING, True), (dg.DagsterRunStatus.STARTED, False)]
)
def test_dagster_10680_10928_33923_a_cancelled_run_stops_its_job_and_an_evicted_worker_leaves_it(
    runner: SageMakerRunner,
    aws_lake: S3Lake,
    sagemaker: SageMaker,
    instance: dg.DagsterInstance,
    make_request: Callable[..., StepRequest],
    status: dg.DagsterRunStatus,
    stops: bool,
    moment: str,
) -> None:
    """Of dagster-io/dagster, 10928: a cancelled run left its remote job running. 10680: a worker that was evicted must leave it. 33923: with
    runs that resume, a person's cancel was taken for an eviction. The run's status tells the two apart.

    The worker is told to end in both cases by the same signal, which Dagster raises as an interruption within the asset.
    """
    aws_lake.put("landing/telco/train/a.csv", b"forever")
    wanted = make_request("ingest", "a.csv")
    called = iter([moment == "CreateProcessingJob", False, True])  # at once, or at the third look

    def interfere(operation: str, phase: str) -> None:
        if (operation, phase) == (moment, "after") and sagemaker.jobs and next(called, False):
            (run,) = instance.get_runs()
            if status is dg.DagsterRunStatus.CANCELING:
                instance.report_run_canceling(run)  # as a launcher does before it sends the signal
            signal_this_process()

    sagemaker.interfere = interfere
    result = materialize(runner, instance, wanted, raise_on_error=False)
    assert not result.success
    (job,) = sagemaker.jobs.values()
    assert job.stopped.is_set() is stops


def signal_this_process() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_who_asks_is_the_run_that_a_person_started(runner: SageMakerRunner, instance: dg.DagsterInstance) -> None:
    first = instance.add_run(dg.DagsterRun("job", run_id="11111111-1111-4111-8111-111111111111"))
    repeated = instance.add_run(child("2", first, {"dagster/retry_number": "1"}))
    again = instance.add_run(child("3", repeated, {"dagster/retry_number": "2"}))
    by_hand = instance.add_run(child("4", again, {}))
    asked = []
    for run in (first, repeated, again, by_hand):
        runner._instance, runner._run_id = instance, run.run_id
        asked.append(runner._asked_by())
    assert asked == [first.run_id, first.run_id, first.run_id, by_hand.run_id]


def child(digit: str, parent: dg.DagsterRun, tags: dict[str, str]) -> dg.DagsterRun:
    return dg.DagsterRun(
        "job",
        run_id=f"{digit * 8}-1111-4111-8111-111111111111",
        parent_run_id=parent.run_id,
        root_run_id=parent.root_run_id or parent.run_id,
        tags=tags,
    )
