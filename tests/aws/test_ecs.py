"""The stand-in for ECS: which processes it ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.aws.ecs import Tasks


def test_a_task_that_has_ended_is_not_killed_by_a_number_that_may_be_anothers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[int] = []
    monkeypatch.setattr("tests.aws.ecs.os.killpg", lambda number, _signal: killed.append(number))
    tasks, ended = Tasks(tmp_path), subprocess.Popen([sys.executable, "-c", ""], start_new_session=True)
    ended.wait()
    tasks._processes["a task"] = ended
    tasks._kill_late(ended)
    tasks.end_all()
    assert killed == []
