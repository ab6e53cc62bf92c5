"""The training table: every record that landed, as a typed row or in quarantine."""

from collections.abc import Callable, Sequence

import dagster as dg

from churn_assets.assets._checks import check_results, check_specs, no_failure_blocks
from churn_assets.assets._errors import user_errors_as_failures
from churn_assets.assets._metadata import DATA_TEAM, code_version_of, materialize_result, retrain_freshness, table_name
from churn_assets.assets._raw_table import locate_quarantine, table_metadata
from churn_model.spec.dataset import Dataset
from churn_model.steps.claims.ingest import ACCOUNTED, BOTH_CLASSES, CONTRACT
from resources.catalog.landed_versions import made_from_landed, report_landed
from resources.catalog.landing import describe_unreadable, fingerprints, list_training
from resources.catalog.names import (
    LANDED_CUSTOMERS,
    RAW_CUSTOMERS,
    ROWS,
    asset_key,
    current_key,
    train_prefix,
    versions_prefix,
)
from resources.catalog.pointers import point_to
from resources.catalog.publish import publish_step
from resources.catalog.source_tables import copy_table
from resources.catalog.versions import step_maker
from resources.ports.lake import Lake
from resources.ports.run_locks import RunLocks
from resources.ports.runner import Runner
from resources.ports.tables import Tables

CLAIMS = (ACCOUNTED, CONTRACT, BOTH_CLASSES)


def raw_customers(dataset: Dataset) -> dg.AssetsDefinition:
    """Return the asset of a dataset's training table."""
    key, landed = asset_key(dataset.name, RAW_CUSTOMERS), asset_key(dataset.name, LANDED_CUSTOMERS)

    @dg.asset(
        key=key,
        deps=[landed],
        group_name=dataset.name,
        metadata=table_name(dataset, RAW_CUSTOMERS),
        code_version=code_version_of(dataset, step_maker("ingest")),
        owners=DATA_TEAM,
        freshness_policy=retrain_freshness(dataset),
        kinds={"duckdb", "parquet"},
        description=f"Every record that landed in {train_prefix(dataset.name)} as a typed row, or in quarantine with file, line, column and reason.",
        check_specs=check_specs(key, CLAIMS),
    )
    def asset(
        context: dg.AssetExecutionContext, lake: Lake, runner: Runner, tables: Tables, run_locks: RunLocks
    ) -> dg.MaterializeResult:
        with user_errors_as_failures():
            keys, contents = _training_files(lake, tables, dataset, context.log.warning)
            table = publish_step(
                lake,
                runner,
                dataset,
                maker=step_maker("ingest"),
                folder=versions_prefix(dataset.name, RAW_CUSTOMERS),
                inputs={"landed": keys},
                upstream=contents,
                contents={} if dataset.source.table else contents,
            )
            results = check_results(CLAIMS, locate_quarantine(table, lake), table.report.counts)
            if no_failure_blocks(results):
                tables.publish(dataset.name, RAW_CUSTOMERS, table.version, table.prefix + ROWS)
                point_to(lake, current_key(dataset.name, RAW_CUSTOMERS), table.current)
            context.instance.report_runless_asset_event(report_landed(landed, contents))
            result = materialize_result(table, lake, results, table_metadata(dataset, table, lake))
            return result._replace(tags=made_from_landed(landed, contents))

    return asset


def _training_files(
    lake: Lake, tables: Tables, dataset: Dataset, warn: Callable[[str], object]
) -> tuple[Sequence[str], dict[str, str]]:
    """Return the keys of the files to ingest, and their contents: what landed, or a copy of the user's own table."""
    if dataset.source.table:
        copy = copy_table(lake, tables, dataset.name, dataset.source.table, crawler=dataset.source.crawler)
        return copy.keys, {dataset.source.table: copy.version}
    landed = list_training(lake, dataset.name)
    if landed.passed_over:
        warn(f"Passed over: {describe_unreadable(lake, landed.passed_over)}.")
    return [entry.key for entry in landed.entries], fingerprints(lake, landed.entries)
