"""Which processes work at runs, and which of those are gone: a killed run must never keep the next one waiting."""

import os
from pathlib import Path

import dagster as dg

PROCESS_TAG = "churn/process"
_UNFINISHED = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def this_process() -> str:
    """A text that names this process and no later one with the same number."""
    return f"{os.getpid()}-{_born(os.getpid())}"


def is_gone(process: str) -> bool:
    """Whether the process that `this_process` named has ended."""
    number, _, born = process.partition("-")
    return not number.isdigit() or born == "ended" or _born(int(number)) != born


def fail_abandoned_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark started runs whose process is gone as failed, and return their ids."""
    gone = [
        run for run in instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED)) if PROCESS_TAG in run.tags and is_gone(run.tags[PROCESS_TAG])
    ]
    for run in gone:
        instance.report_run_failed(run, "Its process is gone: it was killed, or the machine was. Run it again: what it published is found.")
    return [run.run_id for run in gone]


def _born(number: int) -> str:
    """When a process began: the system's ticks on Linux; elsewhere only whether it lives. A process that only waits to be reaped has ended."""
    stat = Path(f"/proc/{number}/stat")
    try:
        # The command's name may hold blanks and parentheses; the fields are counted behind its last one.
        fields = stat.read_text().rpartition(")")[2].split()
    except OSError:
        if Path("/proc/self/stat").exists():
            return "ended"
    else:
        return "ended" if fields[0] in "ZX" else fields[19]
    try:
        os.kill(number, 0)
    except OSError:
        return "ended"
    return "alive"
