"""How the command line begins and ends."""

import subprocess
import sys

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
