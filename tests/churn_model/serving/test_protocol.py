"""Requests and answers, whatever is sent."""

import csv
import gzip
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn_model.serving.blocks import read_alike
from churn_model.serving.plan import Plan
from churn_model.serving.protocol import ONE_BY_ONE, Request, Response, respond
from churn_model.serving.requests import Limits
from tests.churn_model.serving.shop import DATASETS, landed, made_bundle, records

PLAN = Plan(made_bundle("boosted_trees"), DATASETS["shop"])
ROWS = records(landed(60, seed=9))
ONE = ROWS[0]
LIMITS = Limits(body=1 << 20, inflated=1 << 20, rows=1_000)


def ask(body: Any, *, limits: Limits = LIMITS, **more: Any) -> Response:
    return respond(PLAN, Request(body=body if isinstance(body, bytes) else json.dumps(body).encode(), **more), limits)


def loaded(response: Response) -> Any:
    return json.loads(response.body)


@pytest.mark.parametrize("count", [1, ONE_BY_ONE + 1])
def test_a_number_of_json_is_itself_whatever_format_its_column_has(count: int) -> None:
    """The text 20.345 of `bill` is 20345; the number is not."""
    as_number, as_text = [[{**ONE, "bill": bill}] * count for bill in (20.345, "20,345")]
    assert loaded(ask(as_number)) == loaded(ask(as_text))
    assert loaded(ask([{**ONE, "bill": 115.7}] * count)) == loaded(ask([{**ONE, "bill": "115,7"}] * count))
    huge = json.dumps({**ONE, "bill": 7}).replace('"bill": 7', '"bill": 1e99999999999999999999').encode()
    assert loaded(ask(huge))["errors"][0]["field"] == "bill"


def to_csv(rows: list[dict[str, str]], *, header: bool = True, names: list[str] | None = None) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    names = names or list(rows[0])
    writer.writerows([*([names] if header else []), *([row[name] for name in names] for row in rows)])
    return text.getvalue().encode()


def to_parquet(rows: list[dict[str, str]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


def answers_to(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    found = loaded(ask(rows))["answers"]
    assert len(found) == len(rows)
    return list(found)


def test_one_customer_gets_one_answer_with_the_versions_of_model_and_costs() -> None:
    response = ask(ONE)
    found, answer = loaded(response), PLAN.answer(ONE)
    assert response.status == 200
    assert found["churn_probability"] == answer.churn_probability
    assert (found["id"], found["as_of"], found["will_churn"]) == ("C0", "2024-01-01", answer.will_churn)
    assert (found["model_version"], found["costs_version"]) == (PLAN.version, PLAN.costs_version)
    assert response.headers == {"x-model-version": PLAN.version, "x-costs-version": PLAN.costs_version}


@pytest.mark.parametrize("count", [3, ONE_BY_ONE + 10])
def test_every_format_gives_the_same_answers(count: int) -> None:
    rows = ROWS[:count]
    expected = answers_to(rows)
    lines = b"\n".join(json.dumps(row).encode() for row in rows)
    names = [field.name for field in PLAN.fields]
    bodies = [
        (lines, "application/jsonlines"),
        (lines, "application/x-ndjson; charset=utf-8"),
        (to_csv(rows), "text/csv"),
        (to_csv(rows), "text/csv; header=present"),
        (to_csv(rows, header=False, names=names), "text/csv"),
        (to_csv(rows, header=False, names=names), "text/csv; header=absent"),
        (to_parquet(rows), "application/vnd.apache.parquet"),
        (json.dumps({"instances": rows}).encode(), "application/json"),
        (gzip.compress(json.dumps(rows).encode()), "application/json"),
    ]
    for body, kind in bodies:
        encoding = "gzip" if body[:2] == b"\x1f\x8b" else ""
        response = ask(body, content_type=kind, accept="application/json", content_encoding=encoding)
        assert response.status == 200, response.body
        assert loaded(response)["answers"] == expected


def test_answers_come_in_the_format_of_the_request_or_the_one_accepted() -> None:
    rows = ROWS[:3]
    expected = answers_to(rows)
    as_csv = ask(to_csv(rows), content_type="text/csv")
    assert as_csv.content_type == "text/csv"
    found = list(csv.DictReader(io.StringIO(as_csv.body.decode())))
    assert [float(row["churn_probability"]) for row in found] == [row["churn_probability"] for row in expected]
    names = [field.name for field in PLAN.fields]
    bare = ask(to_csv(rows, header=False, names=names), content_type="text/csv; header=absent")
    assert bare.body == as_csv.body.split(b"\n", 1)[1]
    table = pq.read_table(io.BytesIO(ask(rows, accept="application/x-parquet").body))
    assert table["churn_probability"].to_pylist() == [row["churn_probability"] for row in expected]
    assert table["as_of"].to_pylist()[0].isoformat() == "2024-01-01"
    accept = "text/html, application/jsonlines;q=0.9, application/json;q=0.1"
    lines = ask(rows, accept=accept).body.splitlines()
    assert [json.loads(line)["churn_probability"] for line in lines] == [row["churn_probability"] for row in expected]


def test_a_row_without_a_header_may_leave_the_id_out() -> None:
    names = [field.name for field in PLAN.inputs]
    found = loaded(ask(to_csv([ONE], header=False, names=names), content_type="text/csv", accept="application/json"))
    assert found["answers"][0]["churn_probability"] == PLAN.answer(ONE).churn_probability
    assert "customer" not in names


def test_ids_are_text_with_all_their_digits_and_formulas_are_harmless_in_csv() -> None:
    body = json.dumps(ONE).replace('"C0"', "9007199254740993").encode()
    assert loaded(ask(body))["id"] == "9007199254740993"
    response = ask(ONE | {"customer": "=1+1"}, accept="text/csv")
    assert next(csv.DictReader(io.StringIO(response.body.decode())))["id"] == "'=1+1"


@pytest.mark.parametrize("count", [3, ONE_BY_ONE + 10])
def test_one_bad_row_among_many_answers_with_its_error_or_fails_the_request(count: int) -> None:
    rows: list[Any] = [dict(row) for row in ROWS[:count]]
    rows[1] = rows[1] | {"minutes": "lots"}
    rows[2] = [1, 2]
    response = ask(rows)
    found = loaded(response)["answers"]
    assert (response.status, response.rows, response.refused, len(found)) == (200, count, 2, count)
    assert found[1]["errors"] == [
        {
            "row": 2,
            "field": "minutes",
            "expected": "a number",
            "found": "'lots'",
            "todo": "correct the value, or send null if it is unknown",
        }
    ]
    assert found[2]["errors"][0] == {
        "row": 3,
        "field": None,
        "expected": "an object with the fields of a customer",
        "found": "an array",
        "todo": "send one for each row",
    }
    assert found[0] == answers_to(ROWS[:1])[0]
    failed = ask(rows, query={"errors": "fail"})
    assert failed.status == 422
    assert [error["row"] for error in loaded(failed)["errors"]] == [2, 3]
    lines = list(csv.DictReader(io.StringIO(ask(rows, accept="text/csv").body.decode())))
    assert lines[1]["error"].startswith("minutes: Expected a number; found 'lots'")
    assert lines[1]["churn_probability"] == ""


def test_a_ragged_line_of_csv_is_refused_alone() -> None:
    good = to_csv(ROWS[:3]).splitlines()
    body = b"\n".join([*good[:2], b"too,short", *good[2:]])
    found = loaded(ask(body, content_type="text/csv", accept="application/json"))["answers"]
    assert [("errors" in row) for row in found] == [False, True, False, False]
    assert found[1]["errors"][0]["expected"] == "12 values, as in the header"


@pytest.mark.parametrize("above", [b"", b"\xef\xbb\xbf", b"\r\n \n", b"\xef\xbb\xbf\n"])
def test_a_header_may_come_after_blank_lines_and_a_byte_order_mark(above: bytes) -> None:
    found = loaded(ask(above + to_csv(ROWS[:3]), content_type="text/csv", accept="application/json"))
    assert found["answers"] == answers_to(ROWS[:3])


def without(name: str) -> dict[str, str]:
    return {key: value for key, value in ONE.items() if key != name}


@pytest.mark.parametrize(
    ("body", "more", "status", "message"),
    [
        (b"", {}, 400, "a body with at least one row"),
        (b"  \n", {"content_type": "text/csv"}, 400, "a body with at least one row"),
        (b"[]", {}, 400, "an empty array"),
        (b"\xef\xbb\xbf", {"content_type": "application/jsonlines"}, 400, "at least one row"),
        (b"3", {}, 400, "text or a number"),
        (b"null", {}, 400, "null"),
        (b"{", {}, 400, "not JSON"),
        (b"\xff\xfe", {}, 400, "another encoding"),
        (b'{"minutes": "\\ud800"}', {}, 400, "half of a surrogate pair"),
        (b'{"minutes": 1, "minutes": 2}', {}, 400, "one twice"),
        (b"[" * 100_000, {}, 400, "nested too deeply"),
        (b'{"a":' * 100_000, {}, 400, "nested too deeply"),
        (ONE | {"minutes": "1e400"}, {}, 422, "Row 1: minutes: expected a finite number"),
        (json.dumps(ONE).replace(f'"{ONE["worth"]}"', "1e400").encode(), {}, 422, "worth: expected a finite number"),
        (json.dumps(ONE).replace(f'"{ONE["worth"]}"', "NaN").encode(), {}, 422, "a blank"),
        (
            json.dumps(ONE).replace(f'"{ONE["worth"]}"', "-Infinity").encode(),
            {},
            422,
            "worth: expected a finite number",
        ),
        (ONE | {"worth": -1}, {}, 422, "worth: expected a worth from 0"),
        (without("minutes"), {}, 422, "minutes: expected a field minutes (number), found none"),
        ({}, {}, 422, "found none"),
        (ONE | {"minutes": {"deep": [1]}}, {}, 422, "an object"),
        (ONE, {"content_type": "application/xml"}, 415, "application/xml"),
        (ONE, {"accept": "text/html"}, 406, "text/html"),
        (ONE, {"accept": "application/json;q=0"}, 406, "Accept"),
        (ONE, {"query": {"reasons": "some"}}, 400, "reasons=contacted|all|none"),
        (ONE, {"query": {"errors": "x"}}, 400, "errors=row|fail"),
        (ONE, {"content_encoding": "br"}, 415, "br"),
        (ONE, {"content_encoding": "gzip"}, 400, "damaged"),
        (gzip.compress(b"{}", mtime=0)[:-4], {"content_encoding": "gzip"}, 400, "cut off"),
        (
            gzip.compress(b" " * (2 << 20), mtime=0),
            {"content_encoding": "gzip"},
            413,
            "at most 1,048,576 bytes when inflated",
        ),
        ([ONE] * 1_001, {}, 413, "at most 1,000 rows"),
        (b"{}\n" * 1_001, {"content_type": "application/jsonlines"}, 413, "at most 1,000 rows"),
        (to_csv([ONE]), {"content_type": "application/x-parquet"}, 400, "a whole Parquet file"),
        (to_parquet([ONE])[:-9], {"content_type": "application/x-parquet"}, 400, "a whole Parquet file"),
        (to_csv([without("minutes")]), {"content_type": "text/csv"}, 400, "no 'minutes'"),
        (b"customer,Customer\n1,2\n", {"content_type": "text/csv"}, 400, "'customer' twice"),
        (
            to_csv([ONE | {"customer": "x"}]) + b"1,2\n" * 3,
            {"content_type": "text/csv", "query": {"errors": "fail"}},
            422,
            "12 values",
        ),
        (to_csv([ONE]).replace(b"\r\n", b",more\r\n", 1), {"content_type": "text/csv"}, 422, "13 values"),
        (
            {"Minutes" if name == "minutes" else name: value for name, value in ONE.items()} | {"minutes": 1},
            {},
            422,
            "each field once",
        ),
        (ONE | {"minutes": "inf"}, {}, 422, "minutes"),
        (b"1,2,3\n", {"content_type": "text/csv"}, 400, "in a row without a header"),
        (to_csv([ONE]).split(b"\r\n")[0], {"content_type": "text/csv"}, 400, "a header alone"),
        (b"Customers of May\n" + to_csv([ONE]), {"content_type": "text/csv"}, 400, "other text above it"),
        (b"sep=,\n" + to_csv([ONE]), {"content_type": "text/csv"}, 400, "other text above it"),
        (
            b"Customers of May\r\n\r\nall of them\r\n" + to_csv(ROWS[:9]),
            {"content_type": "text/csv; header=present"},
            400,
            "other text above it",
        ),
        (b"a\x00b\n1\n", {"content_type": "text/csv"}, 400, "NUL"),
        (b'"open\n1\n', {"content_type": "text/csv"}, 400, "quote"),
    ],
)
def test_what_cannot_be_answered_is_said(body: Any, more: dict[str, Any], status: int, message: str) -> None:
    response = ask(body, **more)
    found = loaded(response)
    assert response.status == status
    assert response.content_type == "application/json"
    assert message in response.body.decode().replace('\\"', '"')
    assert {"row", "field", "expected", "found", "todo"} == set(found["errors"][0])


def test_names_that_no_field_has_are_given_back() -> None:
    assert loaded(ask(ONE | {"minuets": 1}))["ignored"] == ["left", "minuets"]


FIELD = st.sampled_from([*ONE, "", "MINUTES", "__proto__"])
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
BODY = (
    st.binary(max_size=300)
    | VALUE.map(lambda value: json.dumps(value).encode())
    | st.lists(st.dictionaries(FIELD, VALUE, max_size=14).map(lambda row: ONE | row) | VALUE, max_size=5).map(
        lambda rows: json.dumps(rows).encode()
    )
)
KIND = st.sampled_from(
    ["application/json", "application/jsonlines", "text/csv", "text/csv; header=absent", "application/x-parquet", "x"]
)


@settings(deadline=None, max_examples=80)
@given(
    body=BODY,
    kind=KIND,
    accept=st.sampled_from(["*/*", "text/csv", "application/json", "application/x-parquet"]),
    encoding=st.sampled_from(["", "gzip"]),
)
def test_whatever_is_sent_gets_an_answer_or_a_refusal(body: bytes, kind: str, accept: str, encoding: str) -> None:
    response = ask(body, content_type=kind, accept=accept, content_encoding=encoding)
    assert response.status in (200, 400, 413, 415, 422)
    if response.status != 200:
        assert loaded(response)["errors"]


def test_many_customers_that_are_not_alike_are_answered_as_each_by_itself() -> None:
    rows: list[dict[str, Any]] = [dict(row) for row in ROWS[: ONE_BY_ONE + 10]]
    alike = answers_to(rows)
    assert read_alike(PLAN, rows) is not None
    first = {name.upper(): value for name, value in rows[0].items()}
    no_id = {name: value for name, value in rows[1].items() if name != "customer"}
    more = rows[2] | {"hobby": "chess"}
    flag = rows[3] | {"roams": True}
    for place, row in enumerate((first, no_id, more, flag)):
        mixed = [*rows[:place], row, *rows[place + 1 :]]
        assert read_alike(PLAN, mixed) is None
        assert read_alike(PLAN, [*mixed[place:], *mixed[:place]]) is None
        found, [alone] = answers_to(mixed), [loaded(ask(row))]
        assert found[place] == {name: value for name, value in alone.items() if name in found[place]}
        assert found[:place] + found[place + 1 :] == alike[:place] + alike[place + 1 :]
    without = [{name: value for name, value in row.items() if name != "customer"} for row in rows]
    assert read_alike(PLAN, without) is not None
    assert answers_to(without) == [answer | {"id": None} for answer in alike]
