"""What cannot work on AWS is refused before anything is spent, with what to do. Each name is a line of what users get wrong.

Beside what is here: tests/resources/test_settings.py (a directory bucket, names of stacks), test_doctor.py (a bucket elsewhere, quotas, roles),
jobs/test_limits.py (instance types, local disks), jobs/test_client.py (jobs of our name, roles and keys, quotas of 0), test_tables.py (nested
columns), test_crawlers.py (a crawler that runs), test_runner.py (a bucket elsewhere), test_stack.py (left-over buckets).
"""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from churn_assets.assets.raw_batch import resolve_scorer
from churn_model.reports.step_report import PublishedFile
from churn_model.spec.dataset import Dataset
from resources.aws.bucket_region import refuse_bucket_elsewhere
from resources.aws.container.start import check_image as check_image_inside
from resources.aws.doctor import Finding, examine_aws
from resources.aws.image import check_image, expected_xgboost
from resources.aws.job_requests import JobOptions
from resources.aws.lake import S3Lake
from resources.aws.session import AwsSession, aws_errors, forget_clients
from resources.aws.stack import Stack
from resources.catalog.digests import digest_of
from resources.catalog.names import champion_key
from resources.catalog.pointers import Champion, to_bytes
from resources.errors import CommandError, DamagedError, LakeError, SettingsError
from resources.ports.lake import Manifest
from resources.settings import AwsSettings

REGISTRY = "141502667606.dkr.ecr.eu-west-1.amazonaws.com/"
SETTINGS = AwsSettings(
    bucket="b",
    prefix="",
    region="eu-west-1",
    stack="t",
    role="arn:aws:iam::1:role/r",
    model_role="arn:aws:iam::1:role/r",
    kms_key="",
    image=f"{REGISTRY}sagemaker-xgboost:3.2-0",
    job_options={},
)


class _Body(io.BytesIO):
    def stream(self, *_: Any, **__: Any) -> list[bytes]:
        return [self.getvalue()]


def refuse(client: Any, operation: str, code: str, message: str, status: int = 403) -> None:
    """Answer an operation of S3 with an error."""
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    client.meta.events.register(f"before-send.s3.{operation}", answer_with(body, status))


def answer_with(body: bytes, status: int) -> Callable[..., AWSResponse]:
    def answer(request: Any, **_: Any) -> AWSResponse:
        return AWSResponse(request.url, status, {"Content-Type": "application/xml"}, _Body(body))

    return answer


def look(settings: AwsSettings, subject: str) -> Finding:
    return next(each for each in examine_aws(settings, JobOptions(**settings.job_options)) if each.subject == subject)


def found(settings: AwsSettings, subject: str) -> str:
    finding = look(settings, subject)
    assert not finding.is_good
    return finding.text


def test_no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    forget_clients()
    finding = next(examine_aws(SETTINGS, JobOptions()))
    forget_clients()
    assert (finding.subject, finding.is_good) == ("credentials", False)
    assert "Log in (`aws sso login`)" in finding.text


def test_expired_credentials(aws_lake: S3Lake) -> None:
    refuse(
        AwsSession(region="eu-west-1").client("s3"),
        "GetBucketLocation",
        "ExpiredToken",
        "The provided token has expired.",
        400,
    )
    assert "Log in again" in found(replace(SETTINGS, bucket=aws_lake.bucket), "bucket")


def test_a_bucket_in_another_region_than_the_jobs(aws_lake: S3Lake) -> None:
    """The doctor's word about it is in test_doctor.py; that no job is started, in test_runner.py."""
    for place, found in (("eu-central-1", "eu-central-1"), ("EU", "eu-west-1"), ("", "us-east-1")):
        s3 = aws_lake.session.client("s3")
        answer = f"<LocationConstraint>{place}</LocationConstraint>".encode()
        handler = answer_with(answer, 200)
        s3.meta.events.register("before-send.s3.GetBucketLocation", handler)
        try:
            bucket = f"{aws_lake.bucket}-of-{found}"
            if found == "eu-west-1":
                refuse_bucket_elsewhere(aws_lake.session, bucket)
                continue
            with pytest.raises(
                LakeError, match=rf"where the jobs run; found it in {found}\. Set AWS_REGION to the buc"
            ):
                refuse_bucket_elsewhere(aws_lake.session, bucket)
        finally:
            s3.meta.events.unregister("before-send.s3.GetBucketLocation", handler)
    refuse(s3, "GetBucketLocation", "AccessDenied", "no")
    refuse_bucket_elsewhere(aws_lake.session, aws_lake.bucket)  # who may not ask is told by SageMaker


@pytest.mark.parametrize("code", ["AccessDenied", "NotImplemented"])
def test_a_bucket_that_forbids_conditional_or_unencrypted_writes(aws_lake: S3Lake, code: str) -> None:
    refuse(AwsSession(region="eu-west-1").client("s3"), "PutObject", code, "explicit deny in a resource-based policy")
    text = found(replace(SETTINGS, bucket=aws_lake.bucket), "conditional writes")
    assert "explicit deny in a resource-based policy" in text


@pytest.mark.parametrize("version", ["1.7-1", "3.0-5", "4.0-1"])
def test_an_older_or_newer_image(version: str) -> None:
    with pytest.raises(SettingsError, match=rf"sagemaker-xgboost:3.2-0, .*found sagemaker-xgboost:{version}"):
        check_image(f"{REGISTRY}sagemaker-xgboost:{version}")
    assert check_image(f"{REGISTRY}sagemaker-xgboost:3.2-0").endswith("3.2-0")
    assert check_image(f"{REGISTRY}our-own:7") == f"{REGISTRY}our-own:7"


def test_an_image_of_ones_own_with_another_xgboost() -> None:
    assert check_image_inside(expected_xgboost()) == ""
    assert check_image_inside("99.0.0").startswith("Expected an image with XGBoost 99.0.0; found 3.2.")


def test_a_key_that_is_disabled(aws_lake: S3Lake) -> None:
    kms = aws_lake.session.client("kms")
    key = kms.create_key()["KeyMetadata"]
    kms.disable_key(KeyId=key["KeyId"])
    assert "found Disabled. Enable it, or name another" in found(replace(SETTINGS, kms_key=key["Arn"]), "KMS key")


def test_a_private_vpc_without_endpoints(aws_lake: S3Lake) -> None:
    ec2 = aws_lake.session.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    settings = replace(SETTINGS, job_options={"subnets": [subnet], "security_groups": ["sg-1"]})
    ec2.create_vpc_endpoint(VpcId=vpc, ServiceName="com.amazonaws.eu-west-1.s3")
    assert "found none of logs, sts, ecr.api, ecr.dkr, kms" in found(settings, "VPC endpoints")
    for name in ("logs", "sts", "ecr.api", "ecr.dkr", "kms"):
        ec2.create_vpc_endpoint(
            VpcId=vpc, ServiceName=f"com.amazonaws.eu-west-1.{name}", VpcEndpointType="Interface", SubnetIds=[subnet]
        )
    assert look(settings, "VPC endpoints").is_good


def test_tables_behind_lake_formation(aws_lake: S3Lake) -> None:
    client = aws_lake.session.client("lakeformation")
    client.put_data_lake_settings(DataLakeSettings={"CreateTableDefaultPermissions": []})
    assert "found none. Grant CREATE_TABLE, DESCRIBE and SELECT" in found(SETTINGS, "Lake Formation")
    client.grant_permissions(
        Principal={"DataLakePrincipalIdentifier": "arn:aws:iam::123456789012:role/dagster"},
        Resource={"Database": {"Name": "t"}},
        Permissions=["CREATE_TABLE"],
    )
    assert look(SETTINGS, "Lake Formation") == Finding("Lake Formation", True, "decides; granted to dagster")


ROLE = "arn:aws:iam::123456789012:role/churn-jobs"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/0f1e2d3c"


@pytest.mark.parametrize(
    ("said", "todo"),
    [
        (
            f"User: u is not authorized to perform: iam:PassRole on resource: {ROLE} because no identity-based policy allows it",
            f"Allow who runs this iam:PassRole on {ROLE} to sagemaker.amazonaws.com, .*or correct CHURN_ROLE or CHURN_MODEL_ROLE",
        ),
        (
            f"Could not assume role {ROLE}. Please ensure that the role exists and allows principal",
            f"Let sagemaker.amazonaws.com assume {ROLE} by its trust policy, or correct CHURN_ROLE or",
        ),
        (
            f"SageMaker was unable to assume the role '{ROLE}'",
            f"Let sagemaker.amazonaws.com assume {ROLE} by its trust policy, or correct CHURN_ROLE or",
        ),
        (
            f"User: u is not authorized to perform: kms:CreateGrant on resource: {KEY} because no resource-based policy allows it",
            f"Allow kms:CreateGrant on the key {KEY} to the role or user .* or name another key in CHURN_KMS_KEY",
        ),
        ("User: u is not authorized to perform: sagemaker:CreateTrainingJob on resource: x", r"Grant it to the role"),
    ],
)
def test_a_role_that_may_not_be_passed_or_taken_or_a_key_that_may_not_be_used(said: str, todo: str) -> None:
    from botocore.exceptions import ClientError

    answer = {"Error": {"Code": "AccessDeniedException", "Message": said}}
    with (
        pytest.raises(CommandError, match=rf"found AccessDeniedException: {said}\. {todo}"),
        aws_errors(CommandError, "a job"),
    ):
        raise ClientError(answer, "CreateTrainingJob")


def test_a_champion_whose_bundle_is_gone(aws_lake: S3Lake, dataset: Dataset) -> None:
    prefix = f"{dataset.name}/tuned_model/v1/"
    aws_lake.put(prefix + "model.tar.gz", b"bundle")
    aws_lake.publish(prefix, Manifest("v1", {"model.tar.gz": PublishedFile(size=6, digest=digest_of(b"bundle"))}))
    champion = Champion("v1", prefix, f"{dataset.name}/e/v1/", "2026-01-01T00:00:00+00:00", "first", "")
    aws_lake.put(champion_key(dataset.name), to_bytes(champion))
    aws_lake.remove([prefix + "model.tar.gz"])
    with pytest.raises(DamagedError, match=rf"model\.tar\.gz; found no file\. .*`churn retrain {dataset.name}`"):
        resolve_scorer(aws_lake, dataset, provisional=False)


def test_two_stacks_of_one_name(aws_lake: S3Lake) -> None:
    aws_lake.session.client("iam").create_role(RoleName="taken-churn-jobs", AssumeRolePolicyDocument=json.dumps({}))
    say: Callable[[str], None] = lambda _line: None  # noqa: E731
    with pytest.raises(CommandError, match=r"that it is taken, although this region has no such stack"):
        Stack(AwsSession(region="eu-west-1"), "taken", say).propose({"ImageAccount": "141502667606"})
