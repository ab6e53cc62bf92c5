"""Bad input over HTTP: each kind gets its status and its message, and the server answers the next request as before."""

import gzip
import http.client
import json
import re
import string
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.catalog.names import champion_key
from tests.churn_assets.model_server.served import Shop, customer
from tests.churn_model.serving.shop import landed, records

ONE = customer()
NAMES = [*ONE][:-1]  # without the label
CSV = {"Content-Type": "text/csv"}
HEADER = ",".join(NAMES).encode() + b"\n"
LINE = ",".join(f'"{ONE[name]}"' for name in NAMES).encode() + b"\n"


def with_raw(name: str, raw: str) -> bytes:
    """Return the customer as JSON with a value as it is written here."""
    return json.dumps(ONE | {name: "HERE"}).replace('"HERE"', raw).encode()


def without(name: str) -> bytes:
    return json.dumps({key: value for key, value in ONE.items() if key != name}).encode()


@pytest.mark.parametrize(
    ("content", "headers", "status", "message"),
    [
        pytest.param(b"1,2\n", CSV, 400, "11 values or 10 values in a row without a header; found 2", id="too short"),
        pytest.param(LINE[:-1] + b",1,2\n", CSV, 400, "in a row without a header; found 13", id="too long"),
        pytest.param(
            HEADER + b"1,2\n", CSV, 422, "Row 1: expected 11 values, as in the header, found 2", id="short row"
        ),
        pytest.param(
            without("minutes"), {}, 422, r"minutes: expected a field minutes \(number\), found none", id="missing field"
        ),
        pytest.param(
            with_raw("minutes", '"lots"'), {}, 422, "minutes: expected a number, found 'lots'", id="text in a number"
        ),
        pytest.param(with_raw("worth", "1e400"), {}, 422, "worth: expected a finite number", id="1e400"),
        pytest.param(with_raw("worth", "NaN"), {}, 422, "worth: .*found a blank", id="NaN"),
        pytest.param(with_raw("worth", "Infinity"), {}, 422, "worth: expected a finite number", id="infinity"),
        pytest.param(
            with_raw("minutes", "-Infinity"), {}, 422, "minutes: expected a finite number", id="minus infinity"
        ),
        pytest.param(
            with_raw("plan", '{"a": 1}'), {}, 422, "plan: expected text, a number.*found an object", id="object"
        ),
        pytest.param(b'{"minutes": 1, "minutes": 2}', {}, 400, "each key once; found one twice", id="duplicate keys"),
        pytest.param(b"[" * 100_000, {}, 400, "nested too deeply", id="deep arrays"),
        pytest.param(b'{"a":' * 100_000, {}, 400, "nested too deeply", id="deep objects"),
        pytest.param(with_raw("plan", r'"\ud800"'), {}, 400, "half of a surrogate pair", id="lone surrogate"),
        pytest.param(b'{"plan": "\xff"}', {}, 400, "text in UTF-8", id="not UTF-8"),
        pytest.param(b"a,b\n1,2\n", CSV, 400, "found 2", id="wrong header"),
        pytest.param(b"{}", {"Content-Type": "application/xml"}, 415, "application/xml", id="wrong type"),
        pytest.param(b"{}", {"Content-Type": "text/html"}, 415, "text/html", id="another wrong type"),
        pytest.param(b"{}", {"Accept": "text/html"}, 406, "text/html", id="wrong accept"),
        pytest.param(
            b"{}", {"Content-Encoding": "br"}, 415, "Content-Encoding gzip or none; found br", id="wrong encoding"
        ),
        pytest.param(b"", {}, 400, "at least one row; found an empty", id="empty"),
        pytest.param(b" \n", CSV, 400, "at least one row; found an empty", id="blank"),
        pytest.param(b"[]", {}, 400, "at least one row; found an empty array", id="no rows"),
        pytest.param(b"x" * 10_000_000, {}, 413, "a body of at most 6,291,456 bytes; found more", id="10 MB"),
        pytest.param(
            gzip.compress(b" " * (65 << 20), 1),
            {"Content-Encoding": "gzip"},
            413,
            "at most 67,108,864 bytes when inflated; found more",
            id="gzip bomb",
        ),
        pytest.param(
            b"\n".join([b"{}"] * 50_001), {"Content-Type": "application/jsonlines"}, 413, "50,000 rows", id="rows"
        ),
    ],
)
def test_it_is_refused_with_what_was_expected_and_the_next_request_is_answered(
    shared_client: httpx.Client, content: bytes, headers: dict[str, str], status: int, message: str
) -> None:
    answer = shared_client.post("/invocations", content=content, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert re.search(message, answer.json()["error"])
    assert {"row", "field", "expected", "found", "todo"} == set(answer.json()["errors"][0])
    assert shared_client.post("/invocations", json=ONE).status_code == 200


def test_a_body_that_is_too_large_is_refused_to_clients_that_send_all_before_they_look(
    shared_client: httpx.Client,
) -> None:
    for _ in range(3):  # a reset comes sooner or later
        connection = http.client.HTTPConnection("127.0.0.1", shared_client.base_url.port or 0, timeout=30)
        connection.request("POST", "/invocations", b"x" * 10_000_000)
        assert connection.getresponse().status == 413
        connection.close()


def test_what_is_no_error_is_answered_and_named(shared_client: httpx.Client) -> None:
    known = shared_client.post("/invocations", json=ONE).json()
    more = shared_client.post("/invocations", json=ONE | {"minuets": 1}).json()
    assert (more["churn_probability"], more["ignored"]) == (known["churn_probability"], ["left", "minuets"])
    assert shared_client.post("/invocations", json=ONE | {"plan": "gold"}).json()["unknown"] == ["plan"]
    large = shared_client.post("/invocations", content=with_raw("customer", "9007199254740993")).json()
    assert large["id"] == "9007199254740993"


def test_one_bad_row_among_many_answers_with_its_error_or_fails_the_request(shared_client: httpx.Client) -> None:
    rows: list[Any] = [dict(each) for each in records(landed(200, seed=3))]
    rows[70]["minutes"] = "lots"
    found = shared_client.post("/invocations", json=rows)
    assert [n for n, each in enumerate(found.json()["answers"]) if "errors" in each] == [70]
    assert found.json()["answers"][70]["errors"][0]["row"] == 71
    failed = shared_client.post("/invocations", params={"errors": "fail"}, json=rows)
    assert (failed.status_code, failed.json()["errors"][0]["row"]) == (422, 71)


def test_a_bundle_replaced_by_a_broken_one_and_a_spec_broken_while_serving_change_no_answer(shop: Shop) -> None:
    with shop.client() as client:
        before = client.post("/invocations", json=ONE).json()
        for harm in (
            lambda: shop.publish("v2", content=b"no bundle"),
            lambda: shop.spec.write_text("label: ["),
            shop.spec.unlink,
            lambda: (shop.root / "lake" / champion_key("shop")).write_bytes(b"{"),
        ):
            said = len(shop.alerts)
            harm()
            for _ in range(500):
                assert client.post("/invocations", json=ONE).json() == before
                if len(shop.alerts) > said:
                    break
            assert client.get("/ping").json()["failure"]
            assert "goes on answering" in shop.alerts[-1]


VALUE = st.none() | st.booleans() | st.integers() | st.floats() | st.text(string.printable, max_size=12)
ROW = st.dictionaries(st.sampled_from(NAMES), VALUE, max_size=4).map(lambda changes: ONE | changes)
CONTENT = (
    st.binary(max_size=200)
    | (VALUE | st.lists(ROW | VALUE, max_size=4)).map(lambda value: json.dumps(value).encode())
    | st.lists(st.binary(max_size=30), max_size=4).map(lambda lines: HEADER + b"\n".join(lines))
)
KINDS = ["application/json", "application/jsonlines", "text/csv", "text/csv; header=present", "application/x-parquet"]


@settings(deadline=None, max_examples=60)
@given(content=CONTENT, kind=st.sampled_from(KINDS), encoding=st.sampled_from(["identity", "gzip"]))
def test_whatever_is_sent_is_answered_or_refused_and_never_a_fault(
    shared_client: httpx.Client, content: bytes, kind: str, encoding: str
) -> None:
    sent = {"Content-Type": kind, "Accept": "application/json", "Content-Encoding": encoding}
    answer = shared_client.post("/invocations", content=content, headers=sent)
    assert answer.status_code in (200, 400, 413, 415, 422)
    assert json.loads(answer.content, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    for row in answer.json().get("answers", ()) if answer.status_code == 200 else ():
        assert "errors" in row or 0 <= row["churn_probability"] <= 1
