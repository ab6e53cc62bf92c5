"""Runs `churn`, or one step, in a process that kills itself or waits at one named call: how a killed run looks to the next one.

Started by path, never imported: `driver.py '<plan as JSON>' retrain shop`, and as a step's interpreter `driver.py '<plan>' -m churn_model.steps <name>`.
The code under test knows nothing of it. A plan: `call` (`module:Class.method` or `module:function`), `match` (a pattern that the call's
arguments hold), `moment` (before or after), `mark` (a file that says it was reached; a plan whose mark is there does nothing any more),
`then` (kill, wait, or kill each time, without a mark), `step` (only in that step), `set` (values to put in place of a module's own, such as a patience),
`clock` (seconds by which its clock is ahead), `until` (a moment at which it stands still).
"""

import datetime
import importlib
import json
import os
import re
import runpy
import signal
import sys
import time
from pathlib import Path
from typing import Any

_DATING = (
    "resources.catalog.pointers",
    "churn_assets.assets.retention_list",
    "churn_assets.assets._batch_page",
    "churn_assets.assets.champion_model",
    "churn_assets.cli.summaries.score",
)
_LONGEST_WAIT_SECONDS = 300  # a process that waits is ended by its test; this is for a test that died itself


def _arm(plan: dict[str, Any]) -> None:
    module, _, path = plan["call"].partition(":")
    owner: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    original = getattr(owner, name)
    armed = True

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal armed
        call = " ".join(str(each)[:2000] for each in (*(args[1:] if outer else args), *kwargs.values()))
        met = re.search(plan.get("match", ""), call) is not None
        stops, armed = met and armed, armed and not met
        if stops and plan["moment"] == "before":
            _stop(plan)
        result = original(*args, **kwargs)
        if stops and plan["moment"] == "after":
            _stop(plan)
        return result

    setattr(owner, name, wrapped)


def _stop(plan: dict[str, Any]) -> None:
    mark = Path(plan["mark"])
    if plan["then"] == "kill each time":
        os.kill(os.getpid(), signal.SIGKILL)
    mark.with_suffix(".new").write_text(str(os.getpid()))
    mark.with_suffix(".new").replace(mark)
    if plan["then"] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    end = time.monotonic() + _LONGEST_WAIT_SECONDS
    while not mark.with_suffix(".go").exists():
        if time.monotonic() > end:
            os._exit(1)
        time.sleep(0.05)


class _MovedTime(datetime.datetime):
    """`datetime` of code whose clock differs from the machine's."""

    ahead = datetime.timedelta()
    until = datetime.datetime.max.replace(tzinfo=datetime.UTC)

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return min(datetime.datetime.now(datetime.UTC) + cls.ahead, cls.until).astimezone(tz)


def _move_clock(seconds: float, until: str = "") -> None:
    """Let the code that dates results see another time, which stands still at `until`. Dagster and the file system keep theirs."""
    _MovedTime.ahead = datetime.timedelta(seconds=seconds)
    if until:
        _MovedTime.until = datetime.datetime.fromisoformat(until)
    for name in _DATING:
        vars(importlib.import_module(name))["datetime"] = _MovedTime


def main(plan: dict[str, Any], arguments: list[str]) -> None:
    # A shell that starts tests in the background lets them ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if "clock" in plan or "until" in plan:
        _move_clock(plan.get("clock", 0), plan.get("until", ""))
    for name, value in plan.get("set", {}).items():
        module, _, attribute = name.partition(":")
        setattr(importlib.import_module(module), attribute, value)
    is_step = arguments[0] == "-m"
    concerned = plan.get("step", "") == (arguments[2] if is_step else "")
    if "call" in plan and concerned and not Path(plan["mark"]).exists():
        _arm(plan)
    if is_step:
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.exit(importlib.import_module("churn_assets.cli.app").main(arguments))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2:])
