"""The requests of our jobs are within the service's limits, and keep to what we promise of every job."""

import re
from typing import Any

import pytest

from resources.aws.job_requests import JobInput, JobOptions, JobPlan, processing_request, training_request
from resources.aws.jobs.limits import find_problems
from tests.aws.sagemaker.service import service_model

ROLE = "arn:aws:iam::123456789012:role/churn-jobs"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/0f1e2d3c"
FULL = JobOptions(
    instances=["ml.m5.xlarge", "ml.m5.2xlarge", "ml.m6i.xlarge", "ml.m7i.xlarge", "ml.c5.2xlarge"],
    kms_key=KEY,
    subnets=["subnet-1"],
    security_groups=["sg-1"],
    keep_alive_minutes=10,
    tags={"team": "retention"},
)


SPOT = JobOptions(spot=True, keep_alive_minutes=10, kms_key=KEY)


def plan(options: JobOptions, input_bytes: int = 0) -> JobPlan:
    return JobPlan(
        step="train",
        image="i:3",
        role=ROLE,
        options=options,
        inputs={"code": JobInput(uri="s3://b/code/d/"), "splits": JobInput(uri="s3://b/m", is_manifest=True)},
        output="s3://b/jobs/n/",
        input_bytes=input_bytes,
        checkpoints="s3://b/jobs/telco-train-v1/checkpoints/" if options.spot else "",
    )


@pytest.mark.parametrize("options", [JobOptions(), FULL, SPOT], ids=["defaults", "everything", "spot"])
def test_requests_are_within_the_limits(options: JobOptions) -> None:
    processing = processing_request(plan(options)) | {"ProcessingJobName": "n"}
    training = training_request(plan(options)) | {"TrainingJobName": "n"}
    assert find_problems(service_model(), "CreateProcessingJob", processing) == []
    assert find_problems(service_model(), "CreateTrainingJob", training) == []


def test_zenml_1993_what_a_job_is_told_is_in_files_and_no_variable_is_long() -> None:
    """zenml-io/zenml 1993: settings and a token were variables of a processing job, whose values have 256 characters at most."""
    long = "x" * 200
    full = FULL.model_copy(update={"tags": {f"team{n}": long for n in range(40)}, "subnets": [long], "kms_key": KEY})
    for request in (processing_request(plan(full)), training_request(plan(full))):
        assert request["Environment"] == {"CHURN_STEP": "train", "CHURN_ROOT": "/opt/ml"}


def test_no_job_has_a_network() -> None:
    assert processing_request(plan(JobOptions()))["NetworkConfig"]["EnableNetworkIsolation"] is True
    assert training_request(plan(JobOptions()))["EnableNetworkIsolation"] is True


def test_sagemaker_sdk_3612_every_prefix_that_is_read_ends_with_a_slash() -> None:
    """aws/sagemaker-python-sdk 3612: a prefix that ends within names takes several files, named otherwise by local mode than by the service."""

    def prefixes(value: Any) -> list[str]:
        if isinstance(value, dict):
            here = [value["S3Uri"]] if value.get("S3DataType") == "S3Prefix" else []
            return here + [uri for item in value.values() for uri in prefixes(item)]
        return [uri for item in value for uri in prefixes(item)] if isinstance(value, list) else []

    for request in (processing_request(plan(JobOptions())), training_request(plan(JobOptions()))):
        assert prefixes(request) == ["s3://b/code/d/"]


@pytest.mark.parametrize(("size", "gigabytes"), [(0, 10), (1, 11), (1 << 30, 13), (100 << 30, 310)])
def test_the_volume_follows_the_inputs(size: int, gigabytes: int) -> None:
    request = processing_request(plan(JobOptions(), size))
    assert request["ProcessingResources"]["ClusterConfig"]["VolumeSizeInGB"] == gigabytes


def test_a_volume_beyond_the_limit_is_told_before_the_job_starts() -> None:
    request = processing_request(plan(JobOptions(), 6000 << 30)) | {"ProcessingJobName": "n"}
    (problem,) = find_problems(service_model(), "CreateProcessingJob", request)
    assert "1 to 16,384 in ProcessingResources.ClusterConfig.VolumeSizeInGB; found 18,010" in problem


def test_instances_are_named_in_order_of_preference() -> None:
    cluster = processing_request(plan(FULL))["ProcessingResources"]["ClusterConfig"]
    assert [each["InstanceType"] for each in cluster["InstancePreferences"]] == FULL.instances
    assert "InstanceType" not in cluster


def test_a_job_on_spot_instances_has_checkpoints_and_time_to_wait() -> None:
    request = training_request(plan(SPOT))
    assert request["EnableManagedSpotTraining"] is True
    assert request["CheckpointConfig"] == {
        "S3Uri": "s3://b/jobs/telco-train-v1/checkpoints/",
        "LocalPath": "/opt/ml/checkpoints",
    }
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 24 * 3600, "MaxWaitTimeInSeconds": 48 * 3600}
    assert "KeepAlivePeriodInSeconds" not in request["ResourceConfig"]
    assert "EnableManagedSpotTraining" not in training_request(plan(JobOptions()))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"training_instances": ["ml.m5.xlarge", "ml.m6i.xlarge"]},
            r"one instance type for a job on spot instances; found several in order of preference. Name one in `training_instances`",
        ),
        ({"spot_hours": 2}, r"at least 86,400, the longest run; found 7200. Raise `spot_hours`"),
    ],
)
def test_what_spot_instances_cannot_have_is_told_before_the_job_starts(options: dict[str, Any], expected: str) -> None:
    request = training_request(plan(SPOT.model_copy(update=options))) | {"TrainingJobName": "n"}
    (problem,) = find_problems(service_model(), "CreateTrainingJob", request)
    assert re.search(expected, problem), problem
