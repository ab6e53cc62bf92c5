"""Preprocessed splits: train, validation and test in hash order, and whether the table is fit to learn from."""

from functools import partial

import dagster as dg

from churn_assets.assets._checks import check_results, check_specs, no_failure_blocks
from churn_assets.assets._columns import describe_landed_column
from churn_assets.assets._errors import user_errors_as_failures
from churn_assets.assets._metadata import (
    DATA_TEAM,
    code_version_of,
    column_schema,
    lineage,
    materialize_result,
    retrain_freshness,
)
from churn_model.reports.preprocess import PreprocessReport
from churn_model.spec.dataset import Dataset
from churn_model.steps.claims.preprocess import CLAIMS
from resources.catalog.names import PREPROCESSED_SPLITS, RAW_CUSTOMERS, asset_key, current_key, versions_prefix
from resources.catalog.pointers import point_to, require_current
from resources.catalog.publish import publish_step
from resources.catalog.versions import step_maker
from resources.ports.lake import Lake
from resources.ports.run_locks import RunLocks
from resources.ports.runner import Runner


def preprocessed_splits(dataset: Dataset) -> dg.AssetsDefinition:
    """Return the asset of a dataset's three splits."""
    key, source = asset_key(dataset.name, PREPROCESSED_SPLITS), asset_key(dataset.name, RAW_CUSTOMERS)

    @dg.asset(
        key=key,
        deps=[source],
        group_name=dataset.name,
        code_version=code_version_of(dataset, step_maker("preprocess")),
        owners=DATA_TEAM,
        freshness_policy=retrain_freshness(dataset),
        kinds={"parquet"},
        description=f"Train, validation and test, divided by {dataset.split.by} and written in the order of the customers' hashes. "
        "The test split decides promotion and nothing else.",
        check_specs=check_specs(key, CLAIMS),
    )
    def asset(lake: Lake, runner: Runner, run_locks: RunLocks) -> dg.MaterializeResult:
        with user_errors_as_failures():
            raw = require_current(lake, dataset.name, RAW_CUSTOMERS)
            splits = publish_step(
                lake,
                runner,
                dataset,
                maker=step_maker("preprocess"),
                folder=versions_prefix(dataset.name, PREPROCESSED_SPLITS),
                inputs={"rows": [raw.prefix]},
                upstream={RAW_CUSTOMERS: raw.version},
            )
            results = check_results(CLAIMS, splits.report.checks)
            if no_failure_blocks(results):
                point_to(lake, current_key(dataset.name, PREPROCESSED_SPLITS), splits.current)
            report = splits.report.read(PreprocessReport)
            metadata = {
                "dagster/row_count": report.counts.train + report.counts.validation + report.counts.test,
                "dagster/column_schema": column_schema(report.columns, partial(describe_landed_column, dataset)),
                "dagster/column_lineage": lineage(source, {name: [name] for name in report.columns}),
            }
            return materialize_result(splits, lake, results, metadata)

    return asset
