"""The real `churn serve`: swaps, a worker that is killed, a supervisor that is killed, and the page in a browser."""

import asyncio
import json
import logging
import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from benchmarks.steady import run_steadily
from churn_assets.model_server.champion import read_model
from churn_assets.model_server.customers import example_customer
from churn_model.serving.plan import Plan
from resources.catalog.names import champion_key
from resources.catalog.pointers import read_pointer
from resources.settings import PROJECT
from resources.specs.loader import load_spec
from tests.harness.home import Home
from tests.harness.homes import Homes
from tests.harness.machine import is_alive, waited
from tests.harness.server import served

pytestmark = pytest.mark.prove

LOG = logging.getLogger("proof")
CONNECTIONS = 200
REQUESTS = 50_000
STEADY_SECONDS = 600.0
Expected = dict[str, list[float]]
"""What each model says of each of the customers."""


@dataclass
class Asked:
    """What came of requests: how many answers of each model, what was wrong with answers, and the client ports of connections that were reset."""

    versions: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    reset: list[int] = field(default_factory=list)

    @property
    def count(self) -> int:
        return self.versions.total()

    def has(self, count: int) -> bool:
        return self.count >= count


def to_request(customer: dict[str, Any], number: int) -> bytes:
    body = json.dumps(customer | {"customer_id": f"C{number}"}).encode()
    head = f"POST /invocations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, Any]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(re.findall(rb"(?i)content-length: ([0-9]+)", head)[0])
    return int(head.split(b" ", 2)[1]), json.loads(await reader.readexactly(length))


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a connection for good: left to the garbage collector, it would be a warning in whatever test runs then."""
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def keep_asking(
    port: int, customers: list[dict[str, Any]], expected: Expected, asked: Asked, left: Iterator[int]
) -> None:
    """Ask on one connection, and on another if it is reset, until no number is left."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in left:
        kind = number % len(customers)
        own = writer.get_extra_info("sockname")[1]
        try:
            writer.write(to_request(customers[kind], number))
            status, answer = await read_answer(reader)
        except (OSError, asyncio.IncompleteReadError):
            asked.reset.append(own)
            await close(writer)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            continue
        version = answer.get("model_version", "none")
        asked.versions[version] += 1
        is_right = (
            status == 200 and answer["id"] == f"C{number}" and answer["churn_probability"] == expected[version][kind]
        )
        if not is_right:
            asked.wrong.append(f"{number}: {status} {answer}")
    await close(writer)


async def ask_all(port: int, customers: list[dict[str, Any]], expected: Expected, asked: Asked, count: int) -> None:
    numbers = iter(range(count))
    await asyncio.gather(*(keep_asking(port, customers, expected, asked, numbers) for _ in range(CONNECTIONS)))


def customers_and_answers(
    home: Home, first: bytes | None, second: bytes | None
) -> tuple[list[dict[str, Any]], Expected]:
    """Return 50 customers, and what the models that two pointers name say of each of them."""
    spec = load_spec(home.root / "datasets" / "shop.yaml")
    plans = [Plan(read_model(home.lake, require_prefix(each), threads=1), spec) for each in (first, second)]
    # The second model reads more columns; the first leaves them out.
    customers = [dict(example_customer(plans[1])) | {"day_charge": f"{20 + n}.5"} for n in range(50)]
    expected = {plan.version: [plan.answer(each).churn_probability for each in customers] for plan in plans}
    assert len(expected) == 2
    assert expected[plans[0].version] != expected[plans[1].version]
    return customers, expected


def test_swaps_and_a_killed_worker_give_no_wrong_answer(homes: Homes, copied: Callable[[Home], Home]) -> None:
    """50,000 requests on 200 connections. The champion is swapped twice, and twice again with a worker killed in between."""
    home = copied(homes.twice_retrained)
    key = champion_key("shop")
    second = read_pointer(home.lake, key)
    home.require(0, "rollback", "shop")
    first = read_pointer(home.lake, key)
    customers, expected = customers_and_answers(home, first, second)
    with served(home, "--workers", "2") as server, ThreadPoolExecutor(1) as pool:

        def ask_through_two_swaps(between: Callable[[], None]) -> Asked:
            asked = Asked()
            done = pool.submit(asyncio.run, ask_all(server.port, customers, expected, asked, REQUESTS // 2))
            for old, new, share in ((first, second, 0.25), (second, first, 0.6)):
                waited("answers", partial(asked.has, int(share * REQUESTS / 2)))
                home.lake.swap(key, old, new or b"")
                between()
            done.result()
            assert asked.wrong == []
            assert set(asked.versions) == set(expected)
            return asked

        held: list[set[int]] = []

        def kill() -> None:
            if not held:
                victim = max(server.workers(), key=lambda pid: len(server.clients_of(pid)))
                held.append(server.clients_of(victim))
                os.kill(victim, signal.SIGKILL)

        calm = ask_through_two_swaps(lambda: None)
        assert calm.reset == []
        harmed = ask_through_two_swaps(kill)
        lost = len(harmed.reset)
        assert set(harmed.reset) <= held[0]  # one request each, of the killed worker's connections
        assert lost == len(set(harmed.reset))
        assert harmed.count + lost == REQUESTS // 2
        LOG.info("%d of the %d connections of the killed worker had a request in flight", lost, len(held[0]))

        waited("another worker", lambda: len(server.workers()) == 2)
        counted = (server.read("/metrics") or b"").decode()
        answered = int(float(re.findall(r'churn_requests_total\{status="200"\} (\S+)', counted)[0]))
        assert calm.count + harmed.count <= answered <= calm.count + harmed.count + lost
        server.process.terminate()
        assert server.process.wait(300) == 0
    assert "Traceback" not in server.output.read_text()


def require_prefix(pointer: bytes | None) -> str:
    return str(json.loads(pointer or b"{}")["prefix"])


def test_memory_and_open_files_are_flat_at_half_of_the_peak(
    retrained_home: Home, copied: Callable[[Home], Home]
) -> None:
    """`make soak` does so for an hour."""
    with served(copied(retrained_home), "--workers", "2") as server:
        found = run_steadily(server, STEADY_SECONDS)
    assert found.failed == 0
    assert found.growth < 1.05
    assert max(found.files[-10:]) <= max(found.files[:10])


def test_one_command_after_the_demo_is_an_answered_request(
    retrained_home: Home, copied: Callable[[Home], Home]
) -> None:
    home, champion = copied(retrained_home), retrained_home.champion
    assert champion is not None
    began = time.monotonic()
    # The libraries stay as they are: these tests run in the same environment.
    command = ["make", "--silent", "--assume-old=.venv/.base", "ask", "DATASET=shop"]
    ended = subprocess.run(
        command, cwd=PROJECT, env=home.environment, check=False, capture_output=True, text=True, timeout=900
    )
    LOG.info("make ask took %.1f s", time.monotonic() - began)
    assert ended.returncode == 0, ended.stderr
    plan = Plan(read_model(home.lake, champion.prefix, threads=1), load_spec(home.root / "datasets" / "shop.yaml"))
    answer = json.loads(ended.stdout)
    assert answer["churn_probability"] == plan.answer(example_customer(plan)).churn_probability
    assert answer["model_version"] == champion.version
    assert home.processes() == []


def test_workers_end_with_a_supervisor_that_is_killed(retrained_home: Home, copied: Callable[[Home], Home]) -> None:
    with served(copied(retrained_home), "--workers", "2") as server:
        workers = waited("two workers", lambda: found if len(found := server.workers()) == 2 else None)
        server.process.kill()
        server.process.wait()
        waited("the end of the workers", lambda: not any(map(is_alive, workers)))
