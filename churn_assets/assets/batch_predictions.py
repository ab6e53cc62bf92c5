"""Batch predictions: a probability, a decision and reasons for each row of a batch."""

import dagster as dg

from churn_assets.assets._metadata import MODEL_TEAM, column_schema, lineage
from churn_assets.assets._stage import Claim, check_results, make, materialized, passed, user_errors_as_failures
from churn_model.errors import ChurnError
from churn_model.spec.dataset import Dataset
from resources.catalog.names import batch_partitions
from resources.catalog.pointers import BatchRecord, batch_key, current_key, read_batch, show
from resources.ports.lake import Lake
from resources.ports.runner import Runner
from resources.ports.tables import Tables

KNOWN_VALUES = "categories_hold_known_values"
CLAIMS = (
    Claim(
        "every_row_is_scored_once",
        "There is one prediction for each row of the batch, under the same ids in the same order.",
    ),
    Claim(
        KNOWN_VALUES,
        "In each category, nearly all rows hold a value that training knew; the model takes others for missing.",
        blocking=False,
    ),
)


def batch_predictions(dataset: Dataset) -> dg.AssetsDefinition:
    """The predictions for one batch of a dataset."""
    key = dg.AssetKey([dataset.name, "batch_predictions"])

    @dg.asset(
        key=key,
        deps=[[dataset.name, "raw_batch"]],
        group_name=dataset.name,
        owners=MODEL_TEAM,
        kinds={"xgboost", "parquet"},
        partitions_def=batch_partitions(dataset),
        description="For each row of the batch the calibrated probability that the customer leaves, whether to contact him, "
        "and for those to be contacted up to three reasons.",
        check_specs=[claim.spec(key) for claim in CLAIMS],
    )
    def asset(context: dg.AssetExecutionContext, lake: Lake, runner: Runner, tables: Tables) -> dg.MaterializeResult:
        batch = context.partition_key
        with user_errors_as_failures():
            record = require_batch_record(lake, dataset, batch)
            made = make(
                lake,
                runner,
                dataset,
                step="score",
                folder=f"{dataset.name}/batch_predictions/{batch}/",
                inputs={"rows": [record.rows.prefix], "bundle": [record.champion.prefix]},
                upstream={"raw_batch": record.rows.version, "champion": record.champion.version},
            )
            results = check_results(CLAIMS, made.report.checks)
            if passed(results):
                tables.publish(dataset.name, "batch_predictions", made.version, made.prefix + "predictions/", batch)
                show(lake, current_key(dataset.name, f"batch_predictions/{batch}"), made.current)
            metadata = {
                "dagster/row_count": made.report.counts["rows"],
                "dagster/column_schema": column_schema(made.report.detail["columns"]),
                "dagster/column_lineage": lineage(
                    dg.AssetKey([dataset.name, "raw_batch"]), made.report.detail["lineage"]
                ),
                "champion": record.champion.version,
            }
            return materialized(made, lake, results, metadata)

    return asset


def require_batch_record(lake: Lake, dataset: Dataset, batch: str) -> BatchRecord:
    """What `raw_batch` recorded of a batch. Raises ChurnError where it has not."""
    record = read_batch(lake, dataset.name, batch)
    if record is None:
        raise ChurnError(
            f"expected {batch_key(dataset.name, batch)}; found none; materialise raw_batch first: `churn score {dataset.name} {batch}`"
        )
    return record
