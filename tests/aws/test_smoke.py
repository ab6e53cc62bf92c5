"""`make test-aws` without an account, and what it says of each assumption."""

import re
from pathlib import Path

import pytest

from resources.aws.assumptions import ASSUMPTIONS
from resources.aws.session import forget_clients
from resources.settings import PROJECT
from tests.aws.smoke import main, report


def test_without_an_account_it_is_skipped_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    forget_clients()
    assert main("smoke") == 0
    forget_clients()
    assert capsys.readouterr().out.startswith("SKIPPED: Expected an account of AWS; found Unable to locate credentials")


def test_a_name_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("") == 2
    assert "STACK=smoke" in capsys.readouterr().out


def test_each_assumption_is_printed_with_what_was_found() -> None:
    codes = {"churn deploy smoke": 0, "churn doctor": 0, "churn retrain sample": 1}
    lines = report(ASSUMPTIONS, codes)
    assert len(lines) == len(ASSUMPTIONS)
    found = dict(zip((each.shown_by for each in ASSUMPTIONS), lines, strict=True))
    assert found["churn doctor"].endswith(": holds")
    assert "`churn retrain sample` failed; if this is why: " in found["churn retrain sample"]
    assert found["churn score sample 2025-09"].endswith("did not run")
    assert found[""].endswith("a person has to")


def test_the_docs_list_the_assumptions_of_the_code() -> None:
    section = (
        (PROJECT / "docs" / "tasks" / "run_on_aws.md")
        .read_text("utf-8")
        .partition("## What an account has yet to show")[2]
    )
    rows = re.findall(r"^\| (.+) \| (.+) \|$", section, re.MULTILINE)[1:]
    assert rows == [(each.claim, each.otherwise) for each in ASSUMPTIONS]
