"""`churn load-test` with its real generator: a server that stalls, `churn serve`, a server that is faster than the generator, and an endpoint."""

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from churn_assets.load_test.figures import Outcome, Step, judge, summarize
from churn_assets.load_test.processes import Generators
from resources.aws.lake import S3Lake
from resources.catalog.layout import require_layout
from tests.aws.sagemaker.hosts import Answer, Answering, AwsHost, Fields
from tests.aws.sagemaker.running import IMAGE, ROLE, host_on, running_endpoints
from tests.churn_assets.model_server.served import SPEC
from tests.churn_model.serving.shop import made_bundle
from tests.conftest import Workspace
from tests.harness.home import Home
from tests.harness.homes import Homes
from tests.harness.server import served
from tests.published_model import publish_champion

pytestmark = pytest.mark.prove

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"


class Fastest(asyncio.Protocol):
    """Answers each request at once.

    stalls_at  with this request it stalls everybody for a second, as a server's long pause does
    lags_at    this request alone is answered three seconds later
    """

    asked = 0

    def __init__(self, stalls_at: int = 0, lags_at: int = 0) -> None:
        self._stalls_at, self._lags_at = stalls_at, lags_at

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        Fastest.asked += 1
        if Fastest.asked == self._stalls_at:
            time.sleep(1.0)
        assert isinstance(self._transport, asyncio.Transport)
        if Fastest.asked == self._lags_at:
            asyncio.get_running_loop().call_later(3.0, self._transport.write, ANSWER)
        else:
            self._transport.write(ANSWER)


@contextmanager
def fastest(stalls_at: int = 0, lags_at: int = 0) -> Iterator[str]:
    """Serve in a thread of its own, and yield the address."""
    Fastest.asked = 0
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(lambda: Fastest(stalls_at, lags_at), "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/invocations"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.run_until_complete(asyncio.sleep(0.1))
        loop.close()


def test_a_stall_counts_for_all_who_came_meanwhile_and_in_a_closed_loop_for_one() -> None:
    def waited(step: Step, stalls_at: int) -> list[float]:
        with (
            fastest(stalls_at) as url,
            Generators({"url": url, "token": ""}, ["{}"], processes=2, environment=os.environ) as generators,
        ):
            samples = generators.run(step, limit=200)
        assert summarize(step, samples).errors == {}
        return [each for sample in samples for each in sample.waited]

    open_loop = waited(Step(rate=100, seconds=3), stalls_at=120)
    assert len(open_loop) == 300
    # A hundred were due in the second in which nobody was answered: evenly, they waited from a second down to nothing.
    assert 60 <= sum(each > 0.25 for each in open_loop) <= 200
    assert max(open_loop) >= 0.95
    closed_loop = waited(Step(users=2, seconds=3), stalls_at=120)
    assert len(closed_loop) > 300
    assert sum(each > 0.25 for each in closed_loop) <= 10
    assert max(closed_loop) >= 0.95


def test_one_answer_that_is_late_does_not_make_a_step_one_that_was_not_held() -> None:
    step = Step(rate=100, seconds=3)
    with (
        fastest(lags_at=290) as url,
        Generators({"url": url, "token": ""}, ["{}"], processes=1, environment=os.environ) as generators,
    ):
        figures = summarize(step, generators.run(step, limit=500))
    assert figures.longest > 2900
    assert figures.reached > 95
    assert judge(figures, limit=500).outcome is Outcome.HELD


@pytest.fixture
def home(homes: Homes, copied: Callable[[Home], Home]) -> Home:
    return copied(homes.retrained)


def ask(home: Home, code: int, *arguments: str) -> str:
    """Run the command, and return what it said."""
    ended = home.churn("load-test", "shop", *arguments)
    assert ended.code == code
    return ended.said


def read_report(home: Home) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((home.path / "out" / "shop" / "load_test.json").read_text("utf-8"))
    return found


def test_the_model_server_is_asked_by_its_token_and_a_knee_is_not_made_up(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURN_SERVE_TOKEN", "a-long-random-text")
    asks = ("--rate", "20", "--most", "40", "--seconds", "2", "--p99", "5000")
    with served(home, "--workers", "1") as server:
        said = ask(home, 0, *asks, "--url", server.url, "--processes", "2")
        assert "It held every rate up to 40 requests a second, the highest that was asked for" in said
        report = read_report(home)
        assert [step["figures"]["step"]["rate"] for step in report["steps"]] == [20, 40]
        assert [step["figures"]["requests"] for step in report["steps"]] == [40, 80]
        assert [step["figures"]["errors"] for step in report["steps"]] == [{}, {}]
        for step in report["steps"]:
            figures = step["figures"]
            assert 0 < figures["p50"] <= figures["p90"] <= figures["p99"] <= figures["longest"] < 5000
            assert len(figures["busy"]) == 2
        assert "held" in (home.path / "out" / "shop" / "load_test.html").read_text("utf-8")
        assert "a-long-random-text" not in said + json.dumps(report)
        monkeypatch.delenv("CHURN_SERVE_TOKEN")
        said = ask(home, 1, *asks, "--url", server.url)
        assert f"Expected answers of {server.url}/invocations; found status 401: 40." in said


def test_of_a_server_that_is_faster_than_the_generator_the_verdict_is_refused(home: Home) -> None:
    with fastest() as url:
        asks = ("--rate", "16000", "--most", "16000", "--seconds", "2", "--url", url)
        said = ask(home, 1, *asks)
        assert "No verdict: the generator was the limit at 16,000 requests a second: " in said
        assert "ask from another machine" in said
        assert "Nothing is known of the server" in said
        report = read_report(home)
        assert (report["verdict"]["found"], report["verdict"]["knee"], report["proposal"]) == ("refused", None, None)
        (step,) = report["steps"]
        assert step["generator"]


class Slow(Answering):
    """A server that answers twenty requests a second, one after the other."""

    def __init__(self, inner: Answering) -> None:
        self._inner, self._one = inner, threading.Lock()

    def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        with self._one:
            time.sleep(0.05)
            return self._inner.ask(method, path, body, headers)


class SlowHost(AwsHost):
    def start(self, endpoint: str, model: Fields) -> Answering:
        return Slow(super().start(endpoint, model))


def test_the_target_of_an_endpoint_is_written_into_the_spec_and_registered(
    aws_lake: S3Lake, workspace: Workspace, tmp_path: Path
) -> None:
    require_layout(aws_lake)
    publish_champion(aws_lake, replace(made_bundle("boosted_trees"), about={"version": "v1"}))
    section = "endpoint: {engine: instance, scaling: {most: 2, invocations: 60}} # paid by the hour\n"
    workspace.write_spec("shop", SPEC + section)
    stack = f"t{aws_lake.bucket[-6:]}"
    workspace.settings |= {
        "CHURN_TARGET": "aws",
        "CHURN_LAKE": aws_lake.uri("").rstrip("/"),
        "CHURN_STACK": stack,
        "CHURN_ROLE": ROLE,
        "CHURN_IMAGE": IMAGE,
        "CHURN_JOBS": '{"shortest_pause": 0.05, "longest_pause": 0.2}',
    }
    with running_endpoints(aws_lake, tmp_path) as service:
        service.hosting.host = SlowHost(**vars(host_on(aws_lake, tmp_path / "models")))
        assert workspace.churn("endpoint", "shop", "deploy") == 0
        asks = ("--rate", "2", "--most", "100", "--seconds", "2", "--p99", "1000", "--apply")
        assert workspace.churn("load-test", "shop", *asks) == 0
        report = json.loads((workspace.root / "home" / "out" / "shop" / "load_test.json").read_text("utf-8"))
        assert report["target"] == f"endpoint {stack}-shop"
        assert 2 <= report["verdict"]["knee"] <= 40
        wanted = report["proposal"]["invocations"]
        assert wanted == int(report["verdict"]["knee"] * 30)
        spec = (workspace.root / "datasets" / "shop.yaml").read_text()
        assert spec == SPEC + section.replace("60", str(wanted))
        (policy,) = aws_lake.session.client("application-autoscaling").describe_scaling_policies(
            ServiceNamespace="sagemaker", ResourceId=f"endpoint/{stack}-shop/variant/champion"
        )["ScalingPolicies"]
        assert policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == wanted
        assert workspace.churn("endpoint", "shop", "deploy") == 0  # by which it stays
        assert workspace.churn("endpoint", "shop", "delete") == 0
