"""The endpoint's asset and jobs: the champion is served as it is today, once, and the answer is compared with the champion's own."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from churn_assets.assets.champion_model import champion_model
from churn_assets.assets.endpoint import endpoint
from churn_assets.console.progress import progress_logger
from churn_model.models.bundle_file import BUNDLE
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.costs import Costs
from churn_model.spec.sections.endpoint import Endpoint as Section
from churn_model.spec.sections.endpoint import Idle
from jobs.deploy import deploy_job, deployment_of, undeploy_job
from resources.local.endpoint import LocalEndpoint
from resources.local.lake import LocalLake
from resources.local.registry import LocalRegistry
from resources.local.run_locks import LocalRunLocks
from resources.local.runner import LocalRunner
from resources.ports.endpoint import Candidate, EndpointAnswer
from tests.churn_model.serving.shop import SHOP, made_bundle
from tests.published_model import publish_champion

DATASET = Dataset.from_json(replace(SHOP, endpoint=Section()).to_json())


@pytest.fixture
def ports(lake: LocalLake, run_locks: LocalRunLocks, tmp_path: Path) -> dict[str, Any]:
    return {
        "lake": lake,
        "run_locks": run_locks,
        "runner": LocalRunner(lake=lake, runs=str(tmp_path / "runs"), python="python", threads=1),
        "registry": LocalRegistry(),
        "endpoint": LocalEndpoint(lake=lake, folder=str(tmp_path / "endpoints")),
    }


def run(
    ports: Mapping[str, Any],
    instance: dg.DagsterInstance,
    job: str = "shop_deploy",
    dataset: Dataset = DATASET,
    ops: Mapping[str, Any] | None = None,
) -> dg.ExecuteInProcessResult:
    definitions = dg.Definitions(
        assets=[champion_model(dataset), endpoint(dataset)],
        jobs=[deploy_job(dataset), undeploy_job(dataset)],
        resources=ports,
        loggers={"progress": progress_logger},
    )
    return definitions.resolve_job_def(job).execute_in_process(
        instance=instance, run_config={"ops": dict(ops)} if ops else None, raise_on_error=False
    )


def checked(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """Return what the checks that passed say, by name."""
    return {each.check_name: str(each.description) for each in result.get_asset_check_evaluations() if each.passed}


def shown(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = result.asset_materializations_for_node("shop__endpoint")
    return {name: value.value for name, value in event.metadata.items()}


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = result.get_step_failure_events()
    error = event.step_failure_data.user_failure_data
    return str(error.description) if error else ""


def test_the_champion_is_served_once_and_again_when_it_or_its_costs_change(
    lake: LocalLake, ports: dict[str, Any], instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    publish_champion(lake, made_bundle("boosted_trees"))
    first = run(ports, instance)
    assert (shown(first)["model_version"], shown(first)["reused"]) == ("v-boosted_trees", False)
    assert "of model v-boosted_trees" in checked(first)["endpoint_answers_as_the_champion_does"]
    assert "none" in checked(first)["candidate_answers_as_its_model_does"]
    assert shown(run(ports, instance))["reused"]
    idle = replace(DATASET, endpoint=Section(idle=Idle(after="2d")))
    assert shown(run(ports, instance, dataset=idle))["reused"]  # what happens if nobody asks makes no other endpoint
    cheaper = run(ports, instance, dataset=replace(DATASET, costs=Costs(false_negative=900)))
    assert (shown(cheaper)["model_version"], shown(cheaper)["reused"]) == ("v-boosted_trees", False)
    publish_champion(lake, made_bundle("random_forest"))
    assert shown(run(ports, instance))["model_version"] == "v-random_forest"


def test_a_candidate_is_deployed_beside_the_champion_asked_and_taken_back_by_the_next_deployment(
    lake: LocalLake, ports: dict[str, Any], instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    dataset = replace(DATASET, endpoint=Section(engine="instance"))
    publish_champion(lake, made_bundle("random_forest"))
    publish_champion(lake, made_bundle("boosted_trees"))
    candidate = Candidate(name="forest", model="v-random_forest", share=0.1)
    result = run(ports, instance, dataset=dataset, ops=deployment_of(dataset, candidate))
    assert shown(result)["candidate"] == "forest (model v-random_forest) answers 10% of requests"
    assert "of model v-boosted_trees" in checked(result)["endpoint_answers_as_the_champion_does"]
    assert "of model v-random_forest" in checked(result)["candidate_answers_as_its_model_does"]
    shadow = replace(candidate, share=0.0, shadow=True)
    assert (
        "in the shadow" in shown(run(ports, instance, dataset=dataset, ops=deployment_of(dataset, shadow)))["candidate"]
    )
    alone = run(ports, instance, dataset=dataset)
    assert ("candidate" in shown(alone), shown(alone)["reused"]) == (False, False)
    missing = replace(candidate, model="0" * 16)
    assert "shop/tuned_model/0" in failure(run(ports, instance, dataset=dataset, ops=deployment_of(dataset, missing)))


def test_without_a_champion_or_with_a_damaged_one_nothing_is_deployed(
    lake: LocalLake, ports: dict[str, Any], instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    assert "a champion of shop to answer with; found none" in failure(run(ports, instance))
    publish_champion(lake, made_bundle("boosted_trees"))
    lake.put(f"shop/tuned_model/v-boosted_trees/{BUNDLE}", b"damaged")
    assert BUNDLE in failure(run(ports, instance))
    assert ports["endpoint"].find("shop") is None


def test_an_endpoint_that_answers_otherwise_than_the_champion_is_a_failed_check(
    lake: LocalLake, ports: dict[str, Any], instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    class Wrong(LocalEndpoint):
        def ask(
            self, dataset: str, body: bytes, *, content_type: str, accept: str, variant: str = ""
        ) -> EndpointAnswer:
            answer = super().ask(dataset, body, content_type=content_type, accept=accept, variant=variant)
            content = json.loads(answer.body)
            content["churn_probability"] += 1e-12
            return replace(answer, body=json.dumps(content).encode())

    publish_champion(lake, made_bundle("boosted_trees"))
    wrong = ports | {"endpoint": Wrong(lake=lake, folder=str(tmp_path / "wrong"))}
    for is_reused in (False, True):  # it is asked again also where nothing is changed
        result = run(wrong, instance)
        (check,) = [each for each in result.get_asset_check_evaluations() if not each.passed]
        assert (check.passed, check.severity.value) == (False, "ERROR")
        assert "do not use its answers until they agree" in str(check.description)
        assert shown(result)["reused"] == is_reused


def test_a_deletion_says_whether_there_was_one(
    lake: LocalLake, ports: dict[str, Any], instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    assert shown(run(ports, instance, "shop_undeploy"))["outcome"] == "There was no endpoint."
    publish_champion(lake, made_bundle("boosted_trees"))
    run(ports, instance)
    assert shown(run(ports, instance, "shop_undeploy"))["outcome"] == "The endpoint is deleted."
    assert ports["endpoint"].find("shop") is None
