"""Requests to a server on this machine: as fast as they are answered, or at a constant rate, whether they are answered or not.

Belongs here: connections that are kept, and the seconds of each answer. Does not belong here: what is asked, servers.

At a constant rate an answer's seconds count from when its request was due, not from when it was sent: a server that hangs for a second is
late for everybody who came meanwhile. `churn load-test` does the same by locust; this costs a third of that a request, and so shows what a server
costs that does nothing (ADR 40).
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

CONNECTIONS = 16


@dataclass
class Load:
    """What came of the requests: the seconds of each, and how many had another status than 200."""

    seconds: list[float] = field(default_factory=list)
    failed: int = 0
    took: float = 0.0

    @property
    def rate(self) -> float:
        return len(self.seconds) / self.took

    def percentile(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class _Connection(asyncio.Protocol):
    """One connection: a request at a time, an answer with a Content-Length."""

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.transport: asyncio.Transport | None = None
        self.answer: asyncio.Future[int] | None = None
        self.received = b""
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end or self.answer is None:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) >= length:
            self.received = b""
            self.answer.set_result(int(head.split(b" ", 2)[1]))

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set()
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(error or ConnectionResetError("closed before the answer"))

    def ask(self) -> asyncio.Future[int]:
        assert self.transport is not None
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(self.request)
        return self.answer


def closed_loop(port: int, request: bytes, seconds: float) -> Load:
    """Each connection asks again as soon as it is answered."""

    async def run() -> Load:
        found = Load()
        connections = await _connect(port, request)
        started = time.perf_counter()

        async def keep_asking(connection: _Connection) -> None:
            while (sent := time.perf_counter()) - started < seconds:
                found.failed += await connection.ask() != 200
                found.seconds.append(time.perf_counter() - sent)

        await asyncio.gather(*map(keep_asking, connections))
        found.took = time.perf_counter() - started
        await _disconnect(connections)
        return found

    return asyncio.run(run())


def constant_rate(port: int, request: bytes, rate: float, seconds: float) -> Load:
    """Requests are due at equal intervals; one for which no connection is free waits, and its seconds run."""

    async def run() -> Load:
        found = Load()
        connections = await _connect(port, request)
        free = deque(connections)
        due: deque[float] = deque()
        asking: set[asyncio.Task[None]] = set()
        started = time.perf_counter()

        async def ask(connection: _Connection) -> None:
            while due:
                intended = due.popleft()
                found.failed += await connection.ask() != 200
                found.seconds.append(time.perf_counter() - intended)
            free.append(connection)

        planned, count = 0, int(rate * seconds)
        while planned < count:
            now = time.perf_counter() - started
            while planned < count and planned / rate <= now:
                due.append(started + planned / rate)
                planned += 1
            while due and free and len(asking) < len(due) + CONNECTIONS:
                task = asyncio.create_task(ask(free.popleft()))
                asking.add(task)
                task.add_done_callback(asking.discard)
                await asyncio.sleep(0)
            await asyncio.sleep(max(0.0, min(planned / rate - (time.perf_counter() - started), 0.001)))
        await asyncio.gather(*asking)
        found.took = time.perf_counter() - started
        await _disconnect(connections)
        return found

    return asyncio.run(run())


async def _connect(port: int, request: bytes) -> list[_Connection]:
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(lambda: _Connection(request), "127.0.0.1", port) for _ in range(CONNECTIONS)]
    return [connection for _, connection in made]


async def _disconnect(connections: Sequence[_Connection]) -> None:
    """Close the connections: left to the garbage collector, they would be warnings in whatever runs then."""
    for connection in connections:
        if connection.transport is not None:
            connection.transport.close()
    await asyncio.gather(*(connection.lost.wait() for connection in connections))
