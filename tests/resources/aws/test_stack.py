"""A stack is shown before it is made, made, changed and deleted, beside another; CloudFormation's stand-in makes what it knows."""

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from moto import mock_aws

from resources.aws.session import AwsSession, forget_clients
from resources.aws.stack import Proposal, Stack, read_parameters
from resources.errors import CommandError, SettingsError
from tests.conftest import Workspace

# moto makes buckets, keys, queues, roles and policies, and warns of what it does not.
pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse:UserWarning")

IMAGE = {"ImageAccount": "141502667606"}


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsSession]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "stand-in")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        forget_clients()
        yield AwsSession(region="eu-west-1")
    forget_clients()


def stack_of(session: AwsSession, name: str = "") -> Stack:
    return Stack(session, name or f"t{uuid4().hex[:7]}", lambda _line: None)


def propose(stack: Stack, **parameters: str) -> Proposal:
    proposal = stack.propose(IMAGE | parameters)
    assert proposal is not None
    return proposal


def role_names(session: AwsSession) -> list[str]:
    return sorted(role["RoleName"] for role in session.client("iam").list_roles()["Roles"])


def test_what_is_shown_is_not_made_until_it_is_carried_out(session: AwsSession) -> None:
    stack = stack_of(session, "dev")
    proposal = propose(stack)
    lines = [str(change) for change in proposal.changes]
    assert "Add JobRole (AWS::IAM::Role)" in lines
    assert "Add Bucket (AWS::S3::Bucket)" in lines
    assert role_names(session) == []
    stack.withdraw(proposal)
    assert stack.outputs() == {}
    assert session.client("cloudformation").list_change_sets(StackName=stack.cloud_name)["Summaries"] == []


def test_dev_and_prod_stand_side_by_side_and_one_goes_without_the_other(session: AwsSession) -> None:
    dev, prod = stack_of(session, "dev"), stack_of(session, "prod")
    for stack in (dev, prod):
        stack.carry_out(propose(stack))
    assert role_names(session) == [
        "dev-churn-dagster",
        "dev-churn-jobs",
        "dev-churn-models",
        "prod-churn-dagster",
        "prod-churn-jobs",
        "prod-churn-models",
    ]
    assert dev.delete()
    assert role_names(session) == ["prod-churn-dagster", "prod-churn-jobs", "prod-churn-models"]
    assert not dev.delete()


def test_a_machine_of_ec2_takes_the_orchestrators_role_by_a_profile(session: AwsSession) -> None:
    stack, iam = stack_of(session, "dev"), session.client("iam")
    stack.carry_out(propose(stack, OrchestratorPrincipal="ec2.amazonaws.com"))
    (profile,) = iam.list_instance_profiles()["InstanceProfiles"]
    (role,) = profile["Roles"]
    assert (profile["InstanceProfileName"], role["RoleName"]) == ("dev-churn-dagster", "dev-churn-dagster")
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "ec2.amazonaws.com"}
    assert "Condition" not in statement
    assert stack.delete()
    assert iam.list_instance_profiles()["InstanceProfiles"] == []


def test_the_commands_do_nothing_without_yes_and_say_what_they_did(session: AwsSession, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    image = ("--set", "ImageAccount=141502667606")
    assert workspace.churn("deploy", "dev", *image) == 0
    assert "Add JobRole (AWS::IAM::Role)" in workspace.output
    assert "Nothing was made. To make them, add --yes." in workspace.output
    assert role_names(session) == []
    assert workspace.churn("deploy", "dev", *image, "--yes") == 0
    assert "export CHURN_TARGET=aws CHURN_STACK=dev" in workspace.output
    assert workspace.churn("destroy", "dev") == 0
    assert "Its bucket would be kept. Nothing was deleted." in workspace.output
    assert role_names(session) == ["dev-churn-dagster", "dev-churn-jobs", "dev-churn-models"]
    assert workspace.churn("destroy", "dev", "--yes") == 0
    assert "The stack churn-dev is deleted." in workspace.output
    assert role_names(session) == []


def test_the_bucket_of_a_deleted_stack_is_not_passed_over(session: AwsSession) -> None:
    s3 = session.client("s3")
    s3.create_bucket(Bucket="left-over", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_tagging(Bucket="left-over", Tagging={"TagSet": [{"Key": "churn/stack", "Value": "dev"}]})
    stack = stack_of(session, "dev")
    assert stack.left() == ["arn:aws:s3:::left-over"]
    with pytest.raises(CommandError, match=r"found left-over. Take it with `--set ExistingBucket=left-over`"):
        stack.propose(IMAGE)
    assert propose(stack, ExistingBucket="")
    assert stack_of(session, "prod").left() == []


def test_an_endpoint_that_goes_on_is_said_and_its_model_that_costs_nothing_is_not(session: AwsSession) -> None:
    sagemaker, tags = session.client("sagemaker"), [{"Key": "churn/stack", "Value": "dev"}]
    role, variant = "arn:aws:iam::123456789012:role/jobs", {"VariantName": "champion", "ModelName": "dev-shop-0"}
    sagemaker.create_model(ModelName="dev-shop-0", ExecutionRoleArn=role, PrimaryContainer={"Image": "i"}, Tags=tags)
    machines = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1, "InitialVariantWeight": 1.0}
    sagemaker.create_endpoint_config(EndpointConfigName="dev-shop-0", ProductionVariants=[variant | machines])
    sagemaker.create_endpoint(EndpointName="dev-shop", EndpointConfigName="dev-shop-0", Tags=tags)
    assert stack_of(session, "dev").left() == ["arn:aws:sagemaker:eu-west-1:123456789012:endpoint/dev-shop"]


def test_an_existing_bucket_keeps_its_key(session: AwsSession) -> None:
    s3 = session.client("s3")
    key = session.client("kms").create_key()["KeyMetadata"]["Arn"]
    s3.create_bucket(Bucket="ours", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    s3.put_bucket_encryption(Bucket="ours", ServerSideEncryptionConfiguration={"Rules": [rule]})
    stack = stack_of(session)
    stack.carry_out(propose(stack, ExistingBucket="ours"))
    found = session.client("cloudformation").describe_stacks(StackName=stack.cloud_name)["Stacks"][0]["Parameters"]
    assert {each["ParameterKey"]: each["ParameterValue"] for each in found}["ExistingKey"] == key
    policies = session.client("iam").get_role_policy(
        RoleName=f"{stack.cloud_name.removeprefix('churn-')}-churn-jobs", PolicyName="jobs"
    )
    assert key in json.dumps(policies["PolicyDocument"])


def test_a_bucket_is_removed_with_every_version_of_every_object(session: AwsSession) -> None:
    s3 = session.client("s3")
    s3.create_bucket(Bucket="old", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_versioning(Bucket="old", VersioningConfiguration={"Status": "Enabled"})
    for content in (b"1", b"2"):
        s3.put_object(Bucket="old", Key="a", Body=content)
    s3.delete_object(Bucket="old", Key="a")
    s3.put_bucket_tagging(Bucket="old", Tagging={"TagSet": [{"Key": "churn/stack", "Value": "dev"}]})
    assert stack_of(session, "dev").remove_bucket("old") == 3
    assert s3.list_buckets()["Buckets"] == []


def test_a_bucket_of_others_is_never_removed_and_nothing_else_is_before(session: AwsSession, tmp_path: Path) -> None:
    s3 = session.client("s3")
    s3.create_bucket(Bucket="others", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="others", Key="a", Body=b"1")
    stack = stack_of(session, "dev")
    stack.carry_out(propose(stack))
    with pytest.raises(CommandError, match=r"Expected a bucket with the tag churn/stack=dev; found others"):
        stack.remove_bucket("others")
    workspace = Workspace(tmp_path)
    assert workspace.churn("destroy", "dev", "--bucket", "others", "--yes") != 0
    assert "found others" in workspace.output
    assert s3.list_objects_v2(Bucket="others")["KeyCount"] == 1
    assert role_names(session) == ["dev-churn-dagster", "dev-churn-jobs", "dev-churn-models"]


def test_a_name_that_is_too_long_and_unknown_parameters_are_refused(session: AwsSession) -> None:
    with pytest.raises(SettingsError, match="1 to 8 lower-case letters and digits"):
        stack_of(session, "production")
    with pytest.raises(CommandError, match=r"(?s)1. Expected NAME=VALUE.*found 'Prefx=a/'.*2. .*found 'Stack=b'"):
        read_parameters(["Prefx=a/", "Stack=b", "Prefix=a/"])
    assert read_parameters(["Prefix=a/", "InstanceTypes=ml.m5.xlarge,ml.m5.large"]) == {
        "Prefix": "a/",
        "InstanceTypes": "ml.m5.xlarge,ml.m5.large",
    }
