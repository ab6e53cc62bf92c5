"""What every endpoint promises. A new adapter joins by adding itself to the table."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from churn_model.models.bundle import Bundle, write_bundle
from churn_model.models.bundle_file import BUNDLE
from churn_model.serving.plan import Plan
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.costs import Contact, Costs, ValueColumn
from churn_model.spec.sections.endpoint import Endpoint as Section
from resources.errors import EndpointError
from resources.local.endpoint import LocalEndpoint
from resources.local.lake import LocalLake
from resources.ports.endpoint import IN_SERVICE, Candidate, Deployment, Endpoint
from resources.ports.lake import Lake
from tests.churn_model.serving.shop import SHOP, landed, made_bundle, records

if TYPE_CHECKING:
    from resources.aws.lake import S3Lake

DATASET = Dataset.from_json(replace(SHOP, endpoint=Section()).to_json())
CUSTOMERS = records(landed(5, seed=3))


@dataclass(frozen=True)
class Setup:
    endpoint: Endpoint
    lake: Lake


@contextmanager
def local(folder: Path, _request: pytest.FixtureRequest) -> Iterator[Setup]:
    lake = LocalLake(root=str(folder / "lake"))
    yield Setup(LocalEndpoint(lake=lake, folder=str(folder / "endpoints")), lake)


@contextmanager
def aws(folder: Path, request: pytest.FixtureRequest) -> Iterator[Setup]:
    from tests.aws.sagemaker.running import endpoint_on, running_endpoints

    lake: S3Lake = request.getfixturevalue("aws_lake")
    with running_endpoints(lake, folder):
        yield Setup(endpoint_on(lake), lake)


ENDPOINTS: dict[str, Callable[[Path, pytest.FixtureRequest], AbstractContextManager[Setup]]] = {
    "local": local,
    "aws": aws,
}


@pytest.fixture(params=ENDPOINTS)
def setup(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Setup]:
    with ENDPOINTS[request.param](tmp_path, request) as made:
        yield made


def put_model(setup: Setup, bundle: Bundle, folder: Path) -> str:
    """Put a model into the lake, and return the key of its file."""
    write_bundle(bundle, folder / "bundle")
    key = f"shop/tuned_model/{bundle.version.replace('_', '-')}/{BUNDLE}"
    setup.lake.put(key, (folder / "bundle").read_bytes())
    return key


@pytest.fixture
def trees(setup: Setup, tmp_path: Path) -> Deployment:
    key = put_model(setup, made_bundle("boosted_trees"), tmp_path)
    return Deployment(dataset=DATASET, model="v-boosted_trees", bundle=key, version="d1")


def ask(endpoint: Endpoint, model: str, plan: Plan, variant: str = "") -> None:
    """The endpoint answers as the model does, and says that it is this model."""
    body = json.dumps(CUSTOMERS).encode()
    answer = endpoint.ask("shop", body, content_type="application/json", accept="application/json", variant=variant)
    assert (answer.content_type, answer.model) == ("application/json", model)
    found = [each["churn_probability"] for each in json.loads(answer.body)["answers"]]
    assert found == [plan.answer(each).churn_probability for each in CUSTOMERS]


def test_where_there_is_none_it_is_said_and_nothing_is_removed(setup: Setup) -> None:
    assert setup.endpoint.find("shop") is None
    assert not setup.endpoint.delete("shop")
    assert setup.endpoint.count_requests("shop", timedelta(days=1)) == 0
    with pytest.raises(EndpointError, match=r"an endpoint of shop; found none. .*churn endpoint shop deploy"):
        setup.endpoint.ask("shop", b"{}", content_type="application/json", accept="*/*")


def test_what_was_deployed_answers_until_another_is(setup: Setup, trees: Deployment, tmp_path: Path) -> None:
    first = setup.endpoint.deploy(trees)
    assert (first.status, first.version, first.model, first.is_new) == (IN_SERVICE, "d1", "v-boosted_trees", True)
    ask(setup.endpoint, "v-boosted_trees", Plan(made_bundle("boosted_trees"), DATASET))
    again = setup.endpoint.deploy(trees)
    assert again == replace(first, is_new=False)
    forest = put_model(setup, made_bundle("random_forest"), tmp_path)
    second = setup.endpoint.deploy(replace(trees, model="v-random_forest", bundle=forest, version="d2"))
    assert (second.version, second.model, second.is_new) == ("d2", "v-random_forest", True)
    assert setup.endpoint.find("shop") == replace(second, is_new=False)
    ask(setup.endpoint, "v-random_forest", Plan(made_bundle("random_forest"), DATASET))
    assert setup.endpoint.count_requests("shop", timedelta(days=1)) == 2


def test_another_policy_is_another_deployment_of_the_same_model(setup: Setup, trees: Deployment) -> None:
    setup.endpoint.deploy(trees)
    body = json.dumps(CUSTOMERS[0]).encode()

    def cutoff() -> float:
        answer = setup.endpoint.ask("shop", body, content_type="application/json", accept="application/json")
        return float(json.loads(answer.body)["cutoff"])

    before = cutoff()
    costs = Costs(contact=Contact(cost=5.0, success=0.5, value=ValueColumn(column="worth")))
    setup.endpoint.deploy(replace(trees, dataset=replace(DATASET, costs=costs), version="d2"))
    assert cutoff() < before


def test_a_model_that_does_not_load_never_replaces_one_that_answers(setup: Setup, trees: Deployment) -> None:
    setup.endpoint.deploy(trees)
    setup.lake.put("shop/tuned_model/broken/model.tar.gz", b"nothing")
    broken = replace(trees, model="broken", bundle="shop/tuned_model/broken/model.tar.gz", version="d2")
    with pytest.raises(EndpointError, match=r"(?s)model broken to answer.*goes on answering.*") as refusal:
        setup.endpoint.deploy(broken)
    assert "Expected a tar.gz file" in str(refusal.value)
    found = setup.endpoint.find("shop")
    assert found is not None
    assert (found.status, found.version) == (IN_SERVICE, "d1")
    ask(setup.endpoint, "v-boosted_trees", Plan(made_bundle("boosted_trees"), DATASET))


def test_what_it_refuses_is_an_error_with_its_words(setup: Setup, trees: Deployment) -> None:
    setup.endpoint.deploy(trees)
    body = json.dumps(CUSTOMERS[0] | {"minutes": "many"}).encode()
    with pytest.raises(EndpointError, match=r"found Row 1: minutes: expected a number"):
        setup.endpoint.ask("shop", body, content_type="application/json", accept="*/*")


@pytest.fixture
def both(setup: Setup, trees: Deployment, tmp_path: Path) -> Deployment:
    """The trees on machines, with a forest beside them that answers half of the requests."""
    forest = put_model(setup, made_bundle("random_forest"), tmp_path)
    dataset = replace(DATASET, endpoint=Section(engine="instance"))
    candidate = Candidate(name="forest", model="v-random_forest", share=0.5)
    return replace(trees, dataset=dataset, candidate=candidate, candidate_bundle=forest)


def models_that_answer(endpoint: Endpoint, requests: int) -> Counter[str]:
    body = json.dumps(CUSTOMERS[0]).encode()
    answers = (endpoint.ask("shop", body, content_type="application/json", accept="*/*") for _ in range(requests))
    return Counter(answer.model for answer in answers)


def test_a_candidate_answers_its_share_of_requests_until_it_is_taken_back(setup: Setup, both: Deployment) -> None:
    alone = replace(both, candidate=None, candidate_bundle="")
    assert setup.endpoint.deploy(alone).candidate is None
    served = setup.endpoint.deploy(both)
    assert (served.version, served.candidate, served.is_new) == ("d1", both.candidate, True)
    assert not setup.endpoint.deploy(both).is_new
    ask(setup.endpoint, "v-boosted_trees", Plan(made_bundle("boosted_trees"), DATASET), "champion")
    ask(setup.endpoint, "v-random_forest", Plan(made_bundle("random_forest"), DATASET), "forest")
    # Of 20 requests that are shared evenly, one in 500,000 times all are one model's.
    assert models_that_answer(setup.endpoint, 20).keys() == {"v-boosted_trees", "v-random_forest"}
    assert setup.endpoint.count_requests("shop", timedelta(days=1)) == 22
    assert both.candidate is not None
    everyone = setup.endpoint.deploy(replace(both, candidate=replace(both.candidate, share=1.0)))
    assert everyone.candidate is not None
    assert (everyone.candidate.share, everyone.is_new) == (1.0, True)
    assert models_that_answer(setup.endpoint, 3) == {"v-random_forest": 3}
    assert setup.endpoint.deploy(alone).candidate is None
    assert models_that_answer(setup.endpoint, 3) == {"v-boosted_trees": 3}
    with pytest.raises(EndpointError, match="forest"):
        setup.endpoint.ask("shop", b"{}", content_type="application/json", accept="*/*", variant="forest")


def test_a_candidate_in_the_shadow_answers_nobody(setup: Setup, both: Deployment) -> None:
    assert both.candidate is not None
    shadow = replace(both.candidate, share=0.0, shadow=True)
    assert setup.endpoint.deploy(replace(both, candidate=shadow)).candidate == shadow
    assert models_that_answer(setup.endpoint, 3) == {"v-boosted_trees": 3}
    with pytest.raises(EndpointError, match="forest"):
        setup.endpoint.ask("shop", b"{}", content_type="application/json", accept="*/*", variant="forest")


def test_a_candidate_that_does_not_load_changes_nothing(setup: Setup, both: Deployment) -> None:
    setup.endpoint.deploy(replace(both, candidate=None, candidate_bundle=""))
    setup.lake.put("shop/tuned_model/broken/model.tar.gz", b"nothing")
    with pytest.raises(EndpointError, match=r"(?s)v-random_forest.*goes on answering"):
        setup.endpoint.deploy(replace(both, candidate_bundle="shop/tuned_model/broken/model.tar.gz"))
    found = setup.endpoint.find("shop")
    assert found is not None
    assert (found.status, found.version, found.candidate) == (IN_SERVICE, "d1", None)


def test_without_machines_there_is_no_candidate(both: Deployment) -> None:
    with pytest.raises(EndpointError, match=r"engine: instance for a candidate.*found engine: serverless"):
        replace(both, dataset=DATASET)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"share": 1 / 3}, r"a share from 0 to 1, with 6 digits at most; found 0\.333"),
        ({"share": 10.0}, r"a share from 0 to 1, .*found 10\.0"),
        ({"shadow": True}, r"share 0 of a candidate in the shadow.*found 0\.5"),
        ({"name": "champion"}, r"a name .* other than champion.*found 'champion'"),
        ({"name": "the new one", "share": -1.0}, r"(?s)1\. .*found 'the new one'.*2\. .*found -1\.0"),
    ],
)
def test_a_run_s_config_is_looked_at_as_the_command_s_words_are(
    setup: Setup, both: Deployment, asked: dict[str, Any], words: str
) -> None:
    assert both.candidate is not None
    with pytest.raises(EndpointError, match=words):
        setup.endpoint.deploy(replace(both, candidate=replace(both.candidate, **asked)))
    assert setup.endpoint.find("shop") is None


def test_an_endpoint_that_was_deployed_meanwhile_is_not_deleted(setup: Setup, trees: Deployment) -> None:
    idle = setup.endpoint.deploy(trees)
    meanwhile = setup.endpoint.deploy(replace(trees, version="d2"))
    with pytest.raises(EndpointError, match=r"as it was when its deletion was asked for; found .* changed meanwhile"):
        setup.endpoint.delete("shop", unchanged_since=idle.since)
    assert setup.endpoint.find("shop") == replace(meanwhile, is_new=False)
    assert setup.endpoint.delete("shop", unchanged_since=meanwhile.since)
    assert not setup.endpoint.delete("shop", unchanged_since=meanwhile.since)


def test_a_deleted_endpoint_is_gone_and_may_come_again(setup: Setup, trees: Deployment) -> None:
    setup.endpoint.deploy(trees)
    assert setup.endpoint.delete("shop")
    assert setup.endpoint.find("shop") is None
    assert not setup.endpoint.delete("shop")
    assert setup.endpoint.deploy(trees).is_new
