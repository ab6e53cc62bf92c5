"""The OpenAPI document against the server: requests made from it, right ones and wrong ones, are answered as it says."""

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.generation.modes import GenerationMode

from tests.churn_assets.model_server.served import customer

CASES = [
    ("/invocations", "POST", GenerationMode.POSITIVE),
    ("/invocations", "POST", GenerationMode.NEGATIVE),
    ("/ping", "GET", GenerationMode.POSITIVE),
    ("/execution-parameters", "GET", GenerationMode.POSITIVE),
]
# A schema cannot say which texts are numbers or days in a column's own format, nor that one value of a row must be known.
BEYOND_A_SCHEMA = [schemathesis.checks.positive_data_acceptance]


@pytest.fixture(scope="module")
def document(shared_client: httpx.Client) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_dict(shared_client.get("/openapi.json").json())


@pytest.mark.parametrize(("path", "method", "mode"), CASES)
@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_requests_made_from_the_document_are_answered_as_it_says(
    document: schemathesis.BaseSchema,
    shared_client: httpx.Client,
    path: str,
    method: str,
    mode: GenerationMode,
    data: st.DataObject,
) -> None:
    case = data.draw(document[path][method].as_strategy(generation_mode=mode))
    case.call_and_validate(base_url=str(shared_client.base_url), excluded_checks=BEYOND_A_SCHEMA)


def test_an_example_of_each_field_makes_a_customer_that_is_answered(shared_client: httpx.Client) -> None:
    fields = shared_client.get("/openapi.json").json()["components"]["schemas"]["Customer"]
    row = customer() | {name: each["examples"][0] for name, each in fields["properties"].items() if "examples" in each}
    answer = shared_client.post("/invocations", json=row)
    assert answer.status_code == 200
    assert answer.json()["unknown"] == []
