"""An account, shown: deploy a stack, retrain and score the sample, print each assumption with what was found, tear down, list what is left.

`make test-aws STACK=smoke` runs it. It is skipped without an account.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field

from resources.aws.assumptions import ASSUMPTIONS, Assumption
from resources.aws.session import AwsSession, aws_errors
from resources.errors import CommandError
from resources.settings import PROJECT, read_settings

_EXPORT = re.compile(r"^export (CHURN_TARGET=aws .*)$", re.MULTILINE)
_COMMANDS = (
    ("doctor",),
    ("sample",),
    ("retrain", "sample"),
    ("plan", "sample"),
    ("score", "sample", "2025-09"),
)


@dataclass
class Shell:
    """Runs `churn` with the settings of a stack, shows what it prints, and remembers how each command ended."""

    settings: dict[str, str]
    codes: dict[str, int] = field(default_factory=dict)

    def churn(self, *arguments: str) -> str:
        print(f"$ churn {' '.join(arguments)}", flush=True)
        done = subprocess.run(
            [sys.executable, "-P", "-m", "churn_assets.cli", *arguments],
            cwd=PROJECT,
            env=os.environ | self.settings | {"PYTHONPATH": str(PROJECT)},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        print(done.stdout, flush=True)
        self.codes[f"churn {' '.join(arguments)}"] = done.returncode
        return done.stdout


def main(stack: str, *parameters: str) -> int:
    """Show a stack of this name, deployed with more `parameters`, and return 0 if every command succeeded, or if there is no account."""
    if not stack:
        print("Expected a name for the stack that is made and torn down; found none. Run `make test-aws STACK=smoke`.")
        return 2
    if reason := without_account():
        print(f"SKIPPED: {reason}")
        return 0
    with tempfile.TemporaryDirectory() as home:
        shell = Shell({"CHURN_HOME": home, "CHURN_TARGET": ""})
        bucket = ""
        try:
            if found := _EXPORT.search(shell.churn("deploy", stack, "--yes", *parameters)):
                shell.settings |= dict(each.split("=", 1) for each in found[1].split())
                bucket = shell.settings["CHURN_LAKE"].removeprefix("s3://").partition("/")[0]
                for command in _COMMANDS:
                    shell.churn(*command)
        finally:
            shell.settings["CHURN_TARGET"] = ""
            shell.churn("destroy", stack, *(["--bucket", bucket] if bucket else []), "--yes")
    print("\n".join(report(ASSUMPTIONS, shell.codes)))
    return int(any(shell.codes.values()))


def without_account() -> str:
    """Return why there is no account to be shown, "" if there is one."""
    try:
        with aws_errors(CommandError, "an account of AWS"):
            AwsSession(region=read_settings({**os.environ, "CHURN_TARGET": ""}).aws_region).client(
                "sts"
            ).get_caller_identity()
    except CommandError as error:
        return str(error)
    return ""


def report(assumptions: Sequence[Assumption], codes: dict[str, int]) -> list[str]:
    """Return a line for each assumption, with what was found."""
    lines = []
    for each in assumptions:
        ended = [code for command, code in codes.items() if each.shown_by and command.startswith(each.shown_by)]
        if not each.shown_by:
            found = "not looked at: a person has to"
        elif not ended:
            found = f"not looked at: `{each.shown_by}` did not run"
        else:
            found = "holds" if not any(ended) else f"`{each.shown_by}` failed; if this is why: {each.otherwise}"
        lines.append(f"- {each.claim}: {found}")
    return lines


if __name__ == "__main__":
    sys.exit(main(*(sys.argv[1:] or [""])))
