"""Two models behind one address: shares, who has answered, and what happens if one of them does not load."""

import argparse
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from churn_assets.cli.commands.serve import COMMAND
from churn_assets.model_server.options import Candidate
from churn_assets.model_server.variants import Router
from tests.churn_assets.model_server.served import Shop, customer


@contextmanager
def serving(shop: Shop, share: float, version: str = "v2", chance: Any = random.random) -> Iterator[httpx.Client]:
    """Serve the champion v1 with a candidate beside it."""
    option = Candidate("candidate", version, share)
    champion = shop.model()
    with shop.client(champion, router=Router(champion, shop.model(version=version), option, chance)) as client:
        yield client


@pytest.fixture
def shop_of_two(shop: Shop) -> Shop:
    """A shop with a model v2 of another family, and the champion v1."""
    shop.publish("v2", "random_forest")
    shop.publish("v1")
    return shop


def answered(client: httpx.Client, **headers: str) -> tuple[str, str]:
    answer = client.post("/invocations", json=customer(), headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["model_version"] == answer.headers["x-model-version"]
    return answer.headers["x-variant"], answer.headers["x-model-version"]


def test_each_answers_its_share_and_says_who_it_is(shop_of_two: Shop) -> None:
    with serving(shop_of_two, 0.25, chance=random.Random(5).random) as client:
        found = [answered(client) for _ in range(200)]
    assert set(found) == {("champion", "v1"), ("candidate", "v2")}
    expected = random.Random(5)
    assert [name == "candidate" for name, _ in found] == [expected.random() < 0.25 for _ in range(200)]


def test_a_request_may_name_who_is_to_answer(shop_of_two: Shop) -> None:
    with serving(shop_of_two, 0.0) as client:
        assert answered(client) == ("champion", "v1")
        assert answered(client, **{"x-variant": "candidate"}) == ("candidate", "v2")
        refused = client.post("/invocations", json=customer(), headers={"x-variant": "other"})
        assert refused.status_code == 400
        assert "x-variant champion or candidate" in refused.json()["error"]


def test_a_new_champion_takes_its_place_beside_the_candidate(shop_of_two: Shop) -> None:
    with serving(shop_of_two, 1.0) as client:
        shop_of_two.publish("v3")
        for _ in range(500):
            if answered(client, **{"x-variant": "champion"})[1] == "v3":
                break
        assert answered(client, **{"x-variant": "champion"}) == ("champion", "v3")
        assert answered(client) == ("candidate", "v2")


def test_the_share_of_a_candidate_that_does_not_load_is_the_champion_s(shop_of_two: Shop) -> None:
    with serving(shop_of_two, 1.0, version="v9") as client:
        assert answered(client) == ("champion", "v1")
        asked = client.post("/invocations", json=customer(), headers={"x-variant": "candidate"})
        assert asked.status_code == 503
    assert len(shop_of_two.alerts) == 1


def test_without_a_candidate_the_champion_answers_whatever_is_asked(client: httpx.Client) -> None:
    assert answered(client, **{"x-variant": "anybody"}) == ("champion", "v1")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("candidate=cd91b5c61b49e316:0.1", ("candidate", "cd91b5c61b49e316", 0.1)),
        ("b=cd91b5c61b49e316:1", ("b", "cd91b5c61b49e316", 1.0)),
        ("champion=cd91b5c61b49e316:0.1", None),
        ("b=cd91b5c61b49e316:1.5", None),
        ("b=cd91b5c61b49e316", None),
        ("b=../../etc:0.1", None),
    ],
)
def test_the_command_takes_a_name_a_version_and_a_share(text: str, found: tuple[str, str, float] | None) -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    COMMAND.add_arguments(parser)
    if found is None:
        with pytest.raises(argparse.ArgumentError, match="expected a name other than champion, a version and a share"):
            parser.parse_args(["shop", "--variant", text])
    else:
        assert parser.parse_args(["shop", "--variant", text]).variant == found
