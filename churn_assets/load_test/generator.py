"""One process of the generator: `python -m churn_assets.load_test.generator`, told by lines of JSON on its standard input what to ask.

locust patches the standard library for gevent, which must happen in no other process of ours. The first line says whom to ask and what; each
further one is a step, answered by a line on standard output with what was seen. It ends with its input. Nothing of a request is written anywhere.
"""

import gc
import json
import logging
import math
import resource
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import gevent
from gevent.queue import SimpleQueue
from locust import User, task
from locust.env import Environment
from locust.exception import StopUser

from churn_assets.load_test.clients import NO_ANSWER, Ask, open_client
from churn_assets.load_test.orders import GIVES_UP_SECONDS, Order

_GRACE_SECONDS = 2.0
_BEATS = 100  # a second: how often a closed loop looks how late it is
_POLLS_SECONDS = 0.01
_MOST_FILES = 65_536
_UNSENT = "not sent, as all connections waited for answers"


class Work:
    """The step that the users work on: whom to ask next, and what came of those before.

    The requests of a constant rate are dealt out to the processes in turn: the one of place `index` of `of` has every `of`-th.
    """

    def __init__(self, ask: Ask, bodies: Sequence[bytes], order: Order) -> None:
        self._ask, self._bodies, self._order = ask, bodies, order
        self._number = order.index
        self._due: SimpleQueue[float | None] = SimpleQueue()
        self._asking: dict[int, float] = {}
        self.waited: list[float] = []
        self.errors: Counter[str] = Counter()
        self._ended: list[float] = []

    def ask_until_done(self, event: Any) -> None:
        """Ask, as one user, until nothing is left. Each answer is an event of locust's, whose time counts from when the request was due."""
        while (due := self._take()) is not None:
            number = self._number
            self._number += self._order.of
            self._asking[number] = due
            error, length = self._ask(self._bodies[number % len(self._bodies)])
            del self._asking[number]
            event.fire(
                request_type="POST",
                name="/invocations",
                response_time=(time.monotonic() - due) * 1e3,
                response_length=length,
                exception=error,
                context={},
            )

    def record(self, *, response_time: float, exception: str | None, **_: Any) -> None:
        """Keep what came of a request. It listens to locust's events."""
        self.waited.append(response_time / 1e3)
        self._ended.append(time.monotonic() - self._order.begin)
        if exception is not None:
            self.errors[exception] += 1

    def took(self) -> float:
        """Return the seconds from the step's begin until 99 of 100 answers were there: what one of the last waits for is in `waited`."""
        ended = sorted(self._ended)
        return ended[math.ceil(0.99 * len(ended)) - 1] if ended else 0.0

    def hand_out(self) -> list[float]:
        """Hand out requests when they are due, until all are. Return by how many seconds each was late, whether a user was free or not."""
        order, late = self._order, []
        if order.rate:
            places = range(order.index, round(order.rate * order.seconds), order.of)
            times = [order.begin + place / order.rate for place in places]
        else:  # a closed loop is handed nothing: the same beat shows how late this process is
            times = [order.begin + place / _BEATS for place in range(round(_BEATS * order.seconds))]
        for due in times:
            if (wait := due - time.monotonic()) > 0:
                gevent.sleep(wait)
            late.append(max(0.0, time.monotonic() - due))
            if order.rate:
                self._due.put(due)
        return late

    def finish(self, users: Any) -> None:
        """Wait for the answers. What could not be sent for lack of a free user, or got no answer, is an error that took so long."""
        until = time.monotonic() + _GRACE_SECONDS
        while not self._due.empty() and time.monotonic() < until:
            gevent.sleep(_POLLS_SECONDS)
        while not self._due.empty():
            self._give_up(self._due.get_nowait(), _UNSENT)
        for _ in range(len(users)):
            self._due.put(None)
        users.join(timeout=GIVES_UP_SECONDS + _GRACE_SECONDS)
        users.kill()
        for due in self._asking.values():
            self._give_up(due, NO_ANSWER)

    def _take(self) -> float | None:
        """Return when the next request is due, waiting until it is; None if there is none."""
        if self._order.rate:
            due: float | None = self._due.get()
            return due
        now = time.monotonic()
        return now if now < self._order.begin + self._order.seconds else None

    def _give_up(self, due: float | None, error: str) -> None:
        if due is not None:
            self.record(response_time=(time.monotonic() - due) * 1e3, exception=error)


class Generator:
    """locust's runner with users who share one target. Each step has users of its own."""

    def __init__(self, ask: Ask, bodies: Sequence[bytes]) -> None:
        self._ask, self._bodies = ask, bodies
        self._work: Work | None = None
        self._bugs: list[Exception] = []
        generator = self

        class Asker(User):
            @task
            def ask(self) -> None:
                if generator._work is not None:
                    generator._work.ask_until_done(self.environment.events.request)
                raise StopUser

        environment = Environment(user_classes=[Asker])
        environment.events.request.add_listener(  # type: ignore[no-untyped-call]
            lambda **seen: self._work and self._work.record(**seen)
        )
        environment.events.user_error.add_listener(  # type: ignore[no-untyped-call]
            lambda exception, **_: self._bugs.append(exception)
        )
        self._runner = environment.create_local_runner()

    def run(self, order: Order) -> dict[str, Any]:
        """Make a step's requests and return what was seen, as a `Sample`."""
        work = self._work = Work(self._ask, self._bodies, order)
        if order.rate:  # they wait for what is due
            self._runner.spawn_users({"Asker": order.connections})
        gevent.sleep(max(0.0, order.begin - time.monotonic()))
        if not order.rate:
            self._runner.spawn_users({"Asker": order.connections})
        used = time.process_time()
        late = work.hand_out()
        busy = (time.process_time() - used) / (time.monotonic() - order.begin)
        work.finish(self._runner.user_greenlets)
        for bug in self._bugs:  # locust would pass over it, and ask on
            raise bug
        return {
            "waited": [round(each, 6) for each in work.waited],
            "late": [round(each, 6) for each in late],
            "errors": work.errors,
            "busy": busy,
            "took": work.took(),
        }


def main() -> None:
    """Answer lines until there are no more."""
    logging.disable()  # locust's messages may hold what was asked
    _allow_files()
    first = json.loads(sys.stdin.readline())
    bodies = [body.encode() for body in first["bodies"]]
    generator = Generator(open_client(first["target"]), bodies)
    gc.freeze()  # what was imported stays: looking through it again takes milliseconds
    _answer({})  # ready: what was imported took a second
    for line in sys.stdin:
        _answer(generator.run(Order(**json.loads(line))))


def _answer(said: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


def _allow_files() -> None:
    """Let this process have as many connections as the system lets it: each is an open file."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


if __name__ == "__main__":
    main()
