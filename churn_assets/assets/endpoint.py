"""The endpoint: where the champion answers on SageMaker, at today's costs and by today's code."""

import json
from typing import Any

import dagster as dg

from churn_assets.assets._checks import check_results, check_specs
from churn_assets.assets._errors import user_errors_as_failures
from churn_assets.assets._metadata import MODEL_TEAM, code_version_of
from churn_model.checks import Check, Claim
from churn_model.errors import ChurnError
from churn_model.models.bundle_file import BUNDLE
from churn_model.spec.dataset import Dataset
from churn_model.wording import percent
from resources.catalog.integrity import require_whole
from resources.catalog.names import CHAMPION_MODEL, ENDPOINT, TUNED_MODEL, asset_key, version_prefix
from resources.catalog.pointers import Champion, require_champion
from resources.catalog.versions import Maker, version_of
from resources.ports.endpoint import CHAMPION, Candidate, Deployment, Endpoint, Served
from resources.ports.lake import Lake
from resources.ports.run_locks import RunLocks
from resources.ports.runner import Runner

MAKER = Maker(ENDPOINT, modules=("churn_model.steps.endpoint",))
ANSWERS = Claim(
    "endpoint_answers_as_the_champion_does",
    description="Asked about one customer, the endpoint gave the probability that the champion's bundle gives here, to the bit.",
)


CANDIDATE_ANSWERS = Claim(
    "candidate_answers_as_its_model_does",
    description="Asked about one customer, the candidate beside the champion gave the probability that its bundle gives here, to the bit.",
)


class CandidateConfig(dg.Config):
    """A model version that answers a share of the requests, from 0 to 1, under a name; with `shadow`, it answers nobody and is asked all the same."""

    name: str
    version: str
    share: float
    shadow: bool = False


class EndpointConfig(dg.Config):
    """Empty for a deployment of the champion alone.

    candidate         beside the champion
    delete            remove the endpoint instead
    unchanged_since   but not one that was changed since then, in seconds since 1970; None removes any
    """

    candidate: CandidateConfig | None = None
    delete: bool = False
    unchanged_since: float | None = None


_CLAIMS = (ANSWERS, CANDIDATE_ANSWERS)


def endpoint(dataset: Dataset) -> dg.AssetsDefinition:
    """Return the asset of the endpoint of a dataset."""
    key = asset_key(dataset.name, ENDPOINT)

    @dg.asset(
        key=key,
        deps=[asset_key(dataset.name, CHAMPION_MODEL)],
        group_name=dataset.name,
        owners=MODEL_TEAM,
        code_version=code_version_of(dataset, MAKER),
        kinds={"sagemaker"},
        description="The champion on a SageMaker endpoint, at today's costs and by today's code. Made on demand: where it serves this already, "
        "nothing is changed. If a new one does not come to answer, the old one goes on.",
        check_specs=check_specs(key, _CLAIMS),
    )
    def asset(
        config: EndpointConfig, lake: Lake, runner: Runner, endpoint: Endpoint, run_locks: RunLocks
    ) -> dg.MaterializeResult:
        with user_errors_as_failures():
            if config.delete:
                return _delete(endpoint, dataset, config.unchanged_since)
            champion = require_champion(lake, dataset.name)
            deployment = plan_deployment(lake, runner, dataset, champion, _read_candidate(config))
            served = endpoint.deploy(deployment)
            # Each time: a deployment that broke off before it was asked, or that answered otherwise, would pass for a good one by the next.
            return _materialize_result(served, _ask_each(lake, endpoint, deployment))

    return asset


def plan_deployment(
    lake: Lake, runner: Runner, dataset: Dataset, champion: Champion, candidate: Candidate | None = None
) -> Deployment:
    """Return what the endpoint is to serve for this champion today. Raise DamagedError if a model is not whole."""
    require_whole(lake, champion.prefix)
    beside = ""
    if candidate:
        beside = version_prefix(dataset.name, TUNED_MODEL, candidate.model)
        require_whole(lake, beside)
    libraries = runner.libraries(MAKER.source().libraries)
    version = version_of(MAKER, dataset, {"champion": champion.version}, libraries=libraries)
    return Deployment(
        dataset=dataset,
        model=champion.version,
        bundle=champion.prefix + BUNDLE,
        version=version,
        candidate=candidate,
        candidate_bundle=f"{beside}{BUNDLE}" if candidate else "",
    )


def _read_candidate(config: EndpointConfig) -> Candidate | None:
    """Return what a run is to deploy beside the champion."""
    asked = config.candidate
    if asked is None:
        return None
    return Candidate(name=asked.name, model=asked.version, share=asked.share, shadow=asked.shadow)


def _ask_each(lake: Lake, endpoint: Endpoint, deployment: Deployment) -> list[Check]:
    """Ask each model that answers. Nobody can ask one in the shadow."""
    candidate, dataset = deployment.candidate, deployment.dataset
    if candidate is None or candidate.shadow:
        found = "none" if candidate is None else "one in the shadow, which SageMaker alone can ask"
        nobody = CANDIDATE_ANSWERS.check(True, expected="a candidate that answers, or none", found=found)
        return [_ask(lake, endpoint, dataset, ANSWERS, deployment.model, deployment.bundle), nobody]
    return [
        _ask(lake, endpoint, dataset, ANSWERS, deployment.model, deployment.bundle, CHAMPION),
        _ask(lake, endpoint, dataset, CANDIDATE_ANSWERS, candidate.model, deployment.candidate_bundle, candidate.name),
    ]


def _ask(
    lake: Lake, endpoint: Endpoint, dataset: Dataset, claim: Claim, version: str, bundle: str, variant: str = ""
) -> Check:
    """Ask a variant about the example customer of the model's page, and compare the answer with the bundle's own."""
    from churn_assets.model_server.champion import read_model
    from churn_assets.model_server.customers import example_customer
    from churn_model.serving.plan import Plan

    plan = Plan(read_model(lake, bundle.removesuffix(BUNDLE), threads=1), dataset)
    customer = example_customer(plan)
    expected = plan.answer(customer, reasons="none").churn_probability
    try:
        answer = endpoint.ask(
            dataset.name,
            json.dumps(customer).encode(),
            content_type="application/json",
            accept="application/json",
            variant=variant,
        )
        found: Any = json.loads(answer.body)["churn_probability"]
        shown, model = f"{found!r} of model {answer.model}", answer.model
    except ChurnError as error:
        found, shown, model = None, str(error), ""
    return claim.check(
        found == expected and model == version,
        expected=f"{expected!r} of model {version}",
        found=shown,
        todo=f"run `churn endpoint {dataset.name} delete`, or look at its log; do not use its answers until they agree",
    )


def _materialize_result(served: Served, checks: list[Check]) -> dg.MaterializeResult:
    links = {"open": served.link, "dashboard": served.dashboard}
    beside = describe_candidate(served.candidate) if served.candidate else ""
    return dg.MaterializeResult(
        data_version=dg.DataVersion(f"{served.version}{f' and {beside}' if beside else ''}"),
        metadata={
            **{name: dg.MetadataValue.url(link) for name, link in links.items() if link},
            **({"candidate": beside} if beside else {}),
            "endpoint": served.name,
            "version": served.version,
            "model_version": served.model,
            "reused": not served.is_new,
        },
        check_results=check_results(_CLAIMS, checks),
    )


def describe_candidate(candidate: Candidate) -> str:
    """Return what answers beside the champion, in words."""
    does = (
        "scores each request in the shadow" if candidate.shadow else f"answers {percent(candidate.share)} of requests"
    )
    return f"{candidate.name} (model {candidate.model}) {does}"


def _delete(endpoint: Endpoint, dataset: Dataset, unchanged_since: float | None) -> dg.MaterializeResult:
    was_there = endpoint.delete(dataset.name, unchanged_since=unchanged_since)
    found = "that it was deleted" if was_there else "that there was none"
    return dg.MaterializeResult(
        data_version=dg.DataVersion("none"),
        metadata={"outcome": "The endpoint is deleted." if was_there else "There was no endpoint."},
        check_results=check_results(
            _CLAIMS, [each.check(True, expected="no endpoint", found=found) for each in _CLAIMS]
        ),
    )
