"""The command as far as it goes without the generator: what is asked, what is refused, and what the report shows."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from churn_assets.load_test.bodies import make_bodies
from churn_assets.load_test.figures import Sample, Step
from churn_assets.load_test.processes import Generators, most_rate
from churn_assets.load_test.report import page, publish_report
from churn_assets.load_test.run import LoadOptions, LoadTest, run_load_test
from churn_assets.load_test.target import find_target
from churn_model.errors import ChurnError
from churn_model.serving.plan import Plan
from resources.errors import CommandError, EndpointError
from resources.local.outputs import LocalOutputs
from resources.specs.loader import load_spec
from tests.churn_assets.load_test.test_knee import Endpoints, finished
from tests.churn_assets.model_server.served import make_shop
from tests.churn_model.serving.shop import made_bundle
from tests.conftest import Workspace

SPEC = """\
id: customer
label: {column: left, positive: ["yes"], means: left}
costs: {false_negative: 5, false_positive: 1, true_positive: 1, true_negative: 0}
"""


@pytest.fixture
def plain(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path)
    made.write_spec("shop", SPEC)
    return made


def test_the_requests_are_rows_of_the_latest_batch_and_the_model_answers_each(tmp_path: Path) -> None:
    shop = make_shop(tmp_path)
    plan = Plan(made_bundle("boosted_trees"), load_spec(shop.spec))
    assert make_bodies(shop.lake, plan).about == "the model's most usual customer"
    shop.score_batch("2024-01", seed=1)
    shop.score_batch("2024-02", seed=2)
    bodies = make_bodies(shop.lake, plan)
    assert bodies.about == "40 customers of batch 2024-02 in turn"
    records = [json.loads(body) for body in bodies.requests]
    assert len({record["customer"] for record in records}) == 40
    assert all(0 <= plan.answer(record).churn_probability <= 1 for record in records)


def test_without_locust_the_command_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "locust", None)
    with pytest.raises(
        CommandError, match=r"found none\. Install the extra: `\.venv/bin/pip install 'locust>=2\.47,<3'`"
    ):
        Generators({}, [], processes=1, environment={})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--rate", "0"), "expected 1 to 20000, found '0'"),
        (("--rate", "nan"), "expected 1 to 20000, found 'nan'"),
        (("--users", "1e3"), "expected 1 to 4000, found '1e3'"),
        (("--url", "ftp://server"), "expected an address such as http://127.0.0.1:8080"),
        (("--url", "http://user:secret@server"), "without a password or a query, found another text"),
        (("--rate", "100", "--most", "50"), "Expected --most 100 or more; found --most 50"),
        (("--p99", "10000"), "Expected --most 320 or less, for which connections are enough"),
        (("--seconds", "600"), "Expected at most 1,000,000 requests in a step"),
        (("--users", "2", "--processes", "4"), "Expected a user for each of --processes"),
        (("--apply",), "2. Expected `scaling` in the section `endpoint` of shop"),
        (("--apply", "--users", "2"), "1. Expected --apply with constant rates; found --users"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_asked(
    plain: Workspace, arguments: tuple[str, ...], words: str
) -> None:
    assert plain.churn("load-test", "shop", *arguments) == 2
    assert words in plain.output
    assert "secret" not in plain.output


@pytest.mark.parametrize("arguments", [("--p99", "10000"), ("--seconds", "600"), ("--most", "20")])
def test_a_closed_loop_is_not_refused_for_rates_that_nobody_asks_for(
    plain: Workspace, arguments: tuple[str, ...]
) -> None:
    assert plain.churn("load-test", "shop", "--users", "2", *arguments) == 1
    assert "Expected a champion of shop to answer with; found none" in plain.output


class Seen(Generators):
    """A generator that saw the same of every step."""

    def __init__(self, sample: Sample) -> None:
        self.sample, self.steps = sample, list[Step]()

    def run(self, step: Step, *, limit: float) -> list[Sample]:
        self.steps.append(step)
        return [self.sample]


OPTIONS = LoadOptions(rate=50, most=100, seconds=10, p99=200, users=0, processes=1)
ANSWERED = Sample(waited=[0.01] * 1000, late=[0.001], errors={}, busy=0.2, took=1.0)


def run(generators: Generators, options: LoadOptions, said: list[str]) -> LoadTest:
    return run_load_test(generators, options, dataset="shop", target="server", about="it", say=said.append)


def test_a_moment_that_is_not_judged_comes_first_and_every_step_has_a_line() -> None:
    said: list[str] = []
    generators = Seen(ANSWERED)
    test = run(generators, OPTIONS, said)
    assert [(step.rate, step.seconds) for step in generators.steps] == [(50, 2), (50, 10), (100, 10)]
    assert len(test.steps) == 2
    assert [line.split()[-1] for line in said] == ["ms", "held", "held"]
    users = Seen(ANSWERED)
    assert len(run(users, replace(OPTIONS, users=3), said).steps) == 1
    assert [step.users for step in users.steps] == [3, 3]


def test_a_target_that_answers_nothing_is_said_before_any_step() -> None:
    said: list[str] = []
    refused = Sample(waited=[0.01] * 100, late=[0.001], errors={"connection refused": 100}, busy=0.2, took=1.0)
    words = r"Expected answers of server; found connection refused: 100\. Start it, as by `churn serve shop`"
    with pytest.raises(ChurnError, match=words):
        run(Seen(refused), OPTIONS, said)
    assert said == []


def test_with_a_stricter_limit_fewer_connections_are_enough() -> None:
    assert most_rate(200, 1) == 16_000
    assert most_rate(100, 2) == 64_000


def test_an_endpoint_that_does_not_answer_is_not_asked() -> None:
    there = Endpoints(instances=1)
    assert find_target(there, "shop", url="", token="").told == {"endpoint": "shop"}  # type: ignore[arg-type]
    there.served = type(there.served)(**{**vars(there.served), "status": "Updating"})
    with pytest.raises(EndpointError, match="Expected the endpoint churn-shop to be InService; found Updating"):
        find_target(there, "shop", url="", token="")  # type: ignore[arg-type]


def test_the_report_shows_every_step_with_its_reason_and_escapes_what_it_is_given(tmp_path: Path) -> None:
    two = Endpoints(instances=2)
    test = finished(two.served, two)
    outputs = LocalOutputs(folder=str(tmp_path))
    where = Path(publish_report(outputs, test))
    assert where.name == "load_test.html"
    html = where.read_text("utf-8")
    assert html.count("<tr>") == 1 + len(test.steps)
    assert "not held: the 99th percentile was 1,000 ms, more than 200" in html
    assert test.proposal is not None
    assert "invocations: 10095" in html
    figures = json.loads(where.with_suffix(".json").read_text("utf-8"))
    assert [step["figures"]["step"]["rate"] for step in figures["steps"]] == [
        step.figures.step.rate for step in test.steps
    ]
    assert figures["verdict"]["found"] == "knee"
    hostile = type(test)(**{**vars(test), "target": "<script>alert(1)</script>"})
    assert "<script>alert" not in page(hostile)


def test_this_process_is_left_as_it_was() -> None:
    """gevent patches sockets and threads where it is imported through locust: no module of ours that others import may do so."""
    assert "locust" not in sys.modules
    assert "gevent" not in sys.modules
