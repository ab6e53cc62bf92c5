"""The model server over HTTP, in this process."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.requests import Request as HttpRequest

from churn_assets.model_server.reading import read_body
from churn_model.serving.plan import Plan
from churn_model.serving.protocol import AT_A_TIME, Request, TooLate, respond
from churn_model.serving.requests import BadRequest, Limits
from resources.catalog.names import TUNED_MODEL, version_prefix
from resources.specs.loader import load_spec
from tests.churn_assets.model_server.served import SPEC, Shop, customer


def plan_of(shop: Shop) -> Plan:
    return shop.model().load()


def test_a_customer_is_answered_as_the_plan_answers(client: httpx.Client, shop: Shop) -> None:
    answer = client.post("/invocations", json=customer())
    expected = plan_of(shop).answer(customer())
    assert answer.status_code == 200
    assert answer.json()["churn_probability"] == expected.churn_probability
    assert answer.json()["cutoff"] == expected.cutoff
    assert answer.headers["x-model-version"] == "v1"
    large = client.post("/invocations", json=[customer(customer=str(n)) for n in range(300)])
    assert [each["id"] for each in large.json()["answers"]] == [str(n) for n in range(300)]
    assert {each["churn_probability"] for each in large.json()["answers"]} == {expected.churn_probability}


def test_sagemakers_contract(client: httpx.Client) -> None:
    assert client.get("/ping").json()["model_version"] == "v1"
    assert client.get("/execution-parameters").json()["MaxPayloadInMB"] == 6
    assert client.get("/invocations").status_code == 405
    assert client.get("/nothing").status_code == 404


def test_without_a_model_it_says_so_and_answers_as_soon_as_there_is_one(shop: Shop) -> None:
    shop.spec.unlink()
    with shop.client() as client:
        assert client.get("/ping").status_code == 503
        refused = client.post("/invocations", json=customer())
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert "expected a model that is loaded" in refused.json()["error"].lower()
        assert client.get("/").status_code == client.get("/openapi.json").status_code == 503
        shop.spec.write_text(SPEC)
        assert version_after(client, None) == "v1"


def version_after(client: httpx.Client, version: str | None) -> str | None:
    """Return the version that answers once it is another than `version`, or after five seconds."""
    for _ in range(500):
        found = client.get("/ping").json()["model_version"]
        if found != version:
            return str(found)
        time.sleep(0.01)
    return version


def test_a_new_champion_takes_its_place_and_each_answer_says_which_one_it_is_of(
    client: httpx.Client, shop: Shop
) -> None:
    first = client.post("/invocations", json=customer()).json()
    shop.publish("v2", "linear")
    assert version_after(client, "v1") == "v2"
    second = client.post("/invocations", json=customer()).json()
    assert (first["model_version"], second["model_version"]) == ("v1", "v2")
    assert first["churn_probability"] != second["churn_probability"]
    assert not shop.alerts


def test_a_champion_that_does_not_load_leaves_the_old_one_and_is_an_alert(shop: Shop) -> None:
    model = shop.model()
    model.start()
    shop.publish("v2", content=b"no bundle")
    assert not model.refresh()
    assert not model.refresh()  # said once
    assert model.plan is not None
    assert model.plan.version == "v1"
    assert [
        bool(re.search("shop: the model server could not load .*; model v1 goes on answering", line))
        for line in shop.alerts
    ] == [True]
    with shop.client(model) as client:
        assert client.post("/invocations", json=customer()).json()["model_version"] == "v1"
        assert "failure" in client.get("/ping").json()
    restarted = shop.model()  # a worker that begins meanwhile takes the model that loaded last
    restarted.start()
    assert restarted.plan is not None
    assert restarted.plan.version == "v1"
    shop.publish("v3")
    assert model.refresh()
    assert (model.plan.version, model.failure) == ("v3", None)


def test_what_passes_by_itself_is_tried_again_without_another_champion(shop: Shop) -> None:
    """A folder that cannot be written for a moment leaves no failure behind."""
    model = shop.model()
    model.start()
    shop.publish("v2")
    last_loaded = shop.root / "last_loaded.json"
    last_loaded.unlink()
    last_loaded.mkdir()
    assert not model.refresh()
    last_loaded.rmdir()
    assert model.refresh()
    assert model.failure is None
    assert len(shop.alerts) == 1


def test_without_any_model_that_loads_it_starts_and_waits(shop: Shop) -> None:
    shop.model().start()
    shop.publish("v2", content=b"no bundle")
    shop.lake.withdraw(version_prefix("shop", TUNED_MODEL, "v1"))
    restarted = shop.model()
    restarted.start()
    assert restarted.plan is None
    shop.publish("v3")
    assert restarted.refresh()


def test_a_spec_that_is_broken_while_serving_leaves_the_old_one_and_is_an_alert(shop: Shop) -> None:
    model = shop.model()
    before = model.load()
    shop.spec.write_text("label: [")
    assert not model.refresh()
    assert model.plan is before
    assert len(shop.alerts) == 1
    shop.spec.write_text(SPEC.replace("cost: 40", "cost: 41"))
    assert model.refresh()
    assert model.plan is not before
    assert model.plan is not None
    assert model.plan.bundle is before.bundle
    assert model.plan.costs_version != before.costs_version
    assert model.plan.policy.costs == load_spec(shop.spec).costs


def test_hosts_and_tokens(shop: Shop) -> None:
    with shop.client(token="a-long-random-token") as client:
        assert client.get("/ping").status_code == 200
        assert client.get("/metrics").status_code == 401
        assert (
            client.post("/invocations", json=customer(), headers={"Authorization": "Bearer wrong"}).status_code == 401
        )
        assert (
            client.post(
                "/invocations", json=customer(), headers={"Authorization": "Bearer a-long-random-token"}
            ).status_code
            == 200
        )
        assert client.get("/", auth=("anybody", "a-long-random-token")).status_code == 200
        assert client.get("/", headers={"Authorization": "Basic ="}).status_code == 401
        assert client.get("/ping", headers={"Host": "evil.example"}).status_code == 403
    assert "a-long-random-token" not in repr(shop.options(token="a-long-random-token"))


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"x" * 2_000, {}, 413),
        (iter([b"x" * 900, b"x" * 900]), {}, 413),
        (b"{}", {"Content-Type": "application/xml"}, 415),
        (b"", {}, 400),
        (b"{", {}, 400),
        (b"{}", {}, 422),
    ],
)
def test_what_is_refused_is_said_and_counted_and_harms_nothing(
    shop: Shop, content: Any, headers: dict[str, str], status: int
) -> None:
    with shop.client(limits=Limits(body=1_000)) as client:
        answer = client.post("/invocations", content=content, headers=headers)
        assert answer.status_code == status
        assert answer.json()["errors"][0]["todo"]
        counted = client.get("/metrics").text
        assert re.search(rf'churn_requests_total{{status="{status}"}} [1-9]', counted)
        assert client.post("/invocations", json=customer()).status_code == 200


def test_a_body_that_comes_too_slowly_or_never_ends_is_refused(shop: Shop) -> None:
    async def read(messages: AsyncIterator[dict[str, Any]]) -> bytes:
        async def receive() -> dict[str, Any]:
            return await anext(messages)

        scope = {"type": "http", "method": "POST", "path": "/invocations", "headers": []}
        return await read_body(HttpRequest(scope, receive), shop.options(body_seconds=0.05))

    async def slow() -> AsyncIterator[dict[str, Any]]:
        yield {"type": "http.request", "body": b"{", "more_body": True}
        await asyncio.sleep(5)

    async def cut() -> AsyncIterator[dict[str, Any]]:
        yield {"type": "http.request", "body": b"{", "more_body": True}
        yield {"type": "http.disconnect"}

    with pytest.raises(BadRequest, match=r"the whole body within 0\.05 seconds; found a part"):
        asyncio.run(read(slow()))
    with pytest.raises(BadRequest, match="a whole body; found a closed connection"):
        asyncio.run(read(cut()))


def test_the_document_names_each_field_with_what_training_saw(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    fields = document["components"]["schemas"]["Customer"]
    assert list(fields["properties"])[:3] == ["customer", "day", "minutes"]
    assert "customer" not in fields["required"]
    assert {"minutes", "plan", "worth"} <= set(fields["required"])
    assert set(fields["properties"]["plan"]["examples"]) == {"basic", "Plus", "pro"}
    answer = client.post("/invocations", json=customer()).json()
    described = document["components"]["schemas"]["Answer"]
    assert set(described["required"]) <= set(answer) <= set(described["properties"])
    assert set(document["paths"]["/invocations"]["post"]["responses"]) >= {"200", "400", "413", "415", "422"}


def test_a_bug_is_logged_without_what_was_asked(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    model = shop.model()
    with shop.client(model) as client:
        broken = model.load()
        broken.fields = ()  # what no request can cause
        del broken.names
        answer = client.post("/invocations", json=customer(customer="secret-id"))
    assert answer.status_code == 500
    assert "its log says where" in answer.json()["error"]
    assert "AttributeError" in caplog.text
    assert "protocol.py" in caplog.text
    assert "secret-id" not in caplog.text


def test_an_answer_that_takes_too_long_is_given_up_while_it_waits_and_while_it_is_computed(shop: Shop) -> None:
    many = [customer() for _ in range(300)]
    with shop.client(answer_seconds=0) as client:
        late = client.post("/invocations", json=many)
        assert (late.status_code, late.headers["retry-after"]) == (503, "1")
        assert "an answer within 0 seconds; found none yet" in late.json()["error"]
        assert client.post("/invocations", json=customer()).status_code == 200
    looks = iter([False, True])
    columns = Request(body=json.dumps([customer()] * (2 * AT_A_TIME)).encode(), is_late=lambda: next(looks))
    with pytest.raises(TooLate):
        respond(plan_of(shop), columns, Limits())
    assert next(looks, None) is None  # it ended after the first of two blocks
