"""What a request may hold is checked against botocore's own model of the service, before anything is sent."""

import re
from typing import Any

import pytest

from resources.aws.jobs.kinds import KINDS
from resources.aws.jobs.limits import compile_pattern, find_problems
from tests.aws.sagemaker.service import service_model

ROLE = "arn:aws:iam::123456789012:role/jobs"


def processing(**changes: Any) -> dict[str, Any]:
    cluster = {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 10}
    request = {
        "ProcessingJobName": "demo-telco-ingest-0123456789abcdef-0",
        "ProcessingResources": {"ClusterConfig": cluster},
        "AppSpecification": {"ImageUri": "image:3.2-0", "ContainerEntrypoint": ["python3", "start.py"]},
        "RoleArn": ROLE,
        "Tags": [{"Key": "churn/version", "Value": "v1"}],
    }
    return request | changes


def training(**changes: Any) -> dict[str, Any]:
    request = {
        "TrainingJobName": "demo-telco-train-0123456789abcdef-0",
        "AlgorithmSpecification": {"TrainingImage": "image:3.2-0", "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/jobs"},
        "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    }
    return request | changes


def problems(operation: str, request: dict[str, Any]) -> str:
    return "\n".join(find_problems(service_model(), operation, request))


def test_a_request_within_all_limits_has_no_problem() -> None:
    assert problems("CreateProcessingJob", processing()) == ""
    assert problems("CreateTrainingJob", training()) == ""


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"ProcessingJobName": "demo_telco"}, r"ProcessingJobName to match .*; found 'demo_telco'"),
        ({"ProcessingJobName": "a" * 64}, "1 to 63 characters in ProcessingJobName; found 64"),
        ({"RoleArn": "jobs"}, "RoleArn"),
        ({"Environment": {"A": "x" * 257}}, "at most 256 characters in Environment.A; found 257"),
        ({"Environment": {f"A{n}": "x" for n in range(101)}}, "at most 100 entries in Environment; found 101"),
        ({"Environment": {"A-B": "x"}}, "to match"),
        ({"Tags": [{"Key": f"k{n}", "Value": ""} for n in range(51)]}, "at most 50 items in Tags; found 51"),
        ({"Tags": [{"Key": "a", "Value": "x|y"}]}, r"Tags\[0\].Value to match"),
        ({"Tags": [{"Key": "a", "Value": ""}, {"Key": "a", "Value": ""}]}, "each tag once; found a twice"),
        ({"Tags": [{"Key": "aws:x", "Value": ""}]}, "do not begin with aws:"),
        ({"Wrong": 1}, "fields that SageMaker knows in the request; found Wrong"),
        ({"RoleArn": None}, "Expected RoleArn; found nothing"),
        (
            {"AppSpecification": {"ImageUri": "i", "ContainerEntrypoint": ["x" * 257]}},
            r"256 characters in AppSpecification.ContainerEntrypoint\[0\]; found 257",
        ),
        (
            {
                "ProcessingResources": {
                    "ClusterConfig": {"InstanceType": "ml.m5.huge", "InstanceCount": 1, "VolumeSizeInGB": 1}
                }
            },
            "one of ml.m5.large, .*; found 'ml.m5.huge'",
        ),
        (
            {
                "ProcessingResources": {
                    "ClusterConfig": {"InstanceType": "ml.r5d.large", "InstanceCount": 0, "VolumeSizeInGB": 1}
                }
            },
            "without local disks.*found ml.r5d.large",
        ),
    ],
)
def test_each_limit_of_a_processing_job_is_told(changes: dict[str, Any], expected: str) -> None:
    assert re.search(expected, problems("CreateProcessingJob", processing(**changes)))


def test_all_problems_are_told_at_once() -> None:
    found = find_problems(
        service_model(),
        "CreateProcessingJob",
        processing(ProcessingJobName="x" * 70, RoleArn="", Environment={"A": "y" * 300}),
    )
    text = "\n".join(found)
    assert len(found) >= 3
    for place in ("ProcessingJobName", "RoleArn", "Environment.A"):
        assert place in text


def test_a_long_value_is_not_repeated_whole() -> None:
    assert len(problems("CreateProcessingJob", processing(RoleArn="x" * 5000))) < 1000


def test_spot_instances_need_checkpoints_and_time_to_wait() -> None:
    """agentcore-public-stack 1025: spot without checkpoints began anew at each interruption."""
    found = problems("CreateTrainingJob", training(EnableManagedSpotTraining=True))
    assert "checkpoints for a job on spot instances; found none" in found
    assert "MaxWaitTimeInSeconds of at least 3,600" in found


def test_spot_instances_are_not_kept_warm() -> None:
    kept = {**training()["ResourceConfig"], "KeepAlivePeriodInSeconds": 600}
    words = "keeps none of them warm; found KeepAlivePeriodInSeconds 600. Choose `spot` or `keep_alive_minutes`"
    assert words in problems("CreateTrainingJob", training(ResourceConfig=kept, EnableManagedSpotTraining=True))
    assert words not in problems("CreateTrainingJob", training(ResourceConfig=kept))
    beyond = training(ResourceConfig={**kept, "KeepAlivePeriodInSeconds": 21_601})
    assert "ResourceConfig.KeepAlivePeriodInSeconds; found 21,601" in problems("CreateTrainingJob", beyond)


def test_a_transforms_payload_times_its_concurrency_is_limited() -> None:
    request = {
        "TransformJobName": "t",
        "ModelName": "m",
        "MaxPayloadInMB": 60,
        "MaxConcurrentTransforms": 2,
        "BatchStrategy": "MultiRecord",
        "TransformInput": {"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/p/"}}},
        "TransformOutput": {"S3OutputPath": "s3://b/o"},
        "TransformResources": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
    }
    found = problems("CreateTransformJob", request)
    assert "of at most 100; found 60 x 2" in found
    assert "a SplitType for MultiRecord" in found


def test_a_hyperparameter_keeps_to_the_documented_length() -> None:
    assert "256 characters in HyperParameters.a" in problems(
        "CreateTrainingJob", training(HyperParameters={"a": "1" * 257})
    )


def test_every_pattern_of_the_operations_we_use_is_understood() -> None:
    """A pattern that Python could not compile would be a crash in front of a user."""
    operations = [f"{verb}{kind.resource}" for kind in KINDS for verb in ("Create", "Describe", "Stop")]
    seen: set[str] = set()

    def walk(shape: Any) -> None:
        if shape.name in seen:
            return
        seen.add(shape.name)
        if pattern := shape.metadata.get("pattern"):
            compile_pattern(pattern)
        for child in getattr(shape, "members", {}).values():
            walk(child)
        for name in ("member", "key", "value"):
            if hasattr(shape, name):
                walk(getattr(shape, name))

    for operation in [*operations, "CreateModel", "CreateModelPackage", "CreateModelPackageGroup", "ListTags"]:
        walk(service_model().operation_model(operation).input_shape)
    assert len(seen) > 200
