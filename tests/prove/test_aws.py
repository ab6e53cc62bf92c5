"""The same graph on AWS, on stand-ins that execute: a bucket, Glue, Athena, and SageMaker's jobs in the managed image's versions."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from resources.aws.lake import S3Lake
from resources.aws.tables import AthenaTables
from resources.settings import PROJECT
from tests.aws.iam import Recording, allowing_statement, read_policies, recorded_calls
from tests.aws.sagemaker.running import IMAGE, ROLE, runner_on, running_jobs
from tests.aws.sagemaker.service import SageMaker
from tests.aws.tables import make_aws_tables
from tests.conftest import Workspace
from tests.prove.parity import assert_same_results, retrain_and_score

pytestmark = pytest.mark.prove

IMAGE_PYTHON = PROJECT / ".venv-image" / "bin" / "python"


@dataclass(frozen=True)
class Account:
    """An account with a stack in it, and the settings that name it."""

    lake: S3Lake
    tables: AthenaTables
    sagemaker: SageMaker
    settings: dict[str, str]


@pytest.fixture
def account(aws_lake: S3Lake, tmp_path: Path) -> Iterator[Account]:
    stack = f"s{uuid4().hex[:7]}"
    tables = make_aws_tables(aws_lake, stack)
    settings = {
        "CHURN_TARGET": "aws",
        "CHURN_LAKE": aws_lake.uri("").rstrip("/"),
        "CHURN_STACK": stack,
        "CHURN_ROLE": ROLE,
        "CHURN_IMAGE": IMAGE,
        "CHURN_JOBS": '{"shortest_pause": 0.2, "longest_pause": 1}',  # jobs that take seconds are asked often
    }
    with running_jobs(aws_lake, tmp_path / "machines", python=IMAGE_PYTHON) as sagemaker:
        yield Account(aws_lake, tables, sagemaker, settings)


def test_the_graph_gives_on_aws_what_it_gives_on_a_laptop(account: Account, tmp_path: Path) -> None:
    with recorded_calls(account.settings["CHURN_STACK"]) as recording:
        theirs = retrain_and_score(tmp_path / "theirs", account.settings)
        assert account.tables.count("shop", "batch_predictions") == 500
        assert account.tables.count("shop", "raw_customers") > 3000
        assert runner_on(account.lake).running() == []
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
