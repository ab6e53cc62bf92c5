"""Jobs that go on although no run watches them."""

import os
from collections.abc import Iterator
from unittest.mock import patch

import dagster as dg
import pytest

from jobs.unwatched_jobs import unwatched_jobs_sensor
from resources.aws.jobs.kinds import PROCESSING, TRAINING, JobKind
from resources.aws.lake import S3Lake
from resources.aws.registry import ModelRegistry
from resources.aws.runner import SageMakerRunner
from resources.aws.session import forget_clients
from resources.catalog.decisions import Decision, record_decision
from resources.ports.alerts import Alerts
from tests.aws.iam import allowing_statement, read_policies, recorded_calls
from tests.aws.sagemaker.running import ROLE, runner_on
from tests.aws.sagemaker.service import Job, Refusal, SageMaker, Scripted, running_sagemaker

SENT: list[str] = []


class Heard(Alerts):
    """Alerts that are kept."""

    destination: str = "memory"

    def send(self, line: str) -> list[str]:
        SENT.append(line)
        return []


@pytest.fixture
def service(aws_lake: S3Lake) -> Iterator[SageMaker]:
    SENT.clear()
    with running_sagemaker(Scripted({})) as (service, endpoint):
        with patch.dict(os.environ, {"AWS_ENDPOINT_URL_SAGEMAKER": endpoint}):
            forget_clients()
            yield service
        forget_clients()


def start(service: SageMaker, kind: JobKind, name: str, status: str = "InProgress") -> None:
    job = Job(kind, {kind.name_field: name})
    job.to(status, CreationTime=1_767_225_600, **{f"{kind.resource}Arn": job.arn})
    service.jobs[kind.resource, name] = job


def test_a_job_whose_dataset_has_no_run_under_way_is_told_once(
    service: SageMaker, aws_lake: S3Lake, instance: dg.DagsterInstance
) -> None:
    runner = runner_on(aws_lake)
    for number in range(3):
        start(service, PROCESSING, f"{runner.stack}-telco-score-{number}-0")
    start(service, TRAINING, f"{runner.stack}-sample-train-1-0")
    start(service, TRAINING, f"{runner.stack}-telco-train-9-0", "Completed")
    start(service, TRAINING, f"other{runner.stack}-telco-train-1-0")
    sensor = unwatched_jobs_sensor()

    def look(cursor: str = "") -> tuple[str, str]:
        with dg.build_sensor_context(
            instance, cursor=cursor, resources={"runner": runner, "alerts": Heard()}
        ) as context:
            skipped = sensor(context)
            assert isinstance(skipped, dg.SkipReason)
            return str(skipped.skip_message), context.cursor or ""

    def run(dataset: str) -> dg.DagsterRun:
        return instance.create_run_for_job(
            dg.GraphDefinition(name="nothing").to_job(), tags={"dataset": dataset}, status=dg.DagsterRunStatus.STARTED
        )

    waiting = run("telco")
    words, cursor = look()
    assert cursor == f"{runner.stack}-sample-train-1-0"
    assert words.startswith(
        f"sample: job {cursor} has run since 2026-01-01T00:00:00+00:00 and no run watches it; the next"
    )
    assert words == SENT[0]
    assert look(cursor)[1] == cursor
    assert len(SENT) == 1  # once
    instance.report_run_failed(waiting)
    assert len(look(cursor)[1].split()) == 4
    assert len(SENT) == 4
    for job in service.jobs.values():
        job.to("Completed")
    assert look(cursor) == ("0 jobs run, and a run is under way for each of their datasets.", "")


def test_that_jobs_cannot_be_listed_is_said(service: SageMaker, aws_lake: S3Lake, instance: dg.DagsterInstance) -> None:
    def refuse(_operation: str, _phase: str) -> None:
        raise Refusal("AccessDeniedException", "not yours")

    service.interfere = refuse
    with dg.build_sensor_context(instance, resources={"runner": runner_on(aws_lake), "alerts": Heard()}) as context:
        skipped = unwatched_jobs_sensor()(context)
    assert "AccessDeniedException: not yours. Grant it" in str(skipped)


def test_the_orchestrators_role_may_list_jobs_and_mirror_decisions(service: SageMaker, aws_lake: S3Lake) -> None:
    policies = read_policies(
        {
            "Stack": "churn",
            "ExistingBucket": aws_lake.bucket,
            "Prefix": aws_lake.prefix,
            "Key.Arn": "key",
            "JobRole.Arn": ROLE,
            "ImageAccount": "141502667606",
        }
    )
    registry = ModelRegistry(session=aws_lake.session, lake=aws_lake, stack="churn")
    time = "2026-01-01T00:00:00+00:00"
    with recorded_calls("churn") as recording:
        SageMakerRunner(session=aws_lake.session, lake=aws_lake, stack="churn", role=ROLE).running()
        for version in ("m1", "m2"):
            record_decision(aws_lake, "telco", Decision(version, "e", "waiting", "so", time, {}))
            registry.mirror("telco")
        registry.find_approval("telco", "m2")
    actions = {call.action for call in recording.orchestrator if call.action.startswith("sagemaker:")}
    assert actions == {
        "sagemaker:ListProcessingJobs",
        "sagemaker:ListTrainingJobs",
        "sagemaker:ListHyperParameterTuningJobs",
        "sagemaker:ListTransformJobs",
        "sagemaker:CreateModelPackageGroup",
        "sagemaker:AddTags",
        "sagemaker:CreateModelPackage",
        "sagemaker:UpdateModelPackage",
        "sagemaker:DescribeModelPackage",
    }
    assert [call for call in recording.orchestrator if not allowing_statement(policies.orchestrator, call)] == []
