"""The same graph on AWS, on stand-ins that execute: a bucket, Glue, Athena, and SageMaker's jobs in the managed image's versions."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.aws.lake import S3Lake
from tests.aws.iam import Recording, allowing_statement, read_policies, recorded_calls
from tests.aws.sagemaker.running import ROLE, runner_on
from tests.conftest import Workspace
from tests.prove.account import Account, open_account
from tests.prove.parity import assert_same_predictions, assert_same_results, retrain_and_score, score_by_transform

pytestmark = pytest.mark.prove


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
    _assert_that_the_roles_allow_it(recording, account)
    ours = retrain_and_score(tmp_path / "ours", {})
    assert_same_results(ours.lake, account.lake)
    _assert_that_nothing_is_done_again(account, theirs)


# What SageMaker does with the jobs' role beside moving files, which a stand-in need not do.
_BEYOND_STAND_INS = {
    "UseTheKey",
    "EncryptTheirDisks",
    "SendMetrics",
    "LogInToTheRegistry",
    "PullTheImage",
}


def _assert_that_the_roles_allow_it(recording: Recording, account: Account) -> None:
    stack = account.settings["CHURN_STACK"]
    policies = read_policies(
        {
            "Stack": stack,
            "ExistingBucket": account.lake.bucket,
            "Prefix": account.lake.prefix,
            "ExistingKey": "key",
            "JobRole.Arn": ROLE,
            "ImageAccount": "141502667606",
        }
    )
    for statements, calls in ((policies.orchestrator, recording.orchestrator), (policies.jobs, recording.jobs)):
        used = {call: allowing_statement(statements, call) for call in {*calls}}
        assert [call for call, statement in used.items() if not statement] == []
        assert {each["Sid"] for each in statements} - set(used.values()) <= _BEYOND_STAND_INS


def _assert_that_nothing_is_done_again(account: Account, workspace: Workspace) -> None:
    jobs = len(account.sagemaker.jobs)
    assert workspace.churn("retrain", "shop") == 0
    assert "Nothing has changed" in workspace.output
    assert workspace.churn("score", "shop", "monday") == 0
    assert len(account.sagemaker.jobs) == jobs
