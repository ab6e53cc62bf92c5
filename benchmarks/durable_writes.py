"""What it costs that writes outlive a power cut: `python -m benchmarks.durable_writes [--rounds 5]`, by hand.

`churn retrain sample` and `churn score sample 2025-09` as whole processes, each in a folder of its own, in turn with and without bringing files and
folders to the disk. Beside the ratio, which a busy machine blurs, stand the calls and the seconds that they took by themselves. Writes
benchmarks/results/durable_writes.json and .md.
"""

import argparse
import datetime
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.machine import machine
from benchmarks.measure import RESULTS, ROOT

COMMANDS = {"retrain": ("retrain", "sample"), "score": ("score", "sample", "2025-09")}
_COUNTED = """
import json, sys, time
import resources.durable as durable
sync, calls = durable._sync, []
def counted(handle):
    began = time.perf_counter()
    if {durable}:
        sync(handle)
    calls.append(time.perf_counter() - began)
durable._sync = counted
from churn_assets.cli.app import main
code = main({arguments})
with open({report}, "w") as file:
    json.dump({{"calls": len(calls), "seconds": sum(calls), "code": code}}, file)
"""


@dataclass
class Cost:
    """What one command took, as medians of the rounds."""

    command: str
    rounds: int
    seconds: float  # with durable writes
    without: float
    ratio: float  # of neighbours
    calls: int
    in_calls: float  # seconds of those with


def main() -> int:
    """Measure both commands, print and write the table."""
    parser = argparse.ArgumentParser("python -m benchmarks.durable_writes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="on the disk to be measured (default: the temporary folder)")
    parsed = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=parsed.folder) as made:
        costs = _measure(Path(made), parsed.rounds)
    rows = [
        f"| `churn {' '.join(COMMANDS[each.command])}` | {each.seconds:.2f} | {each.without:.2f} | {each.ratio:.2f} | {each.calls} "
        f"| {each.in_calls:.3f} |\n"
        for each in costs
    ]
    table = "".join(
        ["| command | seconds | without | ratio | syncs | seconds in them |\n|---|---:|---:|---:|---:|---:|\n", *rows]
    )
    print(table)
    about = {
        "machine": machine(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": f"python -m benchmarks.durable_writes --rounds {parsed.rounds}",
        "load": os.getloadavg()[0],
    }
    (RESULTS / "durable_writes.json").write_text(
        json.dumps({**about, "costs": [asdict(each) for each in costs]}, indent=1) + "\n", "utf-8"
    )
    head = (
        "# Durable writes\n\nWhat it costs to bring files and folders to the disk before they are named. Medians of whole processes; the ratio is the "
        f"median over neighbours. {about['date']}, `{about['command']}`, {about['machine']}, load {about['load']:.0f}.\n\n"
    )
    (RESULTS / "durable_writes.md").write_text(head + table, "utf-8")
    return 0


def _measure(folder: Path, rounds: int) -> list[Cost]:
    landed = folder / "landed"
    _run(landed, ("sample",), durable=True)
    retrained = folder / "retrained"
    shutil.copytree(landed, retrained)
    _run(retrained, COMMANDS["retrain"], durable=True)
    costs = []
    for name, before in (("retrain", landed), ("score", retrained)):
        found: dict[bool, list[tuple[float, int, float]]] = {True: [], False: []}
        for number in range(rounds):
            for durable in (True, False) if number % 2 else (False, True):
                home = folder / f"{name}-{number}-{durable}"
                shutil.copytree(before, home)
                found[durable].append(_run(home, COMMANDS[name], durable=durable))
                shutil.rmtree(home)
        seconds = {durable: [each[0] for each in every] for durable, every in found.items()}
        costs.append(
            Cost(
                name,
                rounds,
                statistics.median(seconds[True]),
                statistics.median(seconds[False]),
                statistics.median(a / b for a, b in zip(seconds[True], seconds[False], strict=True)),
                found[True][0][1],
                statistics.median(each[2] for each in found[True]),
            )
        )
    return costs


def _run(home: Path, arguments: tuple[str, ...], *, durable: bool) -> tuple[float, int, float]:
    """Return the seconds of a whole command, its syncs, and the seconds in them."""
    report = home.parent / "report.json"
    code = _COUNTED.format(durable=durable, arguments=list(arguments), report=repr(str(report)))
    environment = {
        **os.environ,
        "CHURN_HOME": str(home),
        "CHURN_DATASETS": str(ROOT / "datasets"),
        "PYTHONPATH": str(ROOT),
    }
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    ended = json.loads(report.read_text("utf-8"))
    if ended["code"]:
        raise RuntimeError(f"churn {' '.join(arguments)} ended with {ended['code']}")
    return seconds, ended["calls"], ended["seconds"]


if __name__ == "__main__":
    sys.exit(main())
