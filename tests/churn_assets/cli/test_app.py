"""How the command line begins and ends."""

import subprocess
import sys

import pytest

from churn_assets.cli.app import main

_SAYS_AND_ENDS = """
import atexit
from churn_assets.cli.app import end_process
atexit.register(print, "on Python's own way out")
print("all that was said", end="")
end_process(3)
"""


def test_a_command_ends_with_its_words_and_its_code_and_not_on_pythons_way_out() -> None:
    ended = subprocess.run([sys.executable, "-c", _SAYS_AND_ENDS], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "all that was said", "")


def test_help_waits_for_no_library_that_it_does_not_need() -> None:
    imports = "import sys, churn_assets.cli.app; print(*{'dagster', 'pyarrow', 'xgboost', 'boto3'} & set(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", imports], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == []


def test_an_argument_that_a_command_does_not_take_is_answered_with_its_own_usage(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["status", "sample"])
    assert capsys.readouterr().err == "usage: churn status [-h]\nchurn status: error: unrecognized arguments: sample\n"
