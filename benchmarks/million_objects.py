"""A sensor's sweep over a million landed objects, 10,000 of them new: `python -m benchmarks.million_objects [--objects N] [--new N]`, by hand.

The sensor runs in this process with the adapters of AWS, over a bucket that another process computes and a queue that a third one keeps. Half of
the new objects land while it sweeps. Once the listing alone tells what is new; once S3's events do as well, of which a tenth is lost and a tenth
comes twice, in no order. Writes benchmarks/results/million_objects.json and .md.
"""

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from unittest.mock import patch

import dagster as dg

from benchmarks.machine import machine
from benchmarks.measure import RESULTS
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.label import Label
from jobs.sensors import SECONDS_A_TICK
from resources.aws.lake import S3Lake
from resources.aws.session import AwsSession, forget_clients
from resources.local.run_locks import LocalRunLocks
from tests.aws.large_bucket import DATASET, NAME
from tests.aws.sweeps import Sweeper, new_batches, send_events

QUEUE = "landed"
MOST_MEGABYTES = 60
_WARMING_TICKS = 3
_SETTINGS = {
    "AWS_REGION": "eu-west-1",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "stand-in",
    "AWS_SECRET_ACCESS_KEY": "stand-in",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}


@dataclass
class Figures:
    """What it took until every new batch was asked for.

    warm_mb, growth_mb   memory of the process after its first ticks, and how much more it had at its peak later
    """

    what: str
    ticks: int
    sweeps: int
    slowest_seconds: float
    most_requests: int
    warm_mb: float
    growth_mb: float
    lost: int
    twice: int


def main() -> int:
    """Measure, print and write the table. Return 1 if a figure is not what was promised."""
    parser = argparse.ArgumentParser("python -m benchmarks.million_objects", description=__doc__)
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--new", type=int, default=10_000)
    parser.add_argument("--events", choices=("yes", "no"), help="measure one of the two, and print it alone")
    parsed = parser.parse_args()
    if parsed.events:
        print(json.dumps(asdict(_measure(parsed.objects, parsed.new, QUEUE if parsed.events == "yes" else ""))))
        return 0
    figures = []
    for events in ("no", "yes"):  # each in a process that is warm from nothing else
        options = ["--objects", str(parsed.objects), "--new", str(parsed.new), "--events", events]
        command = [sys.executable, "-m", "benchmarks.million_objects", *options]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        figures.append(Figures(**json.loads(done.stdout.splitlines()[-1])))
    _write(figures, parsed.objects, parsed.new)
    kept = [
        each.growth_mb <= MOST_MEGABYTES
        and each.slowest_seconds <= SECONDS_A_TICK + 5
        and not each.lost
        and not each.twice
        for each in figures
    ]
    return int(not all(kept))


def _measure(objects: int, new: int, queue: str) -> Figures:
    with (
        _serving("tests.aws.large_bucket", str(objects - new), str(new)) as bucket,
        _serving("tests.aws.landed_queue") as services,
        patch.dict(os.environ, {**_SETTINGS, "AWS_ENDPOINT_URL_S3": bucket, "AWS_ENDPOINT_URL_SQS": services}),
        tempfile.TemporaryDirectory() as folder,
        dg.DagsterInstance.local_temp(folder) as instance,
    ):
        forget_clients()
        dataset = Dataset(name=DATASET, id="customer", label=Label(column="left", positive=("yes",), means="cancelled"))
        dataset = replace(dataset, watch=replace(dataset.watch, events=queue or None))
        lake = S3Lake(session=AwsSession(), bucket=NAME)
        sweeper = Sweeper(lake, dataset, instance, LocalRunLocks(folder=f"{folder}/locks"))
        if queue:
            send_events(lake, queue, new)
        return _sweep(sweeper, new_batches(new), "with events" if queue else "the listing alone")


def _sweep(sweeper: Sweeper, wanted: set[str], what: str) -> Figures:
    """Sweep until all is asked for, and once more over everything."""
    requests = [sweeper.tick() for _ in range(_WARMING_TICKS)]
    warm = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM, the peak, begins anew
    half = len(wanted) // 2
    requests += sweeper.ticks_until(lambda: len(sweeper.asked) >= half // 2)
    sweeper.show_the_rest()
    requests += sweeper.ticks_until(lambda: set(sweeper.asked) >= wanted)
    needed, sweeps = len(requests), sweeper.sweeps + 1
    requests += sweeper.ticks_until(lambda: sweeper.sweeps > sweeps)
    return Figures(
        what=what,
        ticks=needed,
        sweeps=sweeps,
        slowest_seconds=round(sweeper.slowest, 1),
        most_requests=max(requests),
        warm_mb=round(warm),
        growth_mb=round(_memory("VmHWM") - warm, 1),
        lost=len(wanted - set(sweeper.asked)),
        twice=sum(count > 1 for count in sweeper.asked.values()),
    )


def _memory(name: str) -> float:
    """Return a figure of this process's memory in MB."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 / 1e6 if found else 0.0


@contextmanager
def _serving(*module: str) -> Iterator[str]:
    """Run a server in a process of its own, and yield the address that it prints."""
    with subprocess.Popen(
        [sys.executable, "-m", *module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def _write(figures: list[Figures], objects: int, new: int) -> None:
    """Write the table, and the figures for programs."""
    about = {
        "machine": machine(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "objects": objects,
        "new": new,
        "load": round(os.getloadavg()[0]),
    }
    (RESULTS / "million_objects.json").write_text(
        json.dumps({**about, "figures": [asdict(each) for each in figures]}, indent=1) + "\n", "utf-8"
    )
    heads = (
        "",
        "ticks",
        "sweeps",
        "slowest tick, s",
        "most requests a tick",
        "warm, MB",
        "growth, MB",
        "lost",
        "twice",
    )
    rows = [heads, ("---", *["---:"] * (len(heads) - 1)), *(tuple(asdict(each).values()) for each in figures)]
    batches = len(new_batches(new))
    text = "\n".join(
        [
            f"# A sensor's sweep over {objects:,} objects, {new:,} of them new",
            "",
            f"The new ones are {batches:,} batches between old ones, and half of them land while the sensor sweeps. A tick reads at most 50,000",
            f"objects, asks for at most 20 runs and takes {SECONDS_A_TICK} s. *Ticks* and *sweeps*: until every new batch was asked for. *Growth*: of a warm",
            "process at its peak, one whole sweep after that included. *With events*: a tenth of them lost, a tenth doubled, in no order.",
            "",
            *(f"| {' | '.join(f'{each:,}' if isinstance(each, int) else str(each) for each in row)} |" for row in rows),
            "",
            f"Run: {about['date']}, `python -m benchmarks.million_objects`, {about['machine']}, load {about['load']}",
        ]
    )
    print(text)
    (RESULTS / "million_objects.md").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
