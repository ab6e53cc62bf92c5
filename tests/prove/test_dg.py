"""Dagster's own command line knows the project by `[tool.dg]`."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.harness.home import Home

pytestmark = pytest.mark.prove


def test_dg_checks_lists_and_launches(retrained_home: "Home", copied: Callable[["Home"], "Home"]) -> None:
    home = copied(retrained_home)

    def dg(*arguments: str) -> str:
        command = [str(Path(sys.executable).with_name("dg")), *arguments]
        ended = subprocess.run(
            command, env=home.environment, cwd=home.code, capture_output=True, text=True, check=False, timeout=900
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr

    assert "All definitions loaded successfully." in dg("check", "defs")
    assert '"shop/retention_list"' in dg("list", "defs", "--json")
    runs = len(home.runs())
    dg("launch", "--job", "shop_compare")
    assert [run.is_success for run in home.runs()[runs:]] == [True]
