"""Runs `churn` in a process of its own that ends, or waits, at one named call: what a killed run looks like to the next one.

Started by path, never imported: `python driver.py '<plan as JSON>' retrain shop`. The code under test knows nothing of it.
"""

import importlib
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def _arm(plan: dict[str, Any]) -> None:
    """Wrap the call that the plan names, `module:Class.method` or `module:function`."""
    module, _, path = plan["call"].partition(":")
    owner: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    original: Callable[..., Any] = getattr(owner, name)
    left = plan.get("nth", 1)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        said = " ".join(str(argument)[:2000] for argument in (*args, *kwargs.values()))
        if re.search(plan.get("match", ""), said):
            left -= 1
            if left == 0:
                if plan["moment"] == "before":
                    _reached(plan)
                result = original(*args, **kwargs)
                if plan["moment"] == "after":
                    _reached(plan)
                return result
        return original(*args, **kwargs)

    setattr(owner, name, wrapped)


def _reached(plan: dict[str, Any]) -> None:
    Path(plan["mark"]).touch()
    if plan.get("then") == "wait":
        while not Path(plan["mark"] + ".go").exists():
            time.sleep(0.05)
    else:
        os.kill(os.getpid(), signal.SIGKILL)


def _set(values: dict[str, Any]) -> None:
    for name, value in values.items():
        module, _, attribute = name.partition(":")
        setattr(importlib.import_module(module), attribute, value)


if __name__ == "__main__":
    wanted = json.loads(sys.argv[1])
    _set(wanted.get("set", {}))
    if "call" in wanted:
        _arm(wanted)
    from churn_assets import cli

    sys.exit(cli.main(sys.argv[2:]))
