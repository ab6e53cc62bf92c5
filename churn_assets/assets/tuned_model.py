"""The tuned model: searched, calibrated, fitted, bundled."""

import dagster as dg

from churn_assets.assets._errors import user_errors_as_failures
from churn_assets.assets._metadata import (
    MODEL_TEAM,
    code_version_of,
    materialize_result,
    records_table,
    retrain_freshness,
)
from churn_model.records import to_plain
from churn_model.reports.train import TrainReport
from churn_model.spec.dataset import Dataset
from resources.catalog.names import PREPROCESSED_SPLITS, TUNED_MODEL, asset_key, current_key, versions_prefix
from resources.catalog.pointers import point_to, require_current
from resources.catalog.publish import publish_step
from resources.catalog.versions import step_maker
from resources.ports.lake import Lake
from resources.ports.run_locks import RunLocks
from resources.ports.runner import Runner

_LEADERBOARD = dict.fromkeys(("number", "family", "rounds", "log_loss", "auc", "brier", "cost", "f1"), "float") | {
    "family": "string"
}


def tuned_model(dataset: Dataset) -> dg.AssetsDefinition:
    """Return the asset of a dataset's candidate."""

    @dg.asset(
        key=asset_key(dataset.name, TUNED_MODEL),
        deps=[asset_key(dataset.name, PREPROCESSED_SPLITS)],
        group_name=dataset.name,
        code_version=code_version_of(dataset, step_maker("train")),
        owners=MODEL_TEAM,
        freshness_policy=retrain_freshness(dataset),
        kinds={"xgboost"},
        description=f"The best of {dataset.search.trials} trials by {dataset.search.metric} on validation, calibrated out of fold, "
        "refitted on train and validation, and bundled with all that scoring needs.",
    )
    def asset(lake: Lake, runner: Runner, run_locks: RunLocks) -> dg.MaterializeResult:
        with user_errors_as_failures():
            splits = require_current(lake, dataset.name, PREPROCESSED_SPLITS)
            model = publish_step(
                lake,
                runner,
                dataset,
                maker=step_maker("train"),
                folder=versions_prefix(dataset.name, TUNED_MODEL),
                inputs={"splits": [splits.prefix]},
                upstream={PREPROCESSED_SPLITS: splits.version},
            )
            point_to(lake, current_key(dataset.name, TUNED_MODEL), model.current)
            report = model.report.read(TrainReport)
            engine = report.engine or "job"
            if engine != dataset.search.engine:
                dg.get_dagster_logger().info(
                    "search.engine: tuner is for jobs on SageMaker. Here one process ran all trials, as engine: job does."
                )
            leaderboard = records_table(map(to_plain, report.leaderboard[:20]), _LEADERBOARD)
            return materialize_result(model, lake, (), {"leaderboard": leaderboard, "search_engine": engine})

    return asset
