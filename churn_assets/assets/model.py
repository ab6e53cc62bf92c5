"""The tuned model: searched, calibrated, fitted, bundled."""

from typing import Any

import dagster as dg

from churn_assets.stage import make, materialized, required, said_plainly
from churn_model.dataset import Dataset
from resources.pointers import current_key, show
from resources.ports import Lake, Runner


def tuned_model(dataset: Dataset) -> dg.AssetsDefinition:
    """The candidate of a dataset."""

    @dg.asset(
        key=[dataset.name, "tuned_model"],
        deps=[[dataset.name, "preprocessed_splits"]],
        group_name=dataset.name,
        kinds={"xgboost"},
        description=f"The best of {dataset.search.trials} trials by {dataset.search.metric} on validation, calibrated out of fold, "
        "refitted on train and validation, and bundled with all that scoring needs.",
    )
    def asset(context: dg.AssetExecutionContext, lake: Lake, runner: Runner) -> dg.MaterializeResult:
        with said_plainly(context):
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
            return materialized(made, lake, (), {"leaderboard": _leaderboard(made.report.detail["leaderboard"])})

    return asset


def _leaderboard(trials: list[dict[str, Any]]) -> dg.TableMetadataValue:
    """The best trials as a table: values are text where families differ in what they have."""
    names = ["number", "family", "rounds", "log_loss", "auc", "brier", "cost", "f1"]
    records = [dg.TableRecord({name: trial[name] for name in names}) for trial in trials[:20]]
    columns = [dg.TableColumn(name, "string" if name == "family" else "float") for name in names]
    return dg.MetadataValue.table(records=records, schema=dg.TableSchema(columns=columns))
