"""How a step's process ends."""

from pathlib import Path

import pytest

from churn_model.errors import InputError
from churn_model.reports.step_report import Report
from churn_model.steps.contract import Layout, run_step


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InputError("Expected rows; found none. Land some."), 2, "Expected rows; found none. Land some."),
        (OSError(28, "No space left", "/x"), 1, "OSError: [Errno 28] No space left: '/x'"),
    ],
)
def test_a_step_that_fails_leaves_its_message(
    error: Exception, code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(layout: Layout) -> Report:
        raise error

    monkeypatch.setenv("CHURN_ROOT", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        run_step("score", step)
    assert ended.value.code == code
    assert (tmp_path / "output" / "failure").read_text() == message
