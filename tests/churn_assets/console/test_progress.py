"""What a terminal shows of a run that nobody else talks about."""

import dagster as dg
import pytest

from churn_assets.console.progress import progress_logger
from jobs.run_config import IN_PLAIN_LINES


@dg.asset(key=["shop", "raw_customers"])
def fine() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"rows": 1200, "reused": True})


@dg.asset(key=["shop", "tuned_model"])
def broken() -> None:
    raise dg.Failure("Expected 3 columns; found [2]. Land them")


@dg.asset(key=["shop", "odd"])
def odd() -> None:
    raise ZeroDivisionError("by nobody")


def lines(capsys: pytest.CaptureFixture[str], *assets: dg.AssetsDefinition) -> str:
    job = dg.define_asset_job("shop_retrain", selection=dg.AssetSelection.assets(*assets), config=IN_PLAIN_LINES)
    definitions = dg.Definitions(assets=[*assets], jobs=[job], loggers={"progress": progress_logger})
    definitions.resolve_job_def("shop_retrain").execute_in_process(raise_on_error=False)
    shown = capsys.readouterr()
    return shown.out + shown.err


def test_a_run_of_the_daemon_is_told_in_plain_lines_with_the_reason_and_no_stack(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = lines(capsys, fine, broken)
    assert "Running shop_retrain ..." in told
    assert "raw_customers         unchanged" in told
    assert "1,200 rows" in told
    assert "tuned_model           failed" in told
    assert "    Expected 3 columns; found [2]. Land them" in told
    assert "Stack Trace" not in told
    assert "STEP_START" not in told


def test_an_error_that_nobody_expected_keeps_its_stack(capsys: pytest.CaptureFixture[str]) -> None:
    told = lines(capsys, odd)
    assert "Unexpected error" in told
    assert "ZeroDivisionError: by nobody" in told
    assert "test_progress.py" in told
