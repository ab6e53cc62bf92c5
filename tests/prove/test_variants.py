"""A candidate behind a real `churn serve` with two workers: who answers whom, what rings, and the way back."""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from churn_assets.model_server.champion import read_model
from churn_assets.model_server.customers import example_customer
from churn_model.models.families import Model
from churn_model.serving.plan import Plan
from resources.catalog.names import TUNED_MODEL, version_prefix
from resources.specs.loader import load_spec
from tests.harness.home import Home
from tests.harness.homes import Homes
from tests.harness.machine import waited
from tests.harness.server import Server, served
from tests.published_model import publish_model

pytestmark = pytest.mark.prove

SAME, SLOW = "a" * 16, "b" * 16
Answered = dict[int, tuple[str, int]]
"""By customer, the variant that answered and the status."""


@pytest.fixture
def home(homes: Homes, copied: Callable[[Home], Home]) -> Home:
    """Its champion is the first of two models, which reads fewer columns than the second."""
    return copied(homes.rolled_back)


def plan_of(home: Home, version: str) -> Plan:
    bundle = read_model(home.lake, version_prefix("shop", TUNED_MODEL, version), threads=1)
    return Plan(bundle, load_spec(home.root / "datasets" / "shop.yaml"))


def champion_of(home: Home) -> str:
    champion = home.champion
    assert champion is not None
    return champion.version


def other_of(home: Home) -> str:
    """The second model."""
    folders = Path(home.lake.uri(f"shop/{TUNED_MODEL}/")).iterdir()
    (other,) = {folder.name for folder in folders if folder.is_dir()} - {champion_of(home)}
    return other


def publish(home: Home, version: str, *, idle_trees: int = 0) -> None:
    """Publish the champion under another version, with trees behind its own that add nothing: the same answers, later."""
    bundle = read_model(home.lake, version_prefix("shop", TUNED_MODEL, champion_of(home)), threads=1)
    model = Model.from_json(bundle.model.family, add_idle_trees(bundle.model.to_json(), idle_trees))
    publish_model(home.lake, replace(bundle, model=model, about={**bundle.about, "version": version}))


def add_idle_trees(booster: bytes, count: int) -> bytes:
    """Return a booster with so many copies of its first tree, whose leaves are worth nothing, behind its own trees."""
    content = json.loads(booster)
    model = content["learner"]["gradient_booster"]["model"]
    first = model["trees"][0]
    leaves = [child == -1 for child in first["left_children"]]
    values = [0.0 if is_leaf else value for is_leaf, value in zip(leaves, first["split_conditions"], strict=True)]
    for _ in range(count):
        model["trees"].append(first | {"id": len(model["trees"]), "split_conditions": values})
        model["tree_info"].append(0)
        model["iteration_indptr"].append(len(model["trees"]))
    model["gbtree_model_param"]["num_trees"] = str(len(model["trees"]))
    return json.dumps(content).encode()


def ask(server: Server, customer: dict[str, Any], numbers: Iterable[int], variant: str = "") -> Answered:
    """Ask once about each customer, on connections of ten requests, so that both workers are asked."""
    found: Answered = {}
    connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
    for count, number in enumerate(numbers):
        if count % 10 == 0:
            connection.close()
        body = json.dumps(customer | {"customer_id": f"C{number}"})
        headers = {"Content-Type": "application/json"} | ({"x-variant": variant} if variant else {})
        connection.request("POST", "/invocations", body, headers)
        answer = connection.getresponse()
        answer.read()
        found[number] = (answer.headers["x-variant"], answer.status)
    connection.close()
    return found


def variants_of(answered: Answered) -> dict[int, str]:
    return {number: variant for number, (variant, _) in answered.items()}


def notes_of(home: Home) -> Path:
    (folder,) = (home.path / "ab").iterdir()
    return folder


def end_day(home: Home) -> None:
    """Let what was noted today be yesterday's, as after midnight."""
    (notes,) = notes_of(home).glob("*.csv")
    notes.rename(notes.with_name(f"{datetime.now(UTC).date() - timedelta(days=1)}.csv"))


def status(home: Home) -> str:
    shown = home.churn("variant", "shop", "status")
    assert shown.code == 0
    return shown.said


def alerts(home: Home) -> list[str]:
    log = home.path / "alerts.log"
    return log.read_text().splitlines() if log.exists() else []


def is_given_back(server: Server, customer: dict[str, Any], variant: str = "") -> bool:
    return set(ask(server, customer, range(120), variant).values()) == {("champion", 200)}


def test_a_share_stays_with_its_customers_and_two_equal_models_do_not_ring(home: Home) -> None:
    """Their times are not judged here, since a busy machine would have its say: `benchmarks.ab_guard` simulates them."""
    publish(home, SAME)
    customer = dict(example_customer(plan_of(home, champion_of(home))))
    with served(home, "--workers", "2", "--variant", f"candidate={SAME}:0.5", "--withdraw") as server:
        first = variants_of(ask(server, customer, range(500)))
        share = sum(variant == "candidate" for variant in first.values()) / 500
        assert 0.4 < share < 0.6
        assert variants_of(ask(server, customer, reversed(range(500)))) == first
        running = status(home)
    assert "A server runs it." in running
    assert f"{round(500 * (1 - share)):,}" in running
    assert f"(model {SAME}) beside the champion (model {champion_of(home)}), for 50% of the customers" in running
    with served(home, "--workers", "2", "--variant", f"candidate={SAME}:0.5", "--withdraw") as server:
        assert variants_of(ask(server, customer, range(200))) == {number: first[number] for number in range(200)}
    assert alerts(home) == []
    assert "none does now" in status(home)


def test_a_candidate_that_errs_is_withdrawn_without_a_restart_and_stays_so(home: Home) -> None:
    candidate = other_of(home)
    # Without the columns that the candidate alone reads.
    customer = dict(example_customer(plan_of(home, champion_of(home))))
    with served(home, "--workers", "2", "--variant", f"candidate={candidate}:0.5", "--withdraw") as server:
        assert set(ask(server, customer, range(120)).values()) == {("champion", 200), ("candidate", 422)}
        # Each worker hears of it by itself, and one of them may have answered all that was asked last.
        waited("the champion to answer all", lambda: is_given_back(server, customer))
        waited(
            "the champion to answer whoever names the candidate", lambda: is_given_back(server, customer, "candidate")
        )
    with served(home, "--workers", "2", "--variant", f"candidate={candidate}:0.5", "--withdraw") as server:
        assert is_given_back(server, customer)
    (alert,) = alerts(home)
    assert (
        f"candidate (model {candidate}) does not answer as the champion does. Of its customers 100% have an error"
        in alert
    )
    assert alert.partition("shop: ")[2] in status(home)


def test_a_candidate_that_is_slower_is_withdrawn_when_the_day_is_over(home: Home) -> None:
    publish(home, SLOW, idle_trees=5000)
    customer = dict(example_customer(plan_of(home, champion_of(home))))
    with served(home, "--workers", "2", "--variant", f"candidate={SLOW}:0.5", "--withdraw") as server:
        assert {status for _, status in ask(server, customer, range(600)).values()} == {200}
        assert alerts(home) == []
        end_day(home)
        waited("the champion to answer all", lambda: is_given_back(server, customer))
    (alert,) = alerts(home)
    assert "are answered slower than three quarters of all (champion " in alert


def test_in_the_shadow_the_champion_answers_until_a_person_withdraws_the_candidate(home: Home) -> None:
    candidate = other_of(home)
    customer = dict(example_customer(plan_of(home, candidate)))
    with served(home, "--workers", "2", "--variant", f"candidate={candidate}:0", "--shadow") as server:
        assert set(ask(server, customer, range(100)).values()) == {("champion", 200)}
        waited(
            "the shadow to be noted",
            lambda: " 100 by neither" in (said := status(home)) or " 100 contacted by both" in said,
        )
        home.require(0, "variant", "shop", "withdraw")
        waited("the candidate to be asked no more", lambda: _asks_no_more(server, customer))
    assert "Ended: Withdrawn by hand, " in status(home)
    assert alerts(home) == []


def _asks_no_more(server: Server, customer: dict[str, Any]) -> bool:
    before = _scored_by_both(server)
    ask(server, customer, range(20))
    return _scored_by_both(server) == before


def _scored_by_both(server: Server) -> float:
    counted = (server.read("/metrics") or b"").decode()
    return sum(map(float, re.findall(r"(?m)^churn_shadow_rows_total\{.*\} (\S+)$", counted)))
