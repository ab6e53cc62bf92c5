"""The same graph on AWS, on stand-ins that execute: a bucket, Glue, Athena, and SageMaker's jobs in the managed image's versions."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.aws.lake import S3Lake
from tests.aws.account import Account, open_account
from tests.aws.iam import Policies, Recording, allowing_statement, read_policies, recorded_calls
from tests.aws.sagemaker.running import ROLE, runner_on
from tests.aws.sdk import fold_names, request_of_sdk
from tests.conftest import Workspace
from tests.prove.parity import assert_same_predictions, assert_same_results, retrain_and_score, score_by_transform

pytestmark = pytest.mark.prove
MOST_REQUESTS = 147
"""To S3, of a retrain of four jobs with its page and its summary."""


@pytest.fixture
def account(aws_lake: S3Lake, tmp_path: Path) -> Iterator[Account]:
    with open_account(aws_lake, tmp_path / "machines") as account:
        yield account


def test_the_graph_gives_on_aws_what_it_gives_on_a_laptop(account: Account, tmp_path: Path) -> None:
    with recorded_calls(account.settings["CHURN_STACK"]) as recording:
        theirs = retrain_and_score(tmp_path / "theirs", account.settings)
        assert account.tables.count("shop", "batch_predictions") == 500
        assert account.tables.count("shop", "raw_customers") > 3000
        assert runner_on(account.lake).running() == []
        score_by_transform(theirs, "shop", theirs.root / "customers.csv")
    transforms = [job.status for (kind, _), job in account.sagemaker.jobs.items() if kind == "TransformJob"]
    assert transforms == ["Completed"]
    assert_same_predictions(account.lake, "shop")
    assert len(_requests_of_the_retrain(recording)) <= MOST_REQUESTS
    _assert_that_the_roles_allow_it(recording, account)
    _assert_that_the_sdk_would_send_it(recording, JOBS | REGISTRY)
    _assert_that_the_champion_is_served_and_may_be(account, theirs)
    ours = retrain_and_score(tmp_path / "ours", {})
    assert_same_results(ours.lake, account.lake)
    _assert_that_nothing_is_done_again(account, theirs)


def _requests_of_the_retrain(recording: Recording) -> list[tuple[str, str]]:
    """Return what was asked of S3 between the landing of the training data and that of the batch."""
    landed = [
        number
        for number, (operation, key) in enumerate(recording.requests)
        if operation == "PutObject" and "/landing/" in key
    ]
    return recording.requests[landed[0] + 1 : landed[1]]


# What SageMaker does with the roles of jobs and models beside moving files, which a stand-in need not do.
_BEYOND_STAND_INS = {
    "UseTheKey",
    "EncryptTheirDisks",
    "SendMetrics",
    "LogInToTheRegistry",
    "PullTheImage",
}


def _policies(account: Account) -> Policies:
    return read_policies(
        {
            "Stack": account.settings["CHURN_STACK"],
            "ExistingBucket": account.lake.bucket,
            "Prefix": account.lake.prefix,
            "ExistingKey": "key",
            "JobRole.Arn": ROLE,
            "ImageAccount": "141502667606",
        }
    )


def _assert_that_the_roles_allow_it(recording: Recording, account: Account) -> None:
    policies = _policies(account)
    for statements, calls in ((policies.orchestrator, recording.orchestrator), (policies.jobs, recording.jobs)):
        used = {call: allowing_statement(statements, call) for call in {*calls}}
        assert [call for call, statement in used.items() if not statement] == []
        assert {each["Sid"] for each in statements} - set(used.values()) <= _BEYOND_STAND_INS


JOBS = {"CreateProcessingJob", "CreateTrainingJob", "CreateModel", "CreateTransformJob"}
REGISTRY = {"CreateModelPackageGroup", "CreateModelPackage", "UpdateModelPackage"}
ENDPOINT = {"CreateModel", "CreateEndpointConfig", "CreateEndpoint", "UpdateEndpoint"}


def _assert_that_the_sdk_would_send_it(recording: Recording, operations: set[str]) -> None:
    """The SageMaker SDK knows each request of these operations with all that is in it, and would send the same."""
    sent = [(operation, request) for operation, request in recording.creates if operation in operations]
    assert {operation for operation, _ in sent} == operations
    for operation, request in sent:
        assert fold_names(request_of_sdk(operation, request)) == fold_names(request)


def _assert_that_the_champion_is_served_and_may_be(account: Account, workspace: Workspace) -> None:
    """The commands deploy, find and delete the endpoint, and ask for nothing that the two policies do not allow."""
    stack = account.settings["CHURN_STACK"]
    account.lake.session.client("sns").create_topic(Name=f"{stack}-churn-alarms")
    spec = workspace.root / "datasets" / "shop.yaml"
    before = spec.read_text("utf-8")
    machines = "engine: instance, scaling: {most: 2, invocations: 60}"
    spec.write_text(f"{before}\nendpoint: {{{machines}}}\n", "utf-8")
    with recorded_calls(stack) as recording:
        assert workspace.churn("endpoint", "shop", "deploy") == 0
        assert f"The endpoint {stack}-shop is InService and serves model " in workspace.output
        assert "churn endpoint shop deploy" not in workspace.output  # which would change it
        version = workspace.output.partition("serves model ")[2][:16]
        assert workspace.churn("endpoint", "shop", "deploy", "--variant", f"candidate={version}:0.1") == 0
        assert f"candidate (model {version}) answers 10% of requests" in workspace.output
        spec.write_text(f"{before}\nendpoint: {{{machines}, capture: 0.5}}\n", "utf-8")
        assert workspace.churn("endpoint", "shop", "deploy") == 0
        assert workspace.churn("endpoint", "shop", "delete") == 0
        assert "There is no endpoint of shop." in workspace.output
        spec.write_text(f"{before}\nendpoint: {{engine: serverless}}\n", "utf-8")
        assert workspace.churn("endpoint", "shop", "deploy") == 0
        assert workspace.churn("endpoint", "shop", "delete") == 0
    spec.write_text(before, "utf-8")
    _assert_that_the_sdk_would_send_it(recording, ENDPOINT)
    policies = _policies(account)
    used = {
        call: allowing_statement([*policies.endpoints, *policies.orchestrator], call)
        for call in {*recording.orchestrator}
    }
    assert [call for call, statement in used.items() if not statement] == []
    files = {call: allowing_statement(policies.models, call) for call in recording.jobs if call.action[:3] == "s3:"}
    assert [call for call, statement in files.items() if not statement] == []
    assert {str(each["Sid"]) for each in policies.models} - {*files.values()} == _BEYOND_STAND_INS | {"WriteLogs"}
    unused = {str(each["Sid"]) for each in policies.endpoints} - set(used.values())
    assert unused == {"ReadLogsOfEndpoints"}  # of those that do not come to answer


def _assert_that_nothing_is_done_again(account: Account, workspace: Workspace) -> None:
    jobs = len(account.sagemaker.jobs)
    assert workspace.churn("retrain", "shop") == 0
    assert "Nothing has changed" in workspace.output
    assert workspace.churn("score", "shop", "monday") == 0
    assert len(account.sagemaker.jobs) == jobs
