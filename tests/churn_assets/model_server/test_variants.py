"""Two models behind one address: shares, who has answered, and what happens if one of them does not load."""

import argparse
import csv
import io
import json
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest

from churn_assets.cli.commands.serve import COMMAND, candidate_of
from churn_assets.model_server.ab_test import AbTest
from churn_assets.model_server.options import Candidate
from churn_assets.model_server.variants import Router
from resources.errors import CommandError
from tests.churn_assets.model_server.served import Shop
from tests.churn_assets.model_server.served import customer as made_up
from tests.churn_model.serving.shop import landed


@contextmanager
def serving(shop: Shop, share: float, version: str = "v2", test: AbTest | None = None) -> Iterator[httpx.Client]:
    """Serve the champion v1 with a candidate beside it."""
    champion = shop.model()
    router = Router(champion, shop.model(version=version), option_of(share, version), test)
    with shop.client(champion, router=router) as client:
        yield client


def option_of(share: float, version: str = "v2", *, withdraw: bool = True) -> Candidate:
    return Candidate("candidate", version, share, withdraw)


@pytest.fixture
def shop_of_two(shop: Shop) -> Shop:
    """A shop with a model v2 of another family, and the champion v1."""
    shop.publish("v2", "random_forest")
    shop.publish("v1")
    return shop


def answered(client: httpx.Client, customer: Any = "C0", **headers: str) -> tuple[str, str]:
    answer = client.post("/invocations", json=made_up(customer=customer), headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["model_version"] == answer.headers["x-model-version"]
    return answer.headers["x-variant"], answer.headers["x-model-version"]


def test_each_customer_is_answered_by_the_same_variant_also_by_another_server(shop_of_two: Shop) -> None:
    names = [f"C{n}" for n in range(200)]
    found = []
    for _ in range(2):
        with serving(shop_of_two, 0.25) as client:
            found.append([answered(client, customer=name) for name in names])
            assert answered(client, customer=None) == ("champion", "v1")
    assert found[0] == found[1]
    assert set(found[0]) == {("champion", "v1"), ("candidate", "v2")}
    assert 30 <= found[0].count(("candidate", "v2")) <= 70


@pytest.mark.parametrize("media", ["application/json", "application/jsonlines", "text/csv"])
def test_a_request_of_many_rows_is_divided_and_put_together_in_order(shop_of_two: Shop, media: str) -> None:
    rows = [made_up(customer=f"C{n}") for n in range(60)]
    alone, together = [], ""
    with serving(shop_of_two, 0.5) as client:
        for row in rows:
            answer = client.post("/invocations", json=row, headers={"accept": "application/json"}).json()
            alone.append((answer["id"], answer["model_version"], answer["churn_probability"]))
        response = client.post("/invocations", json=rows, headers={"accept": media})
        assert (response.headers["x-variant"], set(response.headers["x-model-version"].split(", "))) == (
            "champion, candidate",
            {"v1", "v2"},
        )
        together = response.text
    if media == "text/csv":
        table = list(csv.DictReader(io.StringIO(together)))
    elif media == "application/json":
        table = response.json()["answers"]
    else:
        table = [json.loads(line) for line in together.splitlines()]
    assert [(row["id"], row["model_version"], float(row["churn_probability"])) for row in table] == alone


def test_what_errs_keeps_its_place_in_a_divided_request(shop_of_two: Shop) -> None:
    rows = [made_up(customer=f"C{n}", **({"minutes": "many"} if n % 7 == 0 else {})) for n in range(40)]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    with serving(shop_of_two, 0.5) as client:
        sent = client.post(
            "/invocations", content=text.getvalue(), headers={"content-type": "text/csv", "accept": "application/json"}
        )
    answers = sent.json()["answers"]
    assert [answer.get("id") for answer in answers] == [None if n % 7 == 0 else f"C{n}" for n in range(40)]
    assert answers[7]["errors"][0]["row"] == 8


def test_in_the_shadow_the_champion_answers_and_other_decisions_are_counted(shop_of_two: Shop) -> None:
    columns = landed(200, seed=7)
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    champion = shop_of_two.model()
    option = Candidate("candidate", "v2", 0.0, shadow=True)
    answers = {}
    with shop_of_two.client(champion, router=Router(champion, shop_of_two.model(version="v2"), option)) as client:
        for name in ("champion", "candidate"):
            sent = client.post("/invocations", json=rows, headers={"x-variant": name})
            answers[name] = sent.json()["answers"]
        before = shadow_counts(client)
        response = client.post("/invocations", json=rows)
        after = shadow_counts(client)
    assert (response.headers["x-variant"], response.headers["x-model-version"]) == ("champion", "v1")
    assert response.json()["answers"] == answers["champion"]
    pairs = list(zip(answers["champion"], answers["candidate"], strict=True))
    decided = [(one["will_churn"], other["will_churn"]) for one, other in pairs]
    found = {name: after[name] - before.get(name, 0.0) for name in after}
    assert [found[name] for name in ("both", "only_champion", "only_challenger", "neither", "unanswered")] == [
        decided.count(pair) for pair in ((True, True), (True, False), (False, True), (False, False))
    ] + [0]
    other = [one["expected_saving"] for one, other in pairs if one["will_churn"] != other["will_churn"]]
    assert other
    assert found["at_stake"] == pytest.approx(sum(map(abs, other)))


def shadow_counts(client: httpx.Client) -> dict[str, float]:
    text = client.get("/metrics").text
    counts = {
        name: float(number) for name, number in re.findall(r'churn_shadow_rows_total{decision="(.*)"} (.*)', text)
    }
    at_stake = re.search(r"(?m)^churn_shadow_at_stake_total (.*)", text)
    return counts | {"at_stake": float(at_stake[1]) if at_stake else 0.0}


def test_an_alarm_leaves_all_customers_to_the_champion(shop_of_two: Shop) -> None:
    test = AbTest(
        shop_of_two.root / "test", "shop", option_of(0.5), on_alarm=shop_of_two.alerts.append, look_every=timedelta(0)
    )
    for number in range(200):
        test.observe(number, is_challenger=number % 2 == 0, failed=number % 4 == 0, seconds=0.01, probability=0.2)
    with serving(shop_of_two, 0.5, test=test) as client:
        for _ in range(500):
            if {answered(client, customer=f"C{n}")[0] for n in range(12)} == {"champion"}:
                break
            time.sleep(0.02)
        assert {answered(client, customer=f"C{n}")[0] for n in range(12)} == {"champion"}
        assert answered(client, **{"x-variant": "candidate"}) == ("champion", "v1")  # whoever names it, too
    (alert,) = shop_of_two.alerts
    assert "candidate (model v2) does not answer as the champion does. Of its customers " in alert
    assert "% have an error (champion 0%)" in alert


def test_notes_that_cannot_be_written_keep_the_answer_from_nobody(shop_of_two: Shop) -> None:
    folder = shop_of_two.root / "test"
    with serving(
        shop_of_two, 0.5, test=AbTest(folder, "shop", option_of(0.5), on_alarm=shop_of_two.alerts.append)
    ) as client:
        shutil.rmtree(folder)
        assert {answered(client, customer=f"C{n}")[0] for n in range(12)} == {"champion", "candidate"}


def test_a_request_may_name_who_is_to_answer(shop_of_two: Shop) -> None:
    with serving(shop_of_two, 0.0) as client:
        assert answered(client) == ("champion", "v1")
        assert answered(client, **{"x-variant": "candidate"}) == ("candidate", "v2")
        refused = client.post("/invocations", json=made_up(), headers={"x-variant": "other"})
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
        asked = client.post("/invocations", json=made_up(), headers={"x-variant": "candidate"})
        assert asked.status_code == 503
    (alert,) = shop_of_two.alerts
    assert alert.startswith("shop: the model server could not load candidate v9 or the spec. Expected ")


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


def candidate_from(*words: str) -> Candidate | None:
    parser = argparse.ArgumentParser()
    COMMAND.add_arguments(parser)
    return candidate_of(parser.parse_args(["shop", *words]))


def test_only_a_version_without_a_share_can_be_in_the_shadow() -> None:
    version = "cd91b5c61b49e316"
    assert candidate_from() is None
    assert candidate_from("--variant", f"b={version}:0", "--shadow") == Candidate("b", version, 0.0, shadow=True)
    assert candidate_from("--variant", f"b={version}:0.5", "--withdraw") == Candidate("b", version, 0.5, withdraw=True)
    with pytest.raises(CommandError, match="answers nobody: write its share as 0"):
        candidate_from("--variant", f"b={version}:0.1", "--shadow")
    with pytest.raises(CommandError, match="Nobody is in the shadow"):
        candidate_from("--shadow")
