from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from churn_assets.assets._metadata import round_figure
from churn_assets.console.progress import progress_logger
from churn_assets.definitions import FACTORIES, build_definitions
from churn_model.errors import SpecError
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.endpoint import Endpoint
from churn_model.spec.sections.gate import Gate
from jobs.compare import compare_job
from jobs.explore import explore_job
from jobs.promote import promote_job
from jobs.retrain import retrain_job
from jobs.rollback import rollback_job
from jobs.score import score_job
from resources.local.run_locks import HOME_TAG
from resources.ports.run_locks import LOCK_TAG
from resources.settings import read_settings
from resources.specs.loader import Specs


def test_every_asset_holds_its_run_s_locks_while_it_works(dataset: Dataset) -> None:
    required = {
        str(asset.key.path[-1]): asset.required_resource_keys for asset in (make(dataset) for make in FACTORIES)
    }
    assert [name for name, keys in required.items() if "run_locks" not in keys] == []


def resolve_jobs(dataset: Dataset) -> dict[str, dg.JobDefinition]:
    definitions = dg.Definitions(
        assets=[make(dataset) for make in FACTORIES],
        jobs=[make(dataset) for make in (compare_job, explore_job, promote_job, retrain_job, rollback_job, score_job)],
        resources=dict.fromkeys(("lake", "outputs", "tables", "runner", "registry", "run_locks")),
        loggers={"progress": progress_logger},
    )
    return {job.name: job for job in definitions.resolve_all_job_defs() if not job.name.startswith("__")}


def test_a_rollback_that_nobody_configures_goes_back_to_the_champion_before(dataset: Dataset) -> None:
    """Pressing *Materialize* on the job sends no configuration: the run must not promote."""
    config = resolve_jobs(dataset)["telco_rollback"].run_config
    assert config is not None
    assert config["ops"] == {"telco__champion_model": {"config": {"rollback_to": "previous"}}}


def test_a_promotion_that_nobody_configures_is_of_the_present_candidate(dataset: Dataset) -> None:
    config = resolve_jobs(dataset)["telco_promote"].run_config
    assert config is not None
    assert config["ops"] == {"telco__champion_model": {"config": {"promote": "candidate"}}}


def test_every_job_declares_the_lock_that_it_needs(dataset: Dataset) -> None:
    declared = {name: job.tags.get(LOCK_TAG) for name, job in resolve_jobs(dataset).items()}
    assert declared == {
        "telco_compare": "telco/compare",
        "telco_explore": "telco/explore",
        "telco_promote": "telco/retrain",
        "telco_retrain": "telco/retrain",
        "telco_rollback": "telco/retrain",
        "telco_score_batch": "telco/score",
    }


@pytest.mark.parametrize(("executor", "is_marked"), [("in_process", True), ("multiprocess", False)])
def test_runs_are_marked_as_this_home_s_only_if_their_own_process_claims_them(
    executor: str, is_marked: bool, dataset: Dataset, tmp_path: Path
) -> None:
    """With a process per step no process claims the run itself: it must never count as abandoned for that."""
    settings = read_settings({"CHURN_HOME": str(tmp_path), "CHURN_EXECUTOR": executor})
    definitions = build_definitions(Specs({dataset.name: dataset}, {}), settings)
    job = definitions.resolve_job_def("telco_retrain")
    assert (HOME_TAG in job.tags) is is_marked
    assert job.executor_def.name == executor


def test_a_spec_that_cannot_be_used_is_red_and_its_assets_stay_in_view(
    dataset: Dataset, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    settings = read_settings({"CHURN_HOME": str(tmp_path)})
    bad = {"shop": SpecError("shop.yaml:3: costs: expected ..."), "Bad Name.yml": SpecError("no name")}
    definitions = build_definitions(Specs({dataset.name: dataset}, bad), settings)
    graph = definitions.resolve_asset_graph()
    assert dg.AssetKey(["telco", "retention_list"]) in graph.materializable_asset_keys
    stay = {key.path[-1] for key in graph.external_asset_keys if key.path[0] == "shop"}
    assert stay == {key.path[-1] for key in graph.get_all_asset_keys() if key.path[0] == "telco"}
    sensor = definitions.resolve_sensor_def("broken_specs")
    with dg.build_sensor_context(instance=instance) as context:
        result = sensor(context)
    assert isinstance(result, dg.SensorResult)
    for event in result.asset_events:
        instance.report_runless_asset_event(event)
    key = dg.AssetCheckKey(dg.AssetKey(["shop", "spec"]), "spec_is_valid")
    assert key in graph.asset_check_keys
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    assert found.status is AssetCheckExecutionRecordStatus.FAILED
    with dg.build_sensor_context(instance=instance, cursor=result.cursor) as context:
        assert isinstance(sensor(context), dg.SkipReason)

    mended = build_definitions(Specs({dataset.name: dataset}, {}), settings).resolve_sensor_def("broken_specs")
    with dg.build_sensor_context(instance=instance, cursor=result.cursor) as context:
        whole = mended(context)
    assert isinstance(whole, dg.SensorResult)
    with dg.build_sensor_context(instance=instance, cursor=whole.cursor) as context:
        assert isinstance(sensor(context), dg.SensorResult), "broken again in the same way, it fails again"


def test_predictions_hang_on_the_champion_by_a_direct_line(dataset: Dataset, tmp_path: Path) -> None:
    settings = read_settings({"CHURN_HOME": str(tmp_path)})
    graph = build_definitions(Specs({dataset.name: dataset}, {}), settings).resolve_asset_graph()
    champion = dg.AssetKey(["telco", "champion_model"])
    for asset in ("raw_batch", "batch_predictions"):
        assert champion in graph.get(dg.AssetKey(["telco", asset])).parent_keys


def test_the_tables_name_their_view_in_sql(dataset: Dataset) -> None:
    named = {
        asset.key.path[-1]: asset.metadata_by_key[asset.key].get("dagster/table_name")
        for asset in (make(dataset) for make in FACTORIES)
    }
    tables = ("raw_customers", "raw_batch", "batch_predictions", "retention_list")
    assert {name: view for name, view in named.items() if view} == {name: f"telco.{name}" for name in tables}


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.12345678901234567, 0.123457), (1e-9, 1e-9), (float("inf"), float("inf")), (7, 7), ("a", "a")],
)
def test_figures_are_shown_with_six_digits(value: object, shown: object) -> None:
    assert round_figure(value) == shown


def test_sensors_of_approvals_and_of_unwatched_jobs_are_there_where_they_have_something_to_look_at(
    dataset: Dataset, tmp_path: Path
) -> None:
    def sensors(each: Dataset, **more: str) -> set[str]:
        settings = read_settings({"CHURN_HOME": str(tmp_path), **more})
        return {sensor.name for sensor in build_definitions(Specs({each.name: each}, {}), settings).sensors or ()}

    manual = replace(dataset, gate=Gate(promotion="manual"))
    aws = {
        "CHURN_TARGET": "aws",
        "CHURN_LAKE": "s3://lake",
        "CHURN_ROLE": "arn:aws:iam::123456789012:role/jobs",
    }
    assert sensors(manual) - sensors(dataset) == {"telco_approvals"}
    assert sensors(replace(dataset, endpoint=Endpoint())) - sensors(dataset) == {"telco_idle_endpoint"}
    assert sensors(dataset, **aws) - sensors(dataset) == {"unwatched_jobs"}


def test_an_endpoint_and_its_jobs_are_there_where_the_spec_has_one(dataset: Dataset, tmp_path: Path) -> None:
    settings = read_settings({"CHURN_HOME": str(tmp_path)})

    def found(each: Dataset) -> tuple[set[str], set[str]]:
        definitions = build_definitions(Specs({each.name: each}, {}), settings)
        jobs = {job.name for job in definitions.resolve_all_job_defs() if not job.name.startswith("__")}
        return jobs, {"/".join(key.path) for key in definitions.resolve_all_asset_keys()}

    (jobs, assets), (all_jobs, all_assets) = found(dataset), found(replace(dataset, endpoint=Endpoint()))
    assert all_jobs - jobs == {"telco_deploy", "telco_undeploy"}
    assert all_assets - assets == {"telco/endpoint"}
    definitions = build_definitions(Specs({"telco": replace(dataset, endpoint=Endpoint())}, {}), settings)
    for name in ("telco_deploy", "telco_undeploy"):
        assert definitions.resolve_job_def(name).tags[LOCK_TAG] == "telco/endpoint"
    config = definitions.resolve_job_def("telco_undeploy").run_config
    assert config is not None
    assert config["ops"] == {"telco__endpoint": {"config": {"delete": True}}}
