"""One customer asked about over HTTP, beside a server that does nothing and Flask with pandas; 500 customers; one row in the plan.

Compared is the processor time that a server takes per request, client excluded: on a machine of its own, requests a second are its inverse, and a
busy machine changes it little. Requests a second with the client on the same two cores are in the details. Needs Linux.
"""

import http.client
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.load import closed_loop, constant_rate
from benchmarks.measure import ROOT, Bench, Ratio, dataset, median_ratio, medians
from benchmarks.scoring import fitted_bundle
from churn_assets.model_server.customers import example_customer
from churn_model.features.encoding import encode
from churn_model.models.bundle import read_bundle
from churn_model.serving.blocks import read_alike, read_block
from churn_model.serving.media import JSON, parse_media
from churn_model.serving.plan import Plan
from churn_model.serving.protocol import Request, respond
from churn_model.serving.requests import Limits, Records, read_request

_PATHS: Mapping[str, tuple[str, str]] = {
    "noop": ("noop", "/invocations"),
    "plan": ("plan", "/invocations?reasons=none"),
    "plan with reasons": ("plan", "/invocations?reasons=all"),
    "pandas": ("pandas", "/invocations"),
}
_ROWS = 500
_PEAK_SECONDS = 2.0
_SLOW = "pandas"
_BY_OTHERS = (
    ("one customer, by pandas", 8.0, "pandas", "plan"),
    ("one customer with reasons, by pandas", 3.0, "pandas", "plan with reasons"),
    ("one customer, by a no-op", 0.15, "noop", "plan"),
)
"""Ratios of processor time: name, target, and which of `_PATHS` by which."""
_COMPARED = "processor time of the server per request of one customer, JSON, one worker, kept connections"


def serving(bench: Bench, requests: int) -> list[Ratio]:
    """A probability and a decision, and exact reasons with them, by nothing at all and by pandas."""
    bundle = fitted_bundle(bench)
    plan = Plan(read_bundle(bundle, threads=1), dataset())
    record = example_customer(plan)
    return [
        *_by_other_servers(bench, bundle, json.dumps(record).encode(), requests),
        _by_parsing_and_predicting(bench, plan, record),
        *_in_the_plan(bench, plan, record, requests),
    ]


def _by_other_servers(bench: Bench, bundle: Path, body: bytes, requests: int) -> list[Ratio]:
    cpu: dict[str, list[float]] = {name: [] for name in _PATHS}
    rates: dict[str, list[float]] = {name: [] for name in _PATHS}
    late: dict[str, list[float]] = {"noop": [], "plan": []}
    for _ in range(bench.repeats):
        for name, (server, path) in _PATHS.items():
            with _started(server, bundle) as (process, port):
                count = requests // 10 if name == _SLOW else requests
                _ask(port, path, body, count // 10)
                before = _cpu_seconds(process)
                _ask(port, path, body, count)
                cpu[name].append((_cpu_seconds(process) - before) / count * 1e6)
                request = _request(path, body)
                peak = closed_loop(port, request, _PEAK_SECONDS)
                rates[name].append(peak.rate)
                if name in late:
                    half = constant_rate(port, request, peak.rate / 2, _PEAK_SECONDS * 2)
                    late[name].append(half.percentile(0.99) * 1e3)
                    if peak.failed or half.failed:
                        raise RuntimeError(f"{name}: {peak.failed + half.failed} requests were not answered")
    detail = {
        "microseconds of a request": medians(cpu),
        "requests": requests,
        "requests a second, the client on the same cores": medians(rates),
    }
    return [
        *(
            Ratio(
                name=name,
                target=target,
                measured=median_ratio(cpu, one, other),
                compared=f"{_COMPARED}: {one} / {other}",
                detail={**detail, "by requests a second": round(median_ratio(rates, other, one), 3)},
                at_least=True,
            )
            for name, target, one, other in _BY_OTHERS
        ),
        Ratio(
            name="one customer at half load, 99th percentile",
            target=5.0,
            measured=median_ratio(late, "plan", "noop"),
            compared="milliseconds from when a request was due, at half of each server's own peak: plan / noop",
            detail={
                "milliseconds": medians(late),
                "peak, requests a second": {name: medians(rates)[name] for name in late},
            },
        ),
    ]


def _by_parsing_and_predicting(bench: Bench, plan: Plan, record: Mapping[str, str | None]) -> Ratio:
    rows = [_varied(record, random.Random(number)) for number in range(_ROWS)]
    body = json.dumps(rows).encode()
    limits = Limits()

    def answer() -> None:
        response = respond(plan, Request(body=body, query={"reasons": "none"}), limits)
        if response.status != 200 or response.refused:
            raise RuntimeError(f"Expected {_ROWS} answers; found status {response.status}, {response.refused} refused.")

    def parse_and_predict() -> None:
        read = read_request(plan, body, parse_media(JSON), limits)
        if not isinstance(read, Records):
            raise TypeError("a body of JSON is records")
        columns = read_alike(plan, read.records)
        if columns is None:
            raise TypeError("the rows have the same fields")
        block = read_block(plan, columns, _ROWS)
        model = plan.bundle.model
        plan.bundle.calibration.apply(model.probabilities(encode(block.rows, plan.bundle.schema, model.family)))

    found = bench.in_turn(
        {"answer": partial(_cpu_of, answer, 20), "parse and predict": partial(_cpu_of, parse_and_predict, 20)}
    )
    return Ratio(
        name="500 customers, by parsing and predicting",
        target=1.3,
        measured=median_ratio(found, "answer", "parse and predict"),
        compared="processor time of a request of 500 customers, JSON to JSON / the same rows read as landed values, encoded and predicted",
        detail={"milliseconds": {name: round(seconds * 1e3, 2) for name, seconds in _exact(found).items()}},
    )


def _in_the_plan(bench: Bench, plan: Plan, record: Mapping[str, str | None], requests: int) -> list[Ratio]:
    rows = [_varied(record, random.Random(number)) for number in range(requests)]  # more than are remembered

    def answers(reasons: Any) -> Callable[[], None]:
        def run() -> None:
            for row in rows:
                plan.answer(row, reasons=reasons)

        return run

    found = bench.in_turn({name: partial(_cpu_of, answers(name), 1) for name in ("none", "all")})
    return [
        Ratio(
            name=name,
            target=target,
            measured=statistics.median(found[reasons]) / len(rows) * 1e3,
            compared="milliseconds of processor time, values that differ from row to row",
            detail={"customers": len(rows)},
        )
        for name, target, reasons in (
            ("one customer in the plan", 0.2, "none"),
            ("one customer in the plan, with reasons", 0.6, "all"),
        )
    ]


def _varied(record: Mapping[str, str | None], chance: random.Random) -> dict[str, str | None]:
    """The customer with other numbers."""
    found = dict(record)
    for name, value in record.items():
        if value is not None and value.replace(".", "", 1).isdigit():
            found[name] = str(round(float(value) * chance.uniform(0.5, 1.5), 2))
    return found


def _cpu_of(run: Callable[[], None], times: int) -> float:
    run()
    before = time.process_time()
    for _ in range(times):
        run()
    return (time.process_time() - before) / times


def _exact(found: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def _request(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@contextmanager
def _started(server: str, bundle: Path) -> Iterator[tuple[int, int]]:
    """Start a server and yield its process and port once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.servers", server, str(bundle), str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.1)
        yield process.pid, port
    finally:
        process.terminate()
        process.wait()


def _ask(port: int, path: str, body: bytes, times: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for _ in range(times):
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200 or not content:
            raise RuntimeError(f"Expected an answer; found status {answer.status}: {content[:200]!r}")
    connection.close()


def _cpu_seconds(process: int) -> float:
    """Return the processor time of a process and of its children, which the scheduler counts in nanoseconds."""
    pids = [process, *map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split())]
    tasks = [task for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()]
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
