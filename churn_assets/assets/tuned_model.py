"""The tuned model: searched, calibrated, fitted, bundled."""

import dagster as dg

from churn_assets.assets._metadata import MODEL_TEAM, records_table, retrain_freshness
from churn_assets.assets._stage import make, materialized, required, user_errors_as_failures
from churn_model.spec.dataset import Dataset
from resources.catalog.pointers import current_key, show
from resources.ports.lake import Lake
from resources.ports.runner import Runner

_LEADERBOARD = dict.fromkeys(("number", "family", "rounds", "log_loss", "auc", "brier", "cost", "f1"), "float") | {
    "family": "string"
}


def tuned_model(dataset: Dataset) -> dg.AssetsDefinition:
    """The candidate of a dataset."""

    @dg.asset(
        key=[dataset.name, "tuned_model"],
        deps=[[dataset.name, "preprocessed_splits"]],
        group_name=dataset.name,
        owners=MODEL_TEAM,
        freshness_policy=retrain_freshness(dataset),
        kinds={"xgboost"},
        description=f"The best of {dataset.search.trials} trials by {dataset.search.metric} on validation, calibrated out of fold, "
        "refitted on train and validation, and bundled with all that scoring needs.",
    )
    def asset(lake: Lake, runner: Runner) -> dg.MaterializeResult:
        with user_errors_as_failures():
            splits = required(lake, dataset, "preprocessed_splits")
            made = make(
                lake,
                runner,
                dataset,
                step="train",
                folder=f"{dataset.name}/tuned_model/",
                inputs={"splits": [splits.prefix]},
                upstream={"preprocessed_splits": splits.version},
            )
            show(lake, current_key(dataset.name, "tuned_model"), made.current)
            return materialized(
                made, lake, (), {"leaderboard": records_table(made.report.detail["leaderboard"][:20], _LEADERBOARD)}
            )

    return asset
