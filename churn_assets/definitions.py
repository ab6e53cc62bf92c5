"""The code location: each spec gets its assets, jobs, schedule and sensor; the wiring gives them their ports."""

from collections.abc import Mapping
from pathlib import Path

import dagster as dg

from churn_assets.assets.batch_predictions import batch_predictions
from churn_assets.assets.champion_model import champion_model
from churn_assets.assets.endpoint import endpoint
from churn_assets.assets.evaluation_report import evaluation_report
from churn_assets.assets.exploration_report import exploration_report
from churn_assets.assets.landed_customers import landed_customers
from churn_assets.assets.model_comparison import model_comparison
from churn_assets.assets.preprocessed_splits import preprocessed_splits
from churn_assets.assets.raw_batch import raw_batch
from churn_assets.assets.raw_customers import raw_customers
from churn_assets.assets.retention_list import retention_list
from churn_assets.assets.tuned_model import tuned_model
from churn_assets.console.progress import progress_logger
from churn_model.errors import SpecError
from churn_model.spec.dataset import Dataset
from jobs.alerts import failed_checks_sensor, failed_runs_sensor
from jobs.approvals import approvals_sensor
from jobs.broken_specs_sensor import broken_specs_sensor
from jobs.compare import compare_job
from jobs.deploy import deploy_job, undeploy_job
from jobs.explore import explore_job
from jobs.idle_endpoint_sensor import idle_endpoint_sensor
from jobs.landing_sensor import landing_sensor
from jobs.old_batches_sensor import old_batches_sensor
from jobs.promote import promote_job
from jobs.retrain import retrain_job
from jobs.rollback import rollback_job
from jobs.schedules import retrain_schedule
from jobs.score import score_job
from jobs.sensors import new_batches_sensor
from jobs.unwatched_jobs import unwatched_jobs_sensor
from resources.catalog.landing import has_begun
from resources.catalog.layout import require_layout
from resources.catalog.names import (
    EXPLORATION_REPORT,
    LANDED_CUSTOMERS,
    MODEL_COMPARISON,
    RETRAIN_ASSETS,
    SCORE_ASSETS,
    SPEC,
    SPEC_IS_VALID,
    asset_key,
    batch_partitions,
)
from resources.settings import Executor, Settings, read_settings
from resources.specs.loader import Specs, load_specs
from resources.wiring import wire

FACTORIES = (
    raw_customers,
    preprocessed_splits,
    tuned_model,
    evaluation_report,
    champion_model,
    raw_batch,
    batch_predictions,
    retention_list,
    exploration_report,
    model_comparison,
)


def build_definitions(specs: Specs, settings: Settings) -> dg.Definitions:
    """Return the definitions of all valid specs; an invalid one becomes assets that cannot be run and a failed check with every problem."""
    ports = wire(settings)
    in_process = settings.executor is Executor.IN_PROCESS
    tags = ports.run_locks.job_tags() if in_process else {}
    parts = [_dataset_definitions(dataset, tags) for dataset in specs.datasets.values()]
    parts.append(
        _broken_specs_definitions(specs.bad)
    )  # also without one: its sensor remembers which spec was broken last
    assets = [asset for part in parts for asset in part.assets or () if isinstance(asset, dg.AssetsDefinition)]
    checks = frozenset(key for asset in assets for key in asset.check_keys)
    shared = dg.Definitions(
        sensors=[
            failed_runs_sensor(),
            failed_checks_sensor(checks),
            *([unwatched_jobs_sensor()] if settings.aws else []),
        ],
        resources=dict(vars(ports)),
        loggers={"console": dg.colored_console_logger, "progress": progress_logger},
        executor=dg.in_process_executor if in_process else dg.multiprocess_executor,
    )
    return dg.Definitions.merge(*parts, shared)


def _dataset_definitions(dataset: Dataset, tags: Mapping[str, str]) -> dg.Definitions:
    retrain, score = retrain_job(dataset, tags), score_job(dataset, tags)
    promote = promote_job(dataset, tags)
    on_demand = [promote, *(make(dataset, tags) for make in (rollback_job, explore_job, compare_job))]
    observers = [] if dataset.source.table else [landing_sensor(dataset)]
    if dataset.gate.promotion == "manual":
        observers.append(approvals_sensor(dataset, promote))
    on_request: list[dg.AssetsDefinition] = []
    if dataset.endpoint:
        undeploy = undeploy_job(dataset, tags)
        on_request.append(endpoint(dataset))
        on_demand += [deploy_job(dataset, tags), undeploy]
        observers.append(idle_endpoint_sensor(dataset, undeploy))
    return dg.Definitions(
        assets=[landed_customers(dataset), *(factory(dataset) for factory in FACTORIES), *on_request],
        jobs=[retrain, score, *on_demand],
        schedules=[retrain_schedule(dataset, retrain)],
        sensors=[new_batches_sensor(dataset, score), old_batches_sensor(dataset), *observers],
    )


def _broken_specs_definitions(bad: Mapping[str, SpecError]) -> dg.Definitions:
    """Return for each spec that cannot be used an asset with a failing check, and its graph as assets that can be seen and not run."""
    problems = {asset_key(_as_key_part(name), SPEC): str(error) for name, error in bad.items()}
    placeholders = [spec for name in bad if name.isidentifier() for spec in _placeholders(name)]
    assets = [_spec_asset(key, text) for key, text in problems.items()]
    return dg.Definitions(assets=[*assets, *placeholders], sensors=[broken_specs_sensor(problems)])


def _spec_asset(key: dg.AssetKey, text: str) -> dg.AssetsDefinition:
    @dg.asset(
        key=key,
        group_name="specs_to_fix",
        description=f"This dataset's file cannot be used, so nothing of it can be run:\n\n```\n{text}\n```",
        check_specs=[
            dg.AssetCheckSpec(SPEC_IS_VALID, asset=key, blocking=True, description="The spec has no problem.")
        ],
    )
    def spec() -> dg.MaterializeResult:
        result = dg.AssetCheckResult(check_name=SPEC_IS_VALID, passed=False, description=text)
        return dg.MaterializeResult(check_results=[result])

    return spec


def _placeholders(name: str) -> list[dg.AssetSpec]:
    """Return the assets of a dataset without code: what was published stays in view under its keys until the spec is fixed."""
    description = f"The spec {name}.yaml cannot be used: see {name}/{SPEC}. What was published stays; nothing can be run until it is fixed."
    return [
        dg.AssetSpec(
            asset_key(name, asset),
            deps=[asset_key(name, SPEC)],
            group_name=name,
            description=description,
            partitions_def=batch_partitions(name) if asset in SCORE_ASSETS else None,
        )
        for asset in (LANDED_CUSTOMERS, *RETRAIN_ASSETS, *SCORE_ASSETS, EXPLORATION_REPORT, MODEL_COMPARISON)
    ]


def _as_key_part(name: str) -> str:
    """Return a file's name as a valid part of an asset key."""
    return "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in Path(name).stem) or "spec"


def select_begun(specs: Specs, settings: Settings) -> Specs:
    """Return the specs of the datasets to show: those of which anything has landed, or all of them by CHURN_SHOW_ALL.

    A dataset that begins later is shown after a reload of the code location, which `churn ui` does by itself. A bucket is not asked: all are shown.
    """
    if settings.aws is not None:
        return specs
    lake = wire(settings).lake
    begun = {name: spec for name, spec in specs.datasets.items() if settings.show_all or has_begun(lake, spec)}
    return Specs(begun, specs.bad)


@dg.definitions
def defs() -> dg.Definitions:
    """Return what `workspace.yaml` loads."""
    settings = read_settings()
    if settings.aws is None:  # a bucket is asked when something of it is used: loading needs no credentials
        require_layout(wire(settings).lake)
    return build_definitions(select_begun(load_specs(settings.datasets), settings), settings)
