"""A server at half of its peak for a while: what becomes of its memory and its open files. `python -m benchmarks.steady [--minutes 10]`, by hand.

Writes benchmarks/results/steady.md. Needs Linux.
"""

import argparse
import datetime
import os
import statistics
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import Load, closed_loop, constant_rate
from benchmarks.machine import machine
from benchmarks.measure import RESULTS, ROOT
from tests.harness.home import Home
from tests.harness.homes import training_rows
from tests.harness.server import Server, served

_PEAK_SECONDS = 3.0
_WORKERS = 2


@dataclass(frozen=True)
class Steady:
    """What was seen. Memory is that of all workers, in MiB, one figure a second; files are those open in all of them."""

    rate: float
    asked: int
    failed: int
    late: float
    memory: list[float]
    files: list[int]

    def memory_after(self, share: float) -> float:
        """Return the median memory of the tenth of the time that begins after this share of it."""
        begin = int(share * len(self.memory))
        return statistics.median(self.memory[begin : begin + max(1, len(self.memory) // 10)])

    @property
    def growth(self) -> float:
        """The memory at the end, by that after the first tenth."""
        return self.memory_after(0.9) / self.memory_after(0.1)


def run_steadily(server: Server, seconds: float) -> Steady:
    """Ask a server about the most usual customer at half of its peak."""
    body = server.read("/page-data/example") or b""
    head = f"POST /invocations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    request = head.encode() + body
    rate = closed_loop(server.port, request, _PEAK_SECONDS).rate / 2
    loads: list[Load] = []
    asking = threading.Thread(target=lambda: loads.append(constant_rate(server.port, request, rate, seconds)))
    asking.start()
    memory: list[float] = []
    files: list[int] = []
    while asking.is_alive():
        workers = server.workers()
        memory.append(sum(map(_resident_mib, workers)))
        files.append(sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in workers))
        time.sleep(1)
    (load,) = loads
    return Steady(rate, len(load.seconds), load.failed, load.percentile(0.99) * 1e3, memory[:-1], files[:-1])


def _resident_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.steady", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    minutes = parser.parse_args().minutes
    with tempfile.TemporaryDirectory(prefix="steady-") as folder:
        home = Home(Path(folder), ROOT)
        home.describe()
        home.steps_with()
        home.land(training_rows(4_000), "customers.csv")
        home.require(0, "retrain", "shop")
        with served(home, "--workers", str(_WORKERS)) as server:
            found = run_steadily(server, minutes * 60)
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    lines = [
        "# A server at half of its peak",
        "",
        f"`python -m benchmarks.steady --minutes {minutes:g}`, {datetime.datetime.now(datetime.UTC).date()}, {machine()}; load at the end {load}, "
        "the generator of the requests included.",
        "",
        "| | |",
        "|---|---|",
        f"| requests | {found.asked:,} at {found.rate:,.0f} a second, {_WORKERS} workers |",
        f"| without an answer, or with another status than 200 | {found.failed} |",
        f"| 99th percentile, from when a request was due | {found.late:.1f} ms |",
        f"| memory of the workers after a tenth of the time | {found.memory_after(0.1):.1f} MiB |",
        f"| at the end | {found.memory_after(0.9):.1f} MiB, {found.growth - 1:+.1%} |",
        f"| open files, least and most | {min(found.files)}, {max(found.files)} |",
    ]
    (RESULTS / "steady.md").write_text("\n".join(lines) + "\n", "utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
