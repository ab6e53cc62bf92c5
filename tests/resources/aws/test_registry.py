"""Decisions in SageMaker's Model Registry: what people see there, repetitions, and how little depends on it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import dagster as dg
import pytest

from churn_model.spec.dataset import Dataset
from jobs.approvals import approvals_sensor
from jobs.promote import promote_job
from resources.aws.lake import S3Lake
from resources.aws.registry import ModelRegistry
from resources.aws.session import forget_clients
from resources.catalog.decisions import Decision, record_decision
from resources.errors import RegistryError
from resources.ports.registry import Approval
from tests.aws.iam import recorded_calls
from tests.aws.sagemaker.service import Refusal, Reset, SageMaker, Scripted, running_sagemaker
from tests.aws.sdk import request_of_sdk

TIME = "2026-01-01T00:00:00+00:00"
REASON = "Promoted: costs $1,200.50 per customer (12% less; `log_loss` 0.31 against 0.35).\nAnd more.\n"


@dataclass
class Mirror:
    """A registry, the service behind it, and the history that it mirrors."""

    registry: ModelRegistry
    service: SageMaker

    def decide(self, version: str, outcome: str, reason: str = REASON) -> None:
        metrics = {"log_loss": 0.123456789, "auc": None}
        decision = Decision(version, f"e-{version}", outcome, reason, TIME, metrics)
        record_decision(self.registry.lake, "telco", decision)

    @property
    def packages(self) -> list[dict[str, Any]]:
        return list(self.service.registry.packages.values())

    @property
    def statuses(self) -> dict[str, str]:
        return {each["CustomerMetadataProperties"]["version"]: each["ModelApprovalStatus"] for each in self.packages}


@pytest.fixture
def mirror(aws_lake: S3Lake) -> Iterator[Mirror]:
    with running_sagemaker(Scripted({})) as (service, endpoint):
        with patch.dict(os.environ, {"AWS_ENDPOINT_URL_SAGEMAKER": endpoint}):
            forget_clients()
            yield Mirror(ModelRegistry(session=aws_lake.session, lake=aws_lake, stack="churn"), service)
        forget_clients()


def test_the_registry_shows_what_was_decided_and_why(mirror: Mirror) -> None:
    mirror.decide("m1", "first", REASON + "x" * 2000)
    mirror.registry.mirror("telco")
    assert list(mirror.service.registry.groups) == ["churn-telco"]
    (package,) = mirror.packages
    assert package["ModelApprovalStatus"] == "Approved"
    assert package["ApprovalDescription"].startswith("Promoted: costs $1,200.50 per customer (12% less;")
    assert len(package["ApprovalDescription"]) == 1024
    lake = mirror.registry.lake
    assert package["SourceUri"] == lake.uri("telco/tuned_model/m1/")
    assert package["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"] == lake.uri(
        "telco/evaluation_report/e-m1/report.json"
    )
    shown = {"version": "m1", "evaluation": "e-m1", "outcome": "first", "decided_at": TIME, "log_loss": "0.123457"}
    assert package["CustomerMetadataProperties"] == shown


def test_the_sdk_would_send_the_same_requests(mirror: Mirror) -> None:
    with recorded_calls("churn") as recording:
        for version, outcome in (("m1", "first"), ("m2", "waiting"), ("m2", "promoted"), ("m1", "rolled_back")):
            mirror.decide(version, outcome)
            mirror.registry.mirror("telco")
    sent = {operation for operation, _ in recording.creates}
    assert sent == {"CreateModelPackageGroup", "CreateModelPackage", "UpdateModelPackage"}
    for operation, request in recording.creates:
        assert request_of_sdk(operation, request) == request


def test_statuses_follow_the_history(mirror: Mirror) -> None:
    for version, outcome in (("m1", "first"), ("m2", "promoted"), ("m3", "kept"), ("m4", "waiting")):
        mirror.decide(version, outcome)
    mirror.registry.mirror("telco")
    approved = {"m1": "Approved", "m2": "Approved", "m3": "Rejected"}
    assert mirror.statuses == {**approved, "m4": "PendingManualApproval"}
    mirror.decide("m5", "waiting")
    mirror.registry.mirror("telco")
    assert mirror.statuses == {**approved, "m4": "Rejected", "m5": "PendingManualApproval"}
    mirror.decide("m1", "rolled_back")
    mirror.registry.mirror("telco")
    assert mirror.statuses == {**approved, "m2": "Rejected", "m4": "Rejected", "m5": "Rejected"}


@pytest.mark.parametrize("operation", ["CreateModelPackageGroup", "CreateModelPackage", "UpdateModelPackage"])
@pytest.mark.parametrize("phase", ["before", "after"])
def test_a_mirror_that_broke_off_is_completed_without_a_second_package(
    mirror: Mirror, operation: str, phase: str
) -> None:
    def refuse(called: str, when: str) -> None:
        if (called, when) == (operation, phase):
            raise Refusal("AccessDeniedException", "not now")

    mirror.decide("m1", "first")
    mirror.service.interfere = refuse
    with pytest.raises(RegistryError, match="AccessDeniedException: not now"):
        mirror.registry.mirror("telco")
    mirror.service.interfere = lambda _operation, _phase: None
    mirror.registry.mirror("telco")
    calls = len(mirror.service.calls)
    mirror.registry.mirror("telco")
    assert len(mirror.service.calls) == calls  # nothing is left to show
    assert mirror.statuses == {"m1": "Approved"}
    assert mirror.packages[0]["ApprovalDescription"].startswith("Promoted")


def test_an_answer_that_is_lost_makes_no_second_package(mirror: Mirror) -> None:
    lost = ["CreateModelPackage"]

    def lose(operation: str, phase: str) -> None:
        if phase == "after" and operation in lost:
            lost.remove(operation)
            raise Reset

    mirror.decide("m1", "waiting")
    mirror.service.interfere = lose
    mirror.registry.mirror("telco")
    assert lost == []
    assert mirror.statuses == {"m1": "PendingManualApproval"}


def test_an_approval_that_came_before_the_mirror_was_complete_is_kept(mirror: Mirror) -> None:
    def refuse(operation: str, phase: str) -> None:
        if (operation, phase) == ("UpdateModelPackage", "before"):
            raise Refusal("AccessDeniedException", "not now")

    mirror.decide("m1", "waiting")
    mirror.service.interfere = refuse
    with pytest.raises(RegistryError):
        mirror.registry.mirror("telco")
    mirror.packages[0]["ModelApprovalStatus"] = "Approved"
    mirror.service.interfere = lambda _operation, _phase: None
    mirror.registry.mirror("telco")
    assert mirror.registry.find_approval("telco", "m1") is Approval.APPROVED


def test_what_is_remembered_may_be_lost_or_damaged(mirror: Mirror) -> None:
    mirror.decide("m1", "first")
    mirror.registry.mirror("telco")
    mirror.registry.lake.put("telco/registry.json", b"[1]")
    mirror.decide("m2", "promoted")
    mirror.registry.mirror("telco")
    assert mirror.statuses == {"m1": "Approved", "m2": "Approved"}
    assert len(mirror.packages) == 2


def test_a_sensor_sees_the_approval_and_starts_the_promotion(
    mirror: Mirror, dataset: Dataset, instance: dg.DagsterInstance
) -> None:
    sensor = approvals_sensor(dataset, promote_job(dataset))

    def look() -> dg.RunRequest | dg.SkipReason:
        resources = {"lake": mirror.registry.lake, "registry": mirror.registry}
        with dg.build_sensor_context(instance, resources=resources) as context:
            found = sensor(context)
        assert isinstance(found, dg.RunRequest | dg.SkipReason)
        return found

    def words() -> str:
        skipped = look()
        assert isinstance(skipped, dg.SkipReason)
        return str(skipped.skip_message)

    assert words() == "No candidate of telco waits for approval."
    mirror.decide("m1", "waiting")
    assert words().startswith("Candidate m1 is pending. Approve it in the model registry, or `churn promote telco`")
    mirror.packages[0]["ModelApprovalStatus"] = "Rejected"
    assert words().startswith("Candidate m1 is rejected.")
    mirror.packages[0]["ModelApprovalStatus"] = "Approved"
    asked = look()
    assert isinstance(asked, dg.RunRequest)
    assert asked.run_config["ops"] == {"telco__champion_model": {"config": {"promote": "m1"}}}
    assert asked.run_key == "m1:e-m1:0"
    job = dg.GraphDefinition(name="nothing").to_job(name="telco_promote")
    run = instance.create_run_for_job(job, tags=dict(asked.tags), status=dg.DagsterRunStatus.STARTED)
    assert words() == "Candidate m1 is approved, and 1 runs were started to promote it."
    instance.report_run_failed(run)  # its worker was evicted: the candidate still waits
    again = look()
    assert isinstance(again, dg.RunRequest)
    assert again.run_key == "m1:e-m1:1"

    def refuse(_operation: str, _phase: str) -> None:
        raise Refusal("AccessDeniedException", "not yours")

    mirror.service.interfere = refuse
    assert "AccessDeniedException: not yours. Grant it" in words()
