"""The model server of an endpoint answers as `churn serve` does, but for databases, which take one value a row and nothing else."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from churn_model.models.bundle import write_bundle
from churn_model.models.bundle_file import BUNDLE
from churn_model.serving.plan import Plan
from churn_model.serving.protocol import Request, respond
from churn_model.serving.requests import Limits
from churn_model.spec.dataset import Dataset
from churn_model.steps.endpoint import ATTRIBUTES, EndpointServer
from churn_model.steps.transform_variables import MODEL_CHARACTERS, from_variables, to_variables
from tests.churn_model.serving.shop import SHOP, landed, made_bundle, records

REQUEST = {"version": "v1", "xgboost": ""}
CUSTOMERS = records(landed(40, seed=5))


@dataclass
class Answered:
    status: str
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> str:
        return str(json.loads(self.body)["error"])


def ask(server: EndpointServer, body: bytes = b"", path: str = "/invocations", **headers: str) -> Answered:
    """Send a request as a server of WSGI does, which watches that the application keeps to it."""
    environment: dict[str, object] = {
        "REQUEST_METHOD": "GET" if path == "/ping" else "POST",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SCRIPT_NAME": "",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        **headers,
    }
    setup_testing_defaults(environment)
    answered: list[tuple[str, dict[str, str]]] = []

    def start(status: str, found: list[tuple[str, str]], _error: object = None) -> None:
        answered.append((status, dict(found)))

    chunks = validator(server)(environment, start)  # type: ignore[arg-type]
    content = b"".join(chunks)
    chunks.close()  # type: ignore[attr-defined]
    return Answered(*answered[0], content)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    write_bundle(made_bundle("boosted_trees"), folder / BUNDLE)
    return folder


@pytest.fixture(scope="module")
def plan() -> Plan:
    return Plan(made_bundle("boosted_trees"), Dataset.from_json(SHOP.to_json()))


def serve(model: Path, limits: Limits | None = None, **changes: object) -> EndpointServer:
    return EndpointServer(to_variables(SHOP, REQUEST | changes, MODEL_CHARACTERS) | {"CHURN_MODEL": str(model)}, limits)


def as_csv(plan: Plan, customers: list[dict[str, str]]) -> bytes:
    """Return what a database sends: the model's columns in their order, without a header."""
    text = io.StringIO()
    csv.writer(text).writerows([customer[field.name] for field in plan.inputs] for customer in customers)
    return text.getvalue().encode()


def test_the_answer_is_that_of_the_model_server_and_names_the_model(model: Path, plan: Plan) -> None:
    server = serve(model)
    body = json.dumps(CUSTOMERS).encode()
    answered = ask(server, body, CONTENT_TYPE="application/json")
    assert (answered.status, answered.headers["Content-Type"]) == ("200 OK", "application/json")
    assert answered.body == respond(plan, Request(body=body), Limits()).body
    assert answered.headers[ATTRIBUTES] == f"model_version={plan.version},costs_version={plan.costs_version}"
    assert json.loads(answered.body)["model_version"] == plan.version


def test_what_a_query_says_is_in_the_attributes_since_sagemaker_passes_on_no_query(model: Path, plan: Plan) -> None:
    server, body = serve(model), json.dumps(CUSTOMERS).encode()
    name = "HTTP_X_AMZN_SAGEMAKER_CUSTOM_ATTRIBUTES"
    answered = ask(server, body, CONTENT_TYPE="application/json", **{name: "reasons=all"}).body
    assert answered == respond(plan, Request(body=body, query={"reasons": "all"}), Limits()).body
    assert answered != respond(plan, Request(body=body), Limits()).body
    wrong = ask(server, body, CONTENT_TYPE="application/json", **{name: "reasons=some"})
    assert wrong.status == "400 Bad Request"
    assert "reasons=contacted|all|none" in wrong.error


def test_a_database_gets_one_probability_a_row_and_no_header(model: Path, plan: Plan) -> None:
    answered = ask(serve(model), as_csv(plan, CUSTOMERS), CONTENT_TYPE="text/csv", HTTP_ACCEPT="text/csv")
    assert (answered.status, answered.headers["Content-Type"]) == ("200 OK", "text/csv; header=absent")
    assert answered.body.decode().splitlines() == [repr(plan.answer(each).churn_probability) for each in CUSTOMERS]


def test_all_columns_are_had_by_asking_for_a_header(model: Path, plan: Plan) -> None:
    asked = {"CONTENT_TYPE": "text/csv", "HTTP_ACCEPT": "text/csv; header=present"}
    rows = list(csv.DictReader(io.StringIO(ask(serve(model), as_csv(plan, CUSTOMERS), **asked).body.decode())))
    assert [row["will_churn"] for row in rows] == [str(plan.answer(each).will_churn).lower() for each in CUSTOMERS]


def test_one_bad_row_fails_the_request_of_a_database(model: Path, plan: Plan) -> None:
    customers = [*CUSTOMERS[:2], CUSTOMERS[2] | {"minutes": "many"}]
    answered = ask(serve(model), as_csv(plan, customers), CONTENT_TYPE="text/csv", HTTP_ACCEPT="text/csv")
    assert answered.status.startswith("422 ")
    assert answered.error.startswith("Row 3: minutes: expected a number")


def test_a_model_that_cannot_answer_is_not_pinged_and_says_why(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(serve(model), path="/ping").status == "200 OK"
    (tmp_path / BUNDLE).write_bytes(b"nothing")
    cases: list[tuple[Callable[[], EndpointServer], str]] = [
        (lambda: serve(tmp_path), "Expected a tar.gz file"),
        (lambda: serve(model, xgboost="1.0.0"), "Expected an image with XGBoost 1.0.0; found "),
        (lambda: EndpointServer({"CHURN_REQUEST": "{", "CHURN_SPEC_0": SHOP.to_json()}), "JSONDecodeError"),
    ]
    for make, words in cases:
        server = make()
        pinged = ask(server, path="/ping")
        assert pinged.status == "503 Service Unavailable"
        assert words in pinged.error
        assert words in capsys.readouterr().err  # the endpoint's log: nothing else of it is ever seen
        assert ask(server, b"{}").status == "503 Service Unavailable"


def test_what_cannot_be_read_is_refused_with_its_status(model: Path) -> None:
    server = serve(model, Limits(body=100))
    assert ask(server, path="/models").status == "404 Not Found"
    assert ask(server, b"x", CONTENT_TYPE="text/plain").status == "415 Unsupported Media Type"
    assert ask(server, b"{}", CONTENT_TYPE="application/json", HTTP_ACCEPT="image/png").status == "406 Not Acceptable"
    large = ask(server, b" " * 101, CONTENT_TYPE="application/json")
    assert large.status.startswith("413 ")
    assert large.error.startswith("Expected a body of at most 100 bytes; found more.")


def test_a_bug_is_logged_by_its_place_and_never_by_what_was_asked(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server, value = serve(model), "".join(("a customer's", " own"))

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(value)

    monkeypatch.setattr(Plan, "answer", fail)
    answered = ask(server, json.dumps(CUSTOMERS[0]).encode(), CONTENT_TYPE="application/json")
    assert answered.status == "500 Internal Server Error"
    printed = capsys.readouterr().err
    assert "RuntimeError" in printed
    assert value not in printed + answered.body.decode()


def test_the_spec_fits_into_the_variables_of_a_model_whatever_its_letters() -> None:
    long = replace(SHOP, words={f"Größe {n}": "{value} Straßen" for n in range(100)})
    variables = to_variables(long, REQUEST, MODEL_CHARACTERS)
    assert len(variables) > 2
    assert all(len(value.encode()) <= 1_024 for value in variables.values())
    assert from_variables(variables) == (long, REQUEST)
