"""One client for four kinds of job, against a service that checks each request; time is made up."""

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from resources.aws.jobs.failures import JobFailed
from resources.aws.jobs.kinds import KINDS, PROCESSING, TRAINING, TUNING, JobKind
from resources.errors import StepFailed
from tests.aws.sagemaker.service import Job, Refusal, Reset, service_model
from tests.resources.aws.jobs.conftest import ROLE, Bench, request_of, work_of

RUNNING, DONE = {"status": "InProgress"}, {"status": "Completed"}
kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.resource)


@kinds
def test_work_is_done_by_one_job_whose_tags_hold_version_and_output(bench: Bench, kind: JobKind) -> None:
    bench.plans[""] = [RUNNING, RUNNING, DONE]
    ended = bench.run(work_of(kind))
    assert kind.status_of(ended) == "Completed"
    (job,) = bench.service.jobs.values()
    tags = {tag["Key"]: tag["Value"] for tag in job.request["Tags"]}
    assert tags["churn/version"] == "0123456789abcdef"
    assert tags["churn/output"] == "telco/raw/v/"
    assert tags["churn/asked-by"] == "run-1"


@kinds
def test_a_restarted_run_finds_its_job(bench: Bench, kind: JobKind) -> None:
    bench.plans[""] = [RUNNING] * 9 + [DONE]

    def die(count: int) -> None:
        if count == 3:
            raise KeyboardInterrupt

    bench.clock.at_sleep = die
    with pytest.raises(KeyboardInterrupt):
        bench.run(work_of(kind))
    bench.run(work_of(kind))
    assert bench.count(f"Create{kind.resource}") == 1
    assert bench.count(f"Stop{kind.resource}") == 0
    assert any("goes on; the next run finds it" in line for line in bench.said)
    assert any("which is running" in line for line in bench.said)


@kinds
def test_kubeflow_4167_a_run_that_a_person_cancels_stops_its_job(bench: Bench, kind: JobKind) -> None:
    """kubeflow/pipelines 4167: a run was terminated on the page, and its jobs in SageMaker ran on and cost."""
    bench.plans[""] = [RUNNING] * 9
    bench.cancelled = True

    def cancel(count: int) -> None:
        if count == 3:
            raise KeyboardInterrupt

    bench.clock.at_sleep = cancel
    with pytest.raises(KeyboardInterrupt):
        bench.run(work_of(kind))
    (job,) = bench.service.jobs.values()
    assert job.status == "Stopping"


def test_stopping_a_job_that_has_ended_is_no_error(bench: Bench) -> None:
    bench.plans[""] = [DONE]
    bench.run(work_of())
    bench.client.stop(PROCESSING, work_of().name(0))
    bench.client.stop(PROCESSING, work_of().name(0))


def test_airflow_16299_ten_thousand_old_jobs_make_no_list_call(bench: Bench) -> None:
    """apache/airflow 16299: a start listed all jobs to see whether its name was free. Jobs cannot be deleted, so old accounts were throttled."""
    for number in range(10_000):
        name = f"demo-telco-ingest-{number:016x}-0"
        job = Job(PROCESSING, {**request_of(PROCESSING), "ProcessingJobName": name}, {"_steps": []})
        job.to("Completed")
        bench.service.jobs["ProcessingJob", name] = job
    bench.plans[""] = [DONE]
    bench.run(work_of())
    assert not [name for name, _ in bench.service.calls if name.startswith("List") and name != "ListTags"]
    assert len(bench.service.calls) < 10


@kinds
def test_airflow_42423_every_status_but_completed_is_a_failure_also_one_that_is_new(
    bench: Bench, kind: JobKind
) -> None:
    """apache/airflow 42423: a job stopped in the console was a success. kubeflow/pipelines 6465: it was waited for without end."""
    statuses = service_model().shape_for(f"{kind.resource}Status").enum
    for number, status in enumerate([*statuses, "Suspended"]):
        if status in ("InProgress", "Stopping"):
            continue  # it goes on
        bench.plans[""] = [{"status": status}]
        work = work_of(kind, version=f"{number:07x}123456789")
        if status == "Completed":
            bench.run(work)
            continue
        with pytest.raises(JobFailed, match=f"to complete; found {status}") as failure:
            bench.run(work)
        assert failure.value.status == status


def test_airflow_69042_a_job_is_a_success_only_with_our_report(bench: Bench) -> None:
    """apache/airflow 69042: a transform that failed while it was waited for was green, since the event's status was not read."""
    bench.plans[""] = [RUNNING, {"status": "Failed", "FailureReason": "AlgorithmError: boom, exit code: 1"}]
    with pytest.raises(JobFailed, match="boom"):
        bench.run(work_of(version="fedcba9876543210"))
    bench.plans[""] = [DONE]
    with pytest.raises(JobFailed, match=r"the result of processing job .* which has completed; found no report"):
        bench.run(work_of(), whole=False)


def test_zenml_4963_a_job_that_ended_while_nobody_watched_is_seen_as_ended(bench: Bench) -> None:
    """zenml-io/zenml 4963: a run stayed "running" after its job in SageMaker had ended, and did not say why it had."""
    bench.plans[""] = [RUNNING] * 9

    def die(count: int) -> None:
        if count == 3:
            raise KeyboardInterrupt

    bench.clock.at_sleep = die
    with pytest.raises(KeyboardInterrupt):
        bench.run(work_of())
    (job,) = bench.service.jobs.values()
    job.fields["_steps"] = [{"status": "Failed", "FailureReason": "ClientError: no such image"}]
    with pytest.raises(JobFailed, match=r"to complete; found Failed: ClientError: no such image"):
        bench.run(work_of())
    assert len(bench.service.jobs) == 1


def test_dagster_15325_a_worker_that_starts_late_and_its_replacement_have_one_job(bench: Bench) -> None:
    """dagster-io/dagster 15325: a run was marked failed since it was slow to start, was run again, and then started after all."""
    bench.plans[""] = [RUNNING] * 20 + [DONE]
    late: list[dict[str, Any]] = []

    def start_late(count: int) -> None:
        if count == 3:
            bench.clock.at_sleep = lambda _count: None
            late.append(bench.run(work_of()))  # the first worker, in the midst of its replacement's wait

    bench.clock.at_sleep = start_late
    replacement = bench.run(work_of())
    assert late[0]["ProcessingJobArn"] == replacement["ProcessingJobArn"]
    assert bench.count("CreateProcessingJob") == len(bench.service.jobs) == 1


def test_a_completed_job_whose_result_is_gone_is_made_again(bench: Bench) -> None:
    bench.plans[""] = [DONE]
    bench.run(work_of())
    answers = iter([False, True])
    bench.client.run(work_of(), lambda _name: request_of(PROCESSING), lambda _job: next(answers))
    assert {name for _, name in bench.service.jobs} == {work_of().name(0), work_of().name(1)}


def test_a_job_of_our_name_with_another_version_is_refused(bench: Bench) -> None:
    bench.plans[""] = [DONE]
    bench.run(work_of())
    with pytest.raises(StepFailed, match=r"found a job of that name with .*Another installation may use the same"):
        bench.run(work_of(output="telco/raw/other/"))


@kinds
def test_a_create_whose_answer_was_lost_is_found(bench: Bench, kind: JobKind) -> None:
    bench.plans[""] = [DONE]
    bench.service.interfere = once(f"Create{kind.resource}", "after", Reset())
    bench.run(work_of(kind))
    assert bench.count(f"Create{kind.resource}") == 1
    assert len(bench.service.jobs) == 1


@pytest.mark.parametrize(
    "error",
    [
        Refusal("ThrottlingException", "Rate exceeded"),
        Refusal("InternalFailure", "oops", 500),
        Refusal("ServiceUnavailable", "busy", 503),
        Reset(),
    ],
    ids=["throttled", "500", "503", "reset"],
)
@pytest.mark.parametrize("phase", ["before", "after"])
@pytest.mark.parametrize("operation", ["CreateProcessingJob", "DescribeProcessingJob"])
def test_a_call_that_fails_once_while_a_job_runs_costs_nothing(
    bench: Bench, operation: str, phase: str, error: Exception
) -> None:
    bench.plans[""] = [RUNNING, RUNNING, DONE]
    bench.service.interfere = once(operation, phase, error, skip=3 if operation.startswith("Describe") else 0)
    bench.run(work_of())
    assert len(bench.service.jobs) == 1


def test_a_missing_quota_is_waited_for_with_words(bench: Bench) -> None:
    """With a quota of one instance, the second of two runs waits until the first one's job has ended."""
    bench.plans[""] = [DONE]
    refusals = iter(range(4))

    def interfere(operation: str, phase: str) -> None:
        if operation == "CreateProcessingJob" and phase == "before" and next(refusals, None) is not None:
            raise Refusal("ResourceLimitExceeded", "The account-level service limit 'ml.m5.xlarge' is 1 Instances")

    bench.service.interfere = interfere
    bench.run(work_of())
    assert bench.count("CreateProcessingJob") == 5
    assert len(bench.service.jobs) == 1
    assert sum("waits to be started" in line and "ml.m5.xlarge" in line for line in bench.said) == 4


def test_a_quota_that_does_not_come_is_an_error_after_an_hour(bench: Bench) -> None:
    def interfere(operation: str, phase: str) -> None:
        if operation == "CreateProcessingJob":
            raise Refusal("ResourceLimitExceeded", "The account-level service limit 'ml.m5.xlarge' is 1 Instances")

    bench.service.interfere = interfere
    with pytest.raises(StepFailed, match=r"to start; found ResourceLimitExceeded: The account-level service limit"):
        bench.run(work_of())
    assert 3600 < bench.clock.time < 3800


def test_a_quota_of_none_at_all_is_an_error_at_once(bench: Bench) -> None:
    words = "The account-level service limit 'ml.m5.xlarge for processing job usage' is 0 Instances, with current utilization of 0 Instances"

    def interfere(operation: str, phase: str) -> None:
        if operation == "CreateProcessingJob":
            raise Refusal("ResourceLimitExceeded", words)

    bench.service.interfere = interfere
    with pytest.raises(StepFailed, match=rf"{words}\. Ask for a higher quota in the console under Service Quotas"):
        bench.run(work_of())
    assert bench.count("CreateProcessingJob") == 1
    assert bench.clock.time == 0


@pytest.mark.parametrize("kind", [PROCESSING, TRAINING, TUNING], ids=lambda kind: kind.resource)
def test_a_role_that_may_not_be_given_to_sagemaker_starts_nothing_and_is_named(bench: Bench, kind: JobKind) -> None:
    for refused, todo in (
        (bench.service.not_passed, f"Allow who runs this iam:PassRole on {ROLE} "),
        (bench.service.not_trusted, f"Let sagemaker.amazonaws.com assume {ROLE} "),
    ):
        refused.add(ROLE)
        with pytest.raises(StepFailed, match=rf"to start; found .*{todo}.*CHURN_ROLE"):
            bench.run(work_of(kind))
        refused.clear()
    assert bench.service.jobs == {}
    assert bench.clock.time == 0  # nothing that waiting could mend


def test_a_key_that_a_job_may_not_use_is_named_with_its_setting(bench: Bench) -> None:
    key = "arn:aws:kms:eu-west-1:123456789012:key/0f1e2d3c"
    said = f"ClientError: User: {ROLE} is not authorized to perform: kms:Decrypt on resource: {key}"
    bench.plans[""] = [{"status": "Failed", "FailureReason": said}]
    with pytest.raises(JobFailed, match=rf"{said}\. Allow kms:Decrypt on the key {key} .* CHURN_KMS_KEY"):
        bench.run(work_of())
    assert len(bench.service.jobs) == 1


@pytest.mark.parametrize("reason", ["CapacityError: Unable to provision", "InternalServerError: Please try again"])
def test_the_platforms_fault_is_tried_again_three_times(bench: Bench, reason: str) -> None:
    bench.plans[""] = [{"status": "Failed", "FailureReason": reason}]
    with pytest.raises(JobFailed, match=reason.partition(":")[0]):
        bench.run(work_of())
    assert [name[-1] for _, name in bench.service.jobs] == ["0", "1", "2"]


def test_a_run_that_is_restarted_has_no_more_tries_than_three(bench: Bench) -> None:
    bench.plans[""] = [{"status": "Failed", "FailureReason": "CapacityError"}]
    for _ in range(2):
        with pytest.raises(JobFailed):
            bench.run(work_of())
    assert len(bench.service.jobs) == 3


def test_our_own_fault_is_reported_again_to_the_same_run_and_tried_again_for_another(bench: Bench) -> None:
    """apache/airflow 39502: running again failed, since the name existed."""
    bench.plans[""] = [{"status": "Failed", "FailureReason": "AlgorithmError: boom, exit code: 1"}]
    for _ in range(2):
        with pytest.raises(JobFailed, match=r"boom"):
            bench.run(work_of())
    assert len(bench.service.jobs) == 1
    bench.plans[""] = [DONE]
    bench.run(work_of(asked_by="run-2"))
    assert [name[-1] for _, name in bench.service.jobs] == ["0", "1"]


def test_a_job_that_is_being_stopped_is_awaited_and_then_made_again_for_who_asks_again(bench: Bench) -> None:
    bench.plans[""] = [RUNNING, {"status": "Stopping"}, {"status": "Stopping"}, {"status": "Stopped"}]
    work = work_of()
    bench.client._create(work, 0, 1, lambda _name: request_of(PROCESSING))
    bench.plans[""] = [DONE]
    bench.run(work_of(asked_by="run-2"))
    assert [name[-1] for _, name in bench.service.jobs] == ["0", "1"]


def test_a_step_that_refuses_is_reported_in_its_own_words(bench: Bench) -> None:
    bench.plans[""] = [
        {
            "status": "Failed",
            "ExitMessage": "Expected rows; found none. Land some",
            "FailureReason": "AlgorithmError: See job logs",
        }
    ]
    with pytest.raises(JobFailed, match=r"^Expected rows; found none. Land some$"):
        bench.run(work_of())
    reason = "AlgorithmError: Expected rows, found none. Land some, exit code: 2"
    bench.plans[""] = [{"status": "Failed", "FailureReason": reason}]
    with pytest.raises(JobFailed, match=r"^Expected rows, found none. Land some$") as failure:
        bench.run(work_of(TRAINING))
    assert failure.value.link.endswith(f"#/jobs/{work_of(TRAINING).name(0)}")


def test_a_failure_is_one_error_with_job_status_reason_log_link_and_what_to_do(bench: Bench) -> None:
    bench.plans[""] = [
        RUNNING,
        {"status": "Failed", "FailureReason": "AlgorithmError: exit code 1: boom, exit code: 1"},
    ]
    bench.logs.lines = [f"line {number}" for number in range(300)]
    with pytest.raises(JobFailed) as failure:
        bench.run(work_of(TRAINING))
    text = str(failure.value)
    name = work_of(TRAINING).name(0)
    assert text.startswith(f"Expected training job {name} to complete; found Failed: AlgorithmError: exit code 1: boom")
    assert "run the job again" in text
    assert "line 284" not in text
    assert "line 285\n" in text
    assert "line 299\n" in text
    assert text.endswith(f"eu-west-1.console.aws.amazon.com/sagemaker/home?region=eu-west-1#/jobs/{name}")
    assert failure.value.log == tuple(f"line {number}" for number in range(285, 300))


def test_a_time_limit_says_what_to_raise(bench: Bench) -> None:
    bench.plans[""] = [{"status": "Stopped", "SecondaryStatus": "MaxRuntimeExceeded"}]
    with pytest.raises(JobFailed, match=r"found Stopped: MaxRuntimeExceeded. Raise `hours` in CHURN_JOBS"):
        bench.run(work_of(TRAINING))


def test_dagster_30032_an_hour_takes_less_than_two_hundred_calls_and_the_log_one_in_five_seconds(bench: Bench) -> None:
    """dagster-io/dagster 30032: a log reader without a pause throttled the whole account's logs, and then failed the run."""
    bench.plans[""] = [RUNNING] * 10_000
    bench.logs.lines = ["line"]

    def end(_count: int) -> None:
        if bench.clock.time >= 3600:
            bench.plans[""].clear()
            next(iter(bench.service.jobs.values())).fields["_steps"] = [DONE]

    bench.clock.at_sleep = end
    bench.run(work_of())
    assert bench.clock.time < 3700
    assert len(bench.service.calls) + len(bench.logs.calls) < 200
    pauses = [later - earlier for earlier, later in zip(bench.logs.calls, bench.logs.calls[1:-2], strict=False)]
    assert min(pauses) >= 5
    assert 4.5 <= min(bench.clock.sleeps) <= max(bench.clock.sleeps) <= 66


def test_while_sagemaker_throttles_calls_become_rare(bench: Bench) -> None:
    bench.plans[""] = [RUNNING, RUNNING, DONE]
    throttled = iter(range(6))

    def interfere(operation: str, phase: str) -> None:
        if operation == "DescribeProcessingJob" and bench.clock.time > 0 and next(throttled, None) is not None:
            raise Refusal("ThrottlingException", "Rate exceeded")

    bench.service.interfere = interfere
    bench.run(work_of())
    assert max(bench.clock.sleeps) > 60  # eight times the pause that was due


def test_a_sagemaker_that_cannot_be_asked_for_half_an_hour_fails_the_run_and_leaves_the_job(bench: Bench) -> None:
    bench.plans[""] = [RUNNING] * 3

    def interfere(operation: str, phase: str) -> None:
        if operation == "DescribeProcessingJob" and bench.clock.time > 0:
            raise Reset

    bench.service.interfere = interfere
    with pytest.raises(StepFailed, match=r"to look up processing job .*, which goes on"):
        bench.run(work_of())
    assert bench.count("StopProcessingJob") == 0


def test_credentials_that_expire_meanwhile_say_so(bench: Bench) -> None:
    bench.plans[""] = [RUNNING] * 3

    def interfere(operation: str, phase: str) -> None:
        if operation == "DescribeProcessingJob" and bench.clock.time > 0:
            raise Refusal("ExpiredTokenException", "The security token included in the request is expired")

    bench.service.interfere = interfere
    with pytest.raises(StepFailed, match=r"ExpiredTokenException.*[Ll]og in again"):
        bench.run(work_of())


def test_a_log_that_cannot_be_read_fails_nothing(bench: Bench) -> None:
    bench.plans[""] = [RUNNING] * 5 + [DONE]
    bench.logs.lines = ["line"]
    bench.logs.error = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GetLogEvents")
    bench.run(work_of())
    assert bench.shown == []
    assert bench.logs.calls


def test_a_flood_of_lines_is_capped(bench: Bench) -> None:
    bench.plans[""] = [RUNNING] * 100 + [DONE]
    bench.logs.lines = ["x" * 10_000] * 2_500
    bench.run(work_of())
    assert 1_900 < len(bench.shown) <= 2_002
    assert max(map(len, bench.shown)) <= 2_000


def test_progress_is_said_once_for_each_change(bench: Bench) -> None:
    downloading = {"SecondaryStatus": "Downloading", "SecondaryStatusTransitions": []}
    bench.plans[""] = [RUNNING | downloading] * 3 + [RUNNING | {"SecondaryStatus": "Training"}] * 2 + [DONE]
    bench.run(work_of(TRAINING))
    name = work_of(TRAINING).name(0)
    assert [line for line in bench.said if line.startswith(name)] == [
        f"{name}: InProgress Downloading",
        f"{name}: InProgress Training",
    ]


def test_a_tuning_job_says_its_counts_and_the_best_so_far(bench: Bench) -> None:
    metric = {"MetricName": "validation:logloss", "Value": 0.4321}
    best = {
        "TrainingJobName": "t",
        "TrainingJobArn": "a",
        "CreationTime": 0,
        "TrainingJobStatus": "Completed",
        "TunedHyperParameters": {},
        "FinalHyperParameterTuningJobObjectiveMetric": metric,
    }
    counts = {"Completed": 3, "InProgress": 2, "RetryableError": 0}
    bench.plans[""] = [RUNNING | {"TrainingJobStatusCounters": counts, "BestTrainingJob": best}] * 2 + [DONE]
    bench.run(work_of(TUNING))
    assert any("3 Completed, 2 InProgress; best validation:logloss 0.4321" in line for line in bench.said)


@pytest.mark.parametrize(
    ("kind", "fields", "seconds"),
    [
        (PROCESSING, {"ProcessingStartTime": 0, "ProcessingEndTime": 90}, 180.0),
        (TRAINING, {"BillableTimeInSeconds": 50}, 100.0),
        (TUNING, {"ConsumedResources": {"RuntimeInSeconds": 400}}, None),
        (KINDS[3], {"TransformStartTime": 10, "TransformEndTime": 40}, 30.0),
        (PROCESSING, {}, None),
    ],
)
def test_what_a_job_cost_is_its_billed_time_on_all_instances(
    kind: JobKind, fields: dict[str, Any], seconds: float | None
) -> None:
    moments = {
        name: datetime.fromtimestamp(value, UTC) if name.endswith("Time") else value for name, value in fields.items()
    }
    assert kind.billed({**request_of(kind), **moments}) == seconds


def test_limits_are_checked_before_the_first_call(bench: Bench) -> None:
    bench.plans[""] = [DONE]
    with pytest.raises(StepFailed, match=r"(?s)1. CreateProcessingJob: Expected.*2. CreateProcessingJob: Expected"):
        bench.client.run(
            work_of(),
            lambda _name: request_of(PROCESSING) | {"RoleArn": "x", "Environment": {"A": "y" * 300}},
            lambda _job: True,
        )
    assert bench.count("CreateProcessingJob") == 0


def once(operation: str, phase: str, error: Exception, skip: int = 0) -> Any:
    """Return an interference that fails one call of an operation, after `skip` others."""
    left = iter([False] * skip + [True])

    def interfere(called: str, when: str) -> None:
        if (called, when) == (operation, phase) and next(left, False):
            raise error

    return interfere
