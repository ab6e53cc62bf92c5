"""A stack as it should be, and each thing that can be missing from it."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse

from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.endpoint import Endpoint, Scaling
from churn_model.spec.sections.scoring import Scoring
from churn_model.spec.sections.search import Search
from resources.aws.doctor import examine_aws
from resources.aws.job_requests import JobOptions
from resources.aws.lake import S3Lake
from resources.settings import AwsSettings
from tests.aws.iam import Call, actions_of, allowing_statement, read_policies
from tests.aws.sagemaker.running import running_endpoints
from tests.aws.tables import make_aws_tables
from tests.churn_model.serving.shop import SHOP

TRUST = {
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}]
}


class _Body(io.BytesIO):
    def stream(self, *_: Any, **__: Any) -> list[bytes]:
        return [self.getvalue()]


SERVERLESS = "Maximum total concurrency that can be allocated across all serverless endpoints"
QUOTAS = {
    "ml.m5.xlarge for processing job usage": 4,
    "ml.m5.xlarge for training job usage": 2,
    "ml.m5.large for endpoint usage": 4,
    SERVERLESS: 10,
}
DEFAULTS = {"ml.m5.large for endpoint usage": 1, "ml.t2.medium for endpoint usage": 2}
"""Of all accounts. The list of an account's quotas may leave out one that has no value of its own."""


def set_quotas(lake: S3Lake) -> None:
    """Answer in place of the stand-in, which knows no quotas of SageMaker."""

    def answer(request: Any, **_: Any) -> AWSResponse:
        asked = request.headers["X-Amz-Target"].decode().rpartition(".")[2]
        quotas = {"ListServiceQuotas": QUOTAS, "ListAWSDefaultServiceQuotas": DEFAULTS}[asked]
        body = json.dumps({"Quotas": [{"QuotaName": name, "Value": value} for name, value in quotas.items()]}).encode()
        return AWSResponse(request.url, 200, {"Content-Type": "application/x-amz-json-1.1"}, _Body(body))

    lake.session.client("service-quotas").meta.events.register("before-send.service-quotas", answer)


@pytest.fixture
def stack(aws_lake: S3Lake) -> AwsSettings:
    set_quotas(aws_lake)
    everyone = {"Principal": {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"}, "Permissions": ["ALL"]}
    aws_lake.session.client("lakeformation").put_data_lake_settings(  # as a new account has it
        DataLakeSettings={"CreateTableDefaultPermissions": [everyone]}
    )
    name = f"d{aws_lake.bucket[-6:]}"
    make_aws_tables(aws_lake, name)
    role = aws_lake.session.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    return AwsSettings(
        bucket=aws_lake.bucket,
        prefix=aws_lake.prefix,
        region=aws_lake.session.region,
        stack=name,
        role=role["Arn"],
        model_role=role["Arn"],
        kms_key="",
        image="141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:3.2-0",
        job_options={},
    )


def bad(settings: AwsSettings, *endpoints: Endpoint) -> dict[str, str]:
    return bad_of(settings, *(replace(SHOP, endpoint=each) for each in endpoints))


def bad_of(settings: AwsSettings, *datasets: Dataset) -> dict[str, str]:
    return {
        finding.subject: finding.text
        for finding in examine_aws(settings, JobOptions(**settings.job_options), datasets)
        if not finding.is_good
    }


def test_a_stack_as_it_should_be_has_nothing_bad_and_nothing_is_left_in_the_bucket(
    stack: AwsSettings, aws_lake: S3Lake
) -> None:
    assert bad(stack) == {}
    assert [entry.key for entry in aws_lake.entries("")] == []


def test_an_instance_type_without_a_quota_is_named(stack: AwsSettings) -> None:
    found = bad(replace(stack, job_options={"instances": ["ml.m5.xlarge", "ml.m6i.xlarge"]}))["instance types"]
    for name in ("ml.m6i.xlarge for processing job usage", "ml.m6i.xlarge for training job usage"):
        assert name in found


def test_spot_instances_and_warm_pools_have_quotas_of_their_own(stack: AwsSettings) -> None:
    def found(**options: object) -> str:
        return bad(replace(stack, job_options=options)).get("instance types", "")

    warm, spot = "1 ml.m5.xlarge for training warm pool usage", "1 ml.m5.xlarge for spot training job usage"
    assert f"at least {warm}; found 0" in found(keep_alive_minutes=10)
    assert f"at least {spot}; found 0" in found(spot=True, keep_alive_minutes=10)  # which keeps nothing
    assert found() == ""


def test_a_tuner_s_trials_take_instances_on_demand_though_training_is_on_spot_instances(stack: AwsSettings) -> None:
    def found(parallel: int, **options: object) -> str:
        tuned = replace(SHOP, search=Search(engine="tuner", trials=9, parallel=parallel))
        return bad_of(replace(stack, job_options=options), SHOP, tuned).get("instance types", "")

    spot = "1 ml.m5.xlarge for spot training job usage"
    assert f"quotas of at least {spot}; found 0." in found(2, spot=True)  # two on demand are there
    demand = "3 ml.m5.xlarge for training job usage"
    assert f"quotas of at least {spot}, {demand}; found 0, 2." in found(3, spot=True)
    assert f"quotas of at least {demand}; found 2." in found(3)
    assert "at least 9 ml.m5.xlarge for training job usage" in found(10)  # as many as there are trials
    types = {"instances": ["ml.m5.xlarge"], "training_instances": ["ml.c5.xlarge"]}
    few = "2 ml.c5.xlarge for training job usage"
    assert f"at least 1 ml.c5.xlarge for spot training job usage, {few}; found 0, 0" in found(2, spot=True, **types)


def test_a_transform_job_s_instances_have_a_quota_of_their_own(stack: AwsSettings) -> None:
    transformed = replace(SHOP, scoring=Scoring(engine="transform"))
    several = replace(stack, job_options={"instances": ["ml.m4.xlarge", "ml.m5.xlarge"]})
    found = bad_of(several, transformed)["instance types"]
    assert "1 ml.m4.xlarge for transform job usage" in found
    assert "ml.m5.xlarge for transform job usage" not in found  # it takes the first alone
    assert "transform" not in bad_of(several, SHOP)["instance types"]


def test_endpoints_that_are_together_more_than_a_quota_are_told_before_one_is_made(stack: AwsSettings) -> None:
    scaled = Endpoint(engine="instance", scaling=Scaling(most=3, invocations=60))
    assert (
        bad(stack, scaled, Endpoint(engine="instance"), Endpoint(max_concurrency=4), Endpoint(max_concurrency=6)) == {}
    )
    machines = bad(stack, scaled, Endpoint(engine="instance", count=2))["quotas of endpoints"]
    assert "at least 5 ml.m5.large for endpoint usage; found 4" in machines
    serverless = bad(stack, Endpoint(max_concurrency=11), Endpoint(engine="instance", instance="ml.c5.large"))
    assert (
        f"at least 11 {SERVERLESS}, 1 ml.c5.large for endpoint usage; found 10, 0" in serverless["quotas of endpoints"]
    )


def test_a_quota_that_the_account_has_no_value_of_is_the_default(stack: AwsSettings) -> None:
    small = Endpoint(engine="instance", instance="ml.t2.medium", count=2)
    assert bad(stack, small, Endpoint(engine="instance", count=4)) == {}
    assert (
        "at least 3 ml.t2.medium for endpoint usage; found 2"
        in bad(stack, replace(small, count=3))["quotas of endpoints"]
    )


def test_what_is_missing_is_named_with_what_to_do(stack: AwsSettings) -> None:
    missing = replace(stack, bucket="no-such-bucket", stack="nosuch", role="arn:aws:iam::123456789012:role/nobody")
    found = bad(missing)
    assert "NoSuchBucket" in found["bucket"]
    assert "NoSuchBucket" in found["conditional writes"]
    for subject in ("Glue database", "Athena workgroup", "role of the jobs"):
        assert "Make the stack: docs/tasks/run_on_aws.md" in found[subject]


def test_a_bucket_in_another_region_is_named(stack: AwsSettings, aws_lake: S3Lake) -> None:
    elsewhere = f"{aws_lake.bucket}-2"
    place = {"LocationConstraint": "eu-central-1"}
    boto3.client("s3", region_name="eu-central-1").create_bucket(Bucket=elsewhere, CreateBucketConfiguration=place)
    assert "found it in eu-central-1" in bad(replace(stack, bucket=elsewhere))["bucket"]


def test_a_role_that_sagemaker_may_not_take_is_named(stack: AwsSettings, aws_lake: S3Lake) -> None:
    iam = aws_lake.session.client("iam")
    trust = json.dumps(TRUST).replace("sagemaker", "lambda")
    other = iam.create_role(RoleName=f"{stack.stack}-other", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    assert "without sagemaker.amazonaws.com" in bad(replace(stack, role=other))["role of the jobs"]


def test_a_role_that_sagemaker_cannot_be_given_is_named_and_no_model_is_left(
    stack: AwsSettings, aws_lake: S3Lake, tmp_path: Path
) -> None:
    settings = replace(stack, model_role=f"{stack.role}-models")
    subjects = ("right to pass the jobs' role", "right to pass the models' role")
    with running_endpoints(aws_lake, tmp_path) as service:
        set_quotas(aws_lake)  # its clients are new ones
        service.not_passed.add(settings.role)
        service.not_trusted.add(settings.model_role)
        found = bad(settings, Endpoint())
        assert f"Allow who runs this iam:PassRole on {settings.role} " in found[subjects[0]]
        assert f"Let sagemaker.amazonaws.com assume {settings.model_role} " in found[subjects[1]]
        service.not_passed.clear()
        assert subjects[1] not in bad(settings)  # without an endpoint, nobody passes it
        service.not_trusted.clear()
        asked: list[Call] = []

        def note(params: dict[str, Any], model: Any, **_: Any) -> None:
            asked.extend(actions_of("sagemaker", model.name, params, settings.stack))

        aws_lake.session.client("sagemaker").meta.events.register("provide-client-params.sagemaker.*", note)
        assert not {*subjects} & bad(settings, Endpoint()).keys()
        assert service.models == {}
    once = ["sagemaker:CreateModel", "sagemaker:AddTags", "iam:PassRole", "sagemaker:DeleteModel"]
    assert [call.action for call in asked] == once * 2
    named = {"Stack": settings.stack, "ExistingBucket": settings.bucket, "ExistingKey": "key", "ImageAccount": "1"}
    roles = {"JobRole.Arn": settings.role, "ModelRole.Arn": settings.model_role}
    policies = read_policies(named | roles)
    statements = [*policies.orchestrator, *policies.endpoints]
    assert [call for call in asked if not allowing_statement(statements, call)] == []


def test_a_key_that_may_not_be_used_is_named_before_a_job_needs_it(stack: AwsSettings, aws_lake: S3Lake) -> None:
    kms = aws_lake.session.client("kms")
    settings = replace(stack, kms_key=kms.create_key()["KeyMetadata"]["Arn"])
    asked: list[Any] = []

    def answer_with(code: str, message: str) -> Callable[..., AWSResponse]:
        def answer(request: Any, **_: Any) -> AWSResponse:
            asked.append(json.loads(request.body))
            body = json.dumps({"__type": code, "message": message}).encode()
            return AWSResponse(request.url, 400, {"Content-Type": "application/x-amz-json-1.1"}, _Body(body))

        return answer

    words = f"User: u is not authorized to perform: kms:GenerateDataKey on resource: {settings.kms_key} because"
    denied = answer_with("AccessDeniedException", words)
    kms.meta.events.register("before-send.kms.GenerateDataKey", denied)
    text = f"Allow kms:GenerateDataKey on the key {settings.kms_key} to the role or user that AWS names"
    assert text in bad(settings)["KMS key"]
    kms.meta.events.unregister("before-send.kms.GenerateDataKey", denied)
    kms.meta.events.register("before-send.kms.GenerateDataKey", answer_with("DryRunOperationException", "would have"))
    assert "KMS key" not in bad(settings)
    assert asked == [{"KeyId": settings.kms_key, "KeySpec": "AES_256", "DryRun": True}] * 2
