"""`search: {engine: tuner}`: a tuning job searches, and the step takes its best trials."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.label import Label
from churn_model.spec.sections.search import Family, Search
from churn_model.training.tuning import combine_ranges
from resources.aws.job_requests import JobInput, JobOptions, JobPlan
from resources.aws.jobs.clock import SystemClock
from resources.aws.jobs.limits import find_problems
from resources.aws.lake import S3Lake
from resources.aws.runner import SageMakerRunner
from resources.aws.tuning import list_trials, sum_billed, tuning_request
from resources.errors import StepFailed
from resources.ports.runner import StepRequest
from tests.aws.sagemaker.running import ROLE, runner_on, running_jobs
from tests.aws.sagemaker.service import Job, SageMaker, service_model
from tests.aws.sdk import request_of_sdk
from tests.steps import write_stand_in

# Stands in for both steps: a trial is the better the nearer its learning rate is to 0.1, and `train` publishes what it was told.
STEP = """
import hashlib, json, os, pathlib, sys, time
root = pathlib.Path(os.environ["CHURN_ROOT"])
rows = (root / "input" / "data" / "splits" / "rows").read_text()
if sys.argv[1] == "trial":
    values = json.loads((root / "input" / "config" / "hyperparameters.json").read_text())
    if rows == "forever":
        time.sleep(60)
    if rows == "crash":
        sys.exit("boom")
    if rows == "refused":
        (root / "output").mkdir(exist_ok=True)
        (root / "output" / "failure").write_text("Expected more rows; found none. Land more data.")
        sys.exit(2)
    if rows != "silent":
        print(f"churn held_out={abs(float(values['eta']) - 0.1)!r};")
result = root / "processing" / "output" / "result"
content = (root / "input" / "data" / "config" / "request.json").read_bytes()
(result / "request.json").write_bytes(content)
files = {"request.json": {"size": len(content), "digest": hashlib.blake2b(content, digest_size=16).hexdigest(), "rows": None}}
report = {"schema": 1, "step": sys.argv[1], "counts": {}, "metrics": {}, "checks": [], "detail": {}, "files": files}
(result / "report.json").write_text(json.dumps(report))
"""
OUTPUT = "telco/tuned_model/v1/"


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stand_in(tmp_path_factory.mktemp("code"), STEP)


@pytest.fixture
def sagemaker(aws_lake: S3Lake, tmp_path: Path) -> Iterator[SageMaker]:
    with running_jobs(aws_lake, tmp_path / "jobs") as service:
        yield service


@pytest.fixture
def runner(aws_lake: S3Lake, code: Path, sagemaker: SageMaker) -> SageMakerRunner:
    return runner_on(aws_lake, code=code)


@pytest.fixture
def make_request(aws_lake: S3Lake) -> Callable[..., StepRequest]:
    def make(rows: str = "rows", **search: Any) -> StepRequest:
        aws_lake.put("telco/splits/v/rows", rows.encode())
        settings = Search(**{"trials": 3, "parallel": 2, "engine": "tuner", **search})
        dataset = Dataset(name="telco", label=Label(column="left", positive=("yes",)), search=settings)
        inputs = {"splits": ["telco/splits/v/"]}
        return StepRequest(
            step="train", version="v1", dataset=dataset, inputs=inputs, output=OUTPUT, threads=1, contents={}
        )

    return make


def jobs_of(sagemaker: SageMaker, resource: str) -> list[Job]:
    return [job for (kind, _), job in sagemaker.jobs.items() if kind == resource]


def test_a_tuning_job_searches_and_one_training_job_takes_its_best_trials(
    runner: SageMakerRunner, aws_lake: S3Lake, sagemaker: SageMaker, make_request: Callable[..., StepRequest]
) -> None:
    most = 0

    def interfere(_operation: str, _phase: str) -> None:
        nonlocal most
        most = max(most, sum(job.status == "InProgress" for job in jobs_of(sagemaker, "TrainingJob")))

    sagemaker.interfere = interfere
    runner.run(make_request())
    assert most == 2  # at once, of three
    (tuning,) = jobs_of(sagemaker, "HyperParameterTuningJob")
    *trials, final = jobs_of(sagemaker, "TrainingJob")
    assert tuning.name == f"{runner.stack}-telco-v1-0"
    assert [trial.name[:-9] for trial in trials] == [f"{tuning.name}-{number:03d}" for number in (1, 2, 3)]
    told = json.loads(aws_lake.read(OUTPUT + "request.json"))["tuned"]
    assert told["trials"] == 3
    rates = [float(trial["values"]["eta"]) for trial in told["best"]]
    assert rates == sorted((float(job.request["HyperParameters"]["eta"]) for job in trials), key=lambda x: abs(x - 0.1))
    ranges = combine_ranges("boosted_trees")
    for trial in told["best"]:
        assert trial["values"].keys() == ranges.keys()  # without what is the service's own
        assert all(ranges[name].low <= float(value) <= ranges[name].high for name, value in trial["values"].items())
    assert final.name == f"{runner.stack}-telco-train-v1-0"
    assert "_tuning_objective_metric" in trials[0].request["HyperParameters"]
    listed = [operation for operation, _ in sagemaker.calls if operation.startswith("ListTrainingJobsFor")]
    assert len(listed) == 2  # pages of two
    assert sum_billed(list(list_trials(runner.session.client("sagemaker"), tuning.name))) > 0


class Hooked(SystemClock):
    """Calls a function when it sleeps for the first time: the job has been created."""

    def __init__(self, hook: Callable[[], None]) -> None:
        self._hook: Callable[[], None] | None = hook

    def sleep(self, seconds: float) -> None:
        hook, self._hook = self._hook, None
        if hook:
            hook()
        super().sleep(0.1)


class Ended(BaseException):
    """Stands for the signal that ends a worker."""


def wait_for_trial(sagemaker: SageMaker) -> None:
    """Wait until a trial runs."""
    deadline = time.monotonic() + 300
    while not any(job.status == "InProgress" for job in jobs_of(sagemaker, "TrainingJob")):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_run_that_is_started_again_finds_its_tuning_job(
    runner: SageMakerRunner, sagemaker: SageMaker, make_request: Callable[..., StepRequest]
) -> None:
    def end() -> None:
        raise Ended

    wanted = make_request()
    runner._clock = Hooked(end)
    with pytest.raises(Ended):
        runner.run(wanted)
    (tuning,) = jobs_of(sagemaker, "HyperParameterTuningJob")
    assert tuning.status == "InProgress"
    first = runner.run(wanted)
    for entry in runner.lake.entries(OUTPUT):
        runner.lake.remove([entry.key])  # it died again before this was published
    assert runner.run(wanted) == first
    assert len(jobs_of(sagemaker, "HyperParameterTuningJob")) == 1
    assert len(jobs_of(sagemaker, "TrainingJob")) == 3 + 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("refused", r"^Expected more rows; found none. Land more data.$"),
        (
            "crash",
            r"(?s)tuning job .*-v1-0 to complete; found Failed: All training.*Its trial .* failed.*exit code.*boom",
        ),
        ("silent", r"a trial of tuning job .* with the metric in its log; found none"),
    ],
)
def test_trials_that_all_fail_are_one_error_with_the_words_of_one(
    runner: SageMakerRunner, sagemaker: SageMaker, make_request: Callable[..., StepRequest], rows: str, message: str
) -> None:
    """A module that ends by sys.exit(2) would be a success: the trials end otherwise."""
    with pytest.raises(StepFailed, match=message):
        runner.run(make_request(rows, trials=1))
    assert [job.name for job in jobs_of(sagemaker, "TrainingJob") if "-train-" in job.name] == []


def test_a_person_who_cancels_stops_the_tuning_job_and_its_trials(
    runner: SageMakerRunner, sagemaker: SageMaker, make_request: Callable[..., StepRequest]
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.add_run(dg.DagsterRun("job"))
        runner._instance, runner._run_id = instance, run.run_id

        def cancel() -> None:
            wait_for_trial(sagemaker)
            instance.report_run_canceling(run)
            raise Ended

        runner._clock = Hooked(cancel)
        with pytest.raises(Ended):
            runner.run(make_request("forever"))
    (tuning,) = jobs_of(sagemaker, "HyperParameterTuningJob")
    deadline = time.monotonic() + 300
    while tuning.status != "Stopped" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert tuning.status == "Stopped"
    assert {job.status for job in jobs_of(sagemaker, "TrainingJob")} == {"Stopped"}


def test_of_a_tuning_job_and_its_trials_the_former_is_what_runs(
    runner: SageMakerRunner, sagemaker: SageMaker, make_request: Callable[..., StepRequest]
) -> None:
    found: list[str] = []

    def look() -> None:
        wait_for_trial(sagemaker)
        found.extend(step.name for step in runner.running())
        raise Ended

    runner._clock = Hooked(look)
    with pytest.raises(Ended):
        runner.run(make_request("forever"))
    assert found == [f"{runner.stack}-telco-v1-0"]


def test_on_little_data_one_process_searches(
    aws_lake: S3Lake, code: Path, sagemaker: SageMaker, make_request: Callable[..., StepRequest]
) -> None:
    small = runner_on(aws_lake, code=code, options=JobOptions(small_megabytes=1))
    with pytest.raises(StepFailed, match="input/data/splits"):  # where jobs have it: the stub knows no other place
        small.run(make_request())
    assert sagemaker.jobs == {}


def plan(options: JobOptions) -> JobPlan:
    inputs = {"code": JobInput(uri="s3://b/code/d/"), "splits": JobInput(uri="s3://b/m/")}
    return JobPlan(
        step="trial", image="i:3", role=ROLE, options=options, inputs=inputs, output="s3://b/jobs/", input_bytes=0
    )


OPTIONS = JobOptions(
    instances=["ml.m5.xlarge", "ml.m6i.xlarge"],
    subnets=["subnet-1"],
    security_groups=["sg-1"],
    keep_alive_minutes=10,
    tags={"team": "retention"},
)


FAMILIES: tuple[Family, ...] = ("boosted_trees", "random_forest", "linear")


def tuning_of_each_family() -> dict[str, Any]:
    search = Search(families=FAMILIES, trials=2, parallel=9, metric="auc")
    dataset = Dataset(name="telco", label=Label(column="left", positive=("yes",)), search=search)
    return tuning_request(plan(OPTIONS), dataset) | {"HyperParameterTuningJobName": "n"}


@pytest.mark.prove
def test_the_sdk_would_send_the_same() -> None:
    request = tuning_of_each_family()
    assert request_of_sdk("CreateHyperParameterTuningJob", request) == request


def test_each_family_has_a_definition_within_the_limits() -> None:
    request = tuning_of_each_family()
    assert find_problems(service_model(), "CreateHyperParameterTuningJob", request) == []
    limits = request["HyperParameterTuningJobConfig"]["ResourceLimits"]
    assert limits == {"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 3}
    definitions = request["TrainingJobDefinitions"]
    assert [each["DefinitionName"] for each in definitions] == ["boosted-trees", "random-forest", "linear"]
    for each, family in zip(definitions, FAMILIES, strict=True):
        assert each["TuningObjective"] == {"Type": "Maximize", "MetricName": "held_out_auc"}
        assert each["StaticHyperParameters"] == {"family": family}
        assert each["EnableNetworkIsolation"] is True
        assert each["VpcConfig"]["Subnets"] == ["subnet-1"]
        assert "ContainerEntrypoint" not in each["AlgorithmSpecification"]
        assert "KeepAlivePeriodInSeconds" not in each["ResourceConfig"]


def test_more_trials_than_sagemaker_takes_are_told_before_the_job_starts() -> None:
    dataset = Dataset(name="telco", label=Label(column="left", positive=("yes",)), search=Search(trials=751))
    request = tuning_request(plan(JobOptions(instances=["ml.m5d.xlarge"])), dataset)
    problems = find_problems(
        service_model(), "CreateHyperParameterTuningJob", request | {"HyperParameterTuningJobName": "n"}
    )
    assert any("MaxNumberOfTrainingJobs of at most 750; found 751" in text for text in problems)
    assert any("without local disks" in text for text in problems)  # of a definition
