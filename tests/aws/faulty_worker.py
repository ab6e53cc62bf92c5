"""`churn` with one call to AWS that fails: `python -m tests.aws.faulty_worker PLAN ARGUMENT...`.

PLAN is a JSON file with the operation, the way and the number of the call. The calls that were made are written beside it, and what failed, if it did.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from churn_assets.cli.app import main as churn
from resources.aws import session
from tests.aws.faults import Faults


def main(plan: Path, *arguments: str) -> int:
    """Run a command, and return its exit code."""

    def write() -> None:
        plan.with_suffix(".seen").write_text(json.dumps(faults.seen))
        if faults.operation and not faults.way:
            plan.with_suffix(".failed").touch()

    def kill() -> None:
        write()
        os.kill(os.getpid(), signal.SIGKILL)

    faults = Faults(**json.loads(plan.read_text()), kill=kill)
    open_session = session.open_session

    def open_faulty(region: str) -> Any:
        made = open_session(region)
        made.events.register_first("before-send", faults)
        return made

    session.open_session = open_faulty
    try:
        return churn(arguments)
    finally:
        write()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
