"""What users get wrong on AWS, by the command that they type: each is refused with what to do, and no job is started.

tests/resources/aws/test_bad_input.py has the whole list.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
import pytest

from resources.aws.lake import S3Lake
from resources.aws.session import forget_clients
from tests.aws.sagemaker.running import ENDPOINTS, IMAGE, ROLE
from tests.aws.sagemaker.service import Refusal, SageMaker, Scripted, running_sagemaker
from tests.conftest import Workspace

SPEC = """\
id: customer
label: {column: left, positive: ["yes"], means: left}
costs: {false_negative: 5, false_positive: 1, true_positive: 1, true_negative: 0}
"""
SETTINGS = {
    "another region": (
        {"AWS_REGION": "us-west-2"},
        "in us-west-2, where the jobs run; found it in eu-west-1. Set AWS_REGION to the bucket's region",
    ),
    "an instance type that there is not": (
        {"CHURN_JOBS": '{"instances": ["ml.m5.huge"]}'},
        "found 'ml.m5.huge'. Correct the setting or the spec that it comes from; nothing has been started",
    ),
    "an older image": (
        {"CHURN_IMAGE": IMAGE.replace("3.2-0", "1.7-1")},
        "found sagemaker-xgboost:1.7-1. Set CHURN_IMAGE to 3.2-0, or leave it out",
    ),
    "a directory bucket": (
        {"CHURN_LAKE": "s3://lake--euw1-az1--x-s3"},
        "expected a general-purpose bucket, found the directory bucket",
    ),
    "no bucket": ({"CHURN_LAKE": "s3://no-such-bucket"}, "NoSuchBucket: The specified bucket does not exist. Create"),
    "a long stack name": ({"CHURN_STACK": "churnproduction"}, "CHURN_STACK: expected at most 8 lower-case letters"),
    "a role without its ARN": ({"CHURN_ROLE": "churn-jobs"}, "CHURN_ROLE: expected the ARN of the role of the jobs"),
    "no time": ({"CHURN_JOBS": '{"hours": 0}'}, "StoppingCondition.MaxRuntimeInSeconds; found 0. Correct the setting"),
}


@dataclass
class Account:
    """A working folder with a table that has landed, and the SageMaker that its commands ask."""

    workspace: Workspace
    service: SageMaker

    def refuse(self, code: str, message: str) -> None:
        """Let SageMaker refuse all that it is asked."""

        def interfere(_operation: str, _phase: str) -> None:
            raise Refusal(code, message)

        self.service.interfere = interfere


@pytest.fixture
def account(aws_lake: S3Lake, tmp_path: Path) -> Iterator[Account]:
    with (
        running_sagemaker(Scripted({"": [{"status": "Failed"}]})) as (service, endpoint),
        patch.dict(os.environ, dict.fromkeys(ENDPOINTS, endpoint)),
    ):
        forget_clients()
        settings = {
            "CHURN_TARGET": "aws",
            "CHURN_LAKE": aws_lake.uri("").rstrip("/"),
            "CHURN_ROLE": ROLE,
            "CHURN_IMAGE": IMAGE,
        }
        workspace = Workspace(tmp_path, settings)
        workspace.write_spec("shop", SPEC)
        workspace.land(pa.table({"customer": ["1", "2"], "left": ["yes", "no"]}))
        yield Account(workspace, service)
    forget_clients()


def test_settings_that_cannot_work_are_refused_before_a_job_is_started(account: Account) -> None:
    workspace, settings = account.workspace, dict(account.workspace.settings)
    for name, (changes, words) in SETTINGS.items():
        workspace.settings = settings | changes
        assert workspace.churn("retrain", "shop") != 0, name
        assert words in " ".join(workspace.output.split()), name
    assert account.service.jobs == {}


@pytest.mark.parametrize(
    ("refuse", "words"),
    [
        (
            lambda account: account.refuse("ExpiredTokenException", "The security token is expired"),
            "The security token is expired. Log in again (`aws sso login`, or new keys), or choose another AWS_PROFILE",
        ),
        (lambda account: account.service.not_passed.add(ROLE), f"Allow who runs this iam:PassRole on {ROLE} to"),
        (lambda account: account.service.not_trusted.add(ROLE), f"Let sagemaker.amazonaws.com assume {ROLE} by its"),
    ],
    ids=["expired credentials", "a role that may not be passed", "a role that may not be taken"],
)
def test_what_aws_refuses_is_said_with_what_to_do_and_is_not_asked_again(
    account: Account, refuse: Callable[[Account], object], words: str
) -> None:
    refuse(account)
    assert account.workspace.churn("retrain", "shop") == 1
    assert words in " ".join(account.workspace.output.split())
    assert account.service.jobs == {}
    assert sum(operation.startswith("Create") for operation, _ in account.service.calls) <= 1
