"""From an empty account to the first predictions and back, by the commands of docs/tasks/run_on_aws.md, as `make test-aws` runs them."""

import re
from pathlib import Path

import pytest

from resources.aws.lake import S3Lake
from resources.aws.session import AwsSession, forget_clients
from resources.settings import PROJECT
from tests.aws import cloudformation
from tests.aws.sagemaker.containers import IMAGE
from tests.aws.sagemaker.running import running_jobs
from tests.aws.services import running_services
from tests.aws.smoke import main

# moto warns of what it does not make: a bucket's policy.
pytestmark = [pytest.mark.prove, pytest.mark.filterwarnings("ignore:Tried to parse:UserWarning")]
_TYPED = re.compile(r"^ *(?:\$ )?churn (deploy|destroy|doctor|sample|plan|retrain|score) ?([^\n`(]*)", re.MULTILINE)


def test_an_empty_account_has_predictions_after_the_commands_of_the_page_and_is_empty_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    cloudformation.install()
    with running_services() as services:
        for name, value in services.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("CHURN_JOBS", '{"shortest_pause": 0.2, "longest_pause": 1}')
        forget_clients()
        before = list_what_lasts()  # proofs that ran before in this process left buckets
        lake = S3Lake(session=AwsSession(), bucket="none")  # for its session: the stack makes the bucket
        with running_jobs(lake, tmp_path / "machines", python=IMAGE / "bin" / "python") as sagemaker:
            code = main("churn")
            statuses = [job.status for job in sagemaker.jobs.values()]
        left = list_what_lasts()
    said = capfd.readouterr().out
    assert code == 0, said
    assert statuses == ["Completed"] * 8
    assert "First champion: judged on" in said
    assert re.search(r"Batch 2025-09 of sample: contact [\d,]+ of 1,000 customers", said)
    assert "BAD" not in said
    assert left == before
    assert commands_in(read_page()) - commands_in(said) == {"deploy churn"}  # which shows what would be made


def list_what_lasts() -> set[str]:
    """Return the names of the account's buckets, databases and stacks."""
    session = AwsSession()
    buckets = {bucket["Name"] for bucket in session.client("s3").list_buckets()["Buckets"]}
    databases = {database["Name"] for database in session.client("glue").get_databases()["DatabaseList"]}
    stacks = {stack["StackName"] for stack in session.client("cloudformation").describe_stacks()["Stacks"]}
    return buckets | databases | stacks


def commands_in(text: str) -> set[str]:
    return {f"{name} {rest}".strip() for name, rest in _TYPED.findall(text)}


def read_page() -> str:
    """Return the page's blocks of commands from an empty account on."""
    page = (PROJECT / "docs" / "tasks" / "run_on_aws.md").read_text("utf-8")
    section = page.partition("## From an empty account")[2].partition("\n## ")[0]
    return "\n".join(re.findall(r"^ *```text\n(.*?)```", section, re.MULTILINE | re.DOTALL))
