"""`churn` with one call to AWS that fails: `python -m tests.aws.faulty_worker PLAN ARGUMENT...`.

PLAN is a JSON file with the operation, the way and the number of the call; with `phased`, operations are named by what the run was at. The calls
that were made are written beside it, and that one has failed, if it did.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from churn_assets.cli.app import main as churn
from resources.aws import queries, session
from tests.aws.faults import Faults, Phases


def main(plan: Path, *arguments: str) -> int:
    """Run a command, and return its exit code."""
    return run_with_fault(plan, partial(churn, arguments))


def run_with_fault(plan: Path, run: Callable[[], int]) -> int:
    """Run something in this process, and return its exit code."""

    def write() -> None:
        plan.with_suffix(".seen").write_text(json.dumps(faults.seen))
        if faults.operation and not faults.way:
            plan.with_suffix(".failed").touch()

    def kill() -> None:
        write()
        os.kill(os.getpid(), signal.SIGKILL)

    wanted = json.loads(plan.read_text())
    is_phased = wanted.pop("phased", False)
    faults = Faults(kill=kill, **wanted)
    if is_phased:
        faults.name = Phases()
    open_session = session.open_session

    def open_faulty(region: str) -> Any:
        made = open_session(region)
        made.events.register_first("before-send", faults)
        return made

    modules: tuple[Any, ...] = (session, queries)  # which both use it
    for module in modules:
        module.open_session = open_faulty
    try:
        return run()
    finally:
        write()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
