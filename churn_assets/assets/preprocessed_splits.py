"""Preprocessed splits: train, validation and test in hash order, and whether the table is fit to learn from."""

import dagster as dg

from churn_assets.assets._metadata import DATA_TEAM, column_schema, lineage, retrain_freshness
from churn_assets.assets._stage import (
    Claim,
    check_results,
    make,
    materialized,
    passed,
    required,
    user_errors_as_failures,
)
from churn_model.spec.dataset import Dataset
from resources.catalog.pointers import current_key, show
from resources.ports.lake import Lake
from resources.ports.runner import Runner

CLAIMS = (
    Claim(
        "no_customer_in_two_splits",
        "A customer's rows are all in one of train, validation and test, and no row is lost.",
    ),
    Claim(
        "no_column_gives_the_label_away",
        "No column predicts the label almost perfectly, repeats it, or is dated after the snapshot.",
    ),
)


def preprocessed_splits(dataset: Dataset) -> dg.AssetsDefinition:
    """The three splits of a dataset."""
    key = dg.AssetKey([dataset.name, "preprocessed_splits"])

    @dg.asset(
        key=key,
        deps=[[dataset.name, "raw_customers"]],
        group_name=dataset.name,
        owners=DATA_TEAM,
        freshness_policy=retrain_freshness(dataset),
        kinds={"parquet"},
        description=f"Train, validation and test, divided by {dataset.split.by} and written in the order of the customers' hashes. "
        "The test split decides promotion and nothing else.",
        check_specs=[claim.spec(key) for claim in CLAIMS],
    )
    def asset(lake: Lake, runner: Runner) -> dg.MaterializeResult:
        with user_errors_as_failures():
            raw = required(lake, dataset, "raw_customers")
            made = make(
                lake,
                runner,
                dataset,
                step="preprocess",
                folder=f"{dataset.name}/preprocessed_splits/",
                inputs={"rows": [raw.prefix]},
                upstream={"raw_customers": raw.version},
            )
            results = check_results(CLAIMS, made.report.checks)
            if passed(results):
                show(lake, current_key(dataset.name, "preprocessed_splits"), made.current)
            columns = made.report.detail["columns"]
            metadata = {
                "dagster/row_count": sum(made.report.counts.values()) - made.report.counts["unused"],
                "dagster/column_schema": column_schema(columns),
                "dagster/column_lineage": lineage(
                    dg.AssetKey([dataset.name, "raw_customers"]), {name: [name] for name in columns}
                ),
            }
            return materialized(made, lake, results, metadata)

    return asset
