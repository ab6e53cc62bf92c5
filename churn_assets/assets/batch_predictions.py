"""Batch predictions: a probability, a decision and reasons for each row of a batch."""

from dataclasses import replace
from typing import Any

import dagster as dg

from churn_assets.assets._checks import accept, check_results, check_specs, no_failure_blocks
from churn_assets.assets._columns import describe_prediction_column
from churn_assets.assets._errors import user_errors_as_failures
from churn_assets.assets._metadata import (
    MODEL_TEAM,
    batch_freshness,
    code_version_of,
    column_schema,
    lineage,
    materialize_result,
    table_name,
)
from churn_assets.assets.raw_batch import asks_for_provisional, ingest_batch, resolve_scorer
from churn_model.errors import ChurnError, problem
from churn_model.reports.score import ScoreReport
from churn_model.spec.dataset import Dataset
from churn_model.steps.claims.score import CLAIMS, LIKE_TRAINING
from resources.catalog.integrity import read_manifest
from resources.catalog.names import (
    BATCH_PREDICTIONS,
    CHAMPION_MODEL,
    PREDICTIONS,
    RAW_BATCH,
    RETENTION_LIST,
    asset_key,
    batch_key,
    batch_partitions,
    current_key,
    versions_prefix,
)
from resources.catalog.old_batches import predictions_upstream
from resources.catalog.pointers import BatchRecord, point_to, read_batch, read_current
from resources.catalog.publish import Publication, publish_step
from resources.catalog.versions import step_maker
from resources.errors import DamagedError
from resources.ports.lake import Lake
from resources.ports.run_locks import RunLocks
from resources.ports.runner import Runner
from resources.ports.tables import Tables

ACCEPT_TAG = "churn/accept"
"""A run with this tag and the value `yes` scores a batch that does not look like training."""


def batch_predictions(dataset: Dataset) -> dg.AssetsDefinition:
    """Return the asset of the predictions for one batch of a dataset."""
    key, source = asset_key(dataset.name, BATCH_PREDICTIONS), asset_key(dataset.name, RAW_BATCH)

    @dg.asset(
        key=key,
        deps=[source, asset_key(dataset.name, CHAMPION_MODEL)],
        group_name=dataset.name,
        metadata=table_name(dataset, BATCH_PREDICTIONS),
        code_version=code_version_of(dataset, step_maker("score")),
        freshness_policy=batch_freshness(dataset),
        owners=MODEL_TEAM,
        kinds={"xgboost", "parquet"},
        partitions_def=batch_partitions(dataset.name),
        description="For each row of the batch the calibrated probability that the customer leaves, whether to contact the customer, "
        "and for those to be contacted up to three reasons.",
        check_specs=check_specs(key, CLAIMS),
    )
    def asset(
        context: dg.AssetExecutionContext, lake: Lake, runner: Runner, tables: Tables, run_locks: RunLocks
    ) -> dg.MaterializeResult:
        batch = context.partition_key
        with user_errors_as_failures():
            if not _runs_with(context, source):
                _ingest_again(lake, runner, tables, dataset, context)
            record = require_batch_record(lake, dataset, batch)
            predictions = publish_step(
                lake,
                runner,
                dataset,
                maker=step_maker("score"),
                folder=versions_prefix(dataset.name, BATCH_PREDICTIONS, batch),
                inputs={"rows": [record.rows.prefix], "bundle": [record.champion.prefix]},
                upstream=predictions_upstream(record),
                parameters=_provisional(record),
            )
            results, accepted = _judge(context, lake, dataset, record, predictions)
            if no_failure_blocks(results):
                folder = predictions.prefix + PREDICTIONS
                tables.publish(dataset.name, BATCH_PREDICTIONS, predictions.version, folder, batch)
                point_to(lake, current_key(dataset.name, BATCH_PREDICTIONS, batch), predictions.current)
            metadata = {
                **_describe(predictions, source, record, accepted=accepted),
                "list": _describe_list(context, lake, dataset, record, predictions.version),
            }
            return materialize_result(predictions, lake, results, metadata)

    return asset


def _judge(
    context: dg.AssetExecutionContext, lake: Lake, dataset: Dataset, record: BatchRecord, predictions: Publication
) -> tuple[list[dg.AssetCheckResult], bool]:
    """Return the results of the checks, and whether a person accepts a batch that does not look like training. That is recorded."""
    results = check_results(CLAIMS, predictions.report.checks)
    is_unlike = any(result.check_name == LIKE_TRAINING.name and not result.passed for result in results)
    said_yes = context.run.tags.get(ACCEPT_TAG) == "yes" or record.accepted == predictions.version
    if not (is_unlike and said_yes):
        return results, False
    point_to(lake, batch_key(dataset.name, record.batch), replace(record, accepted=predictions.version))
    return accept(results, LIKE_TRAINING.name), True


def _describe(predictions: Publication, source: dg.AssetKey, record: BatchRecord, *, accepted: bool) -> dict[str, Any]:
    """Return the metadata of the predictions of a batch."""
    scored = predictions.report.read(ScoreReport)
    return {
        "dagster/row_count": scored.counts.rows,
        "dagster/column_schema": column_schema(scored.columns, describe_prediction_column),
        "dagster/column_lineage": lineage(source, scored.lineage),
        "champion": record.champion.version,
        "accepted": accepted,
        **({"provisional": record.provisional} if record.provisional else {}),
    }


def _runs_with(context: dg.AssetExecutionContext, other: dg.AssetKey) -> bool:
    """Return whether this run makes another asset too: `raw_batch` has then resolved the champion already, and the list comes next."""
    return other in context.job_def.asset_layer.selected_asset_keys


def _ingest_again(
    lake: Lake, runner: Runner, tables: Tables, dataset: Dataset, context: dg.AssetExecutionContext
) -> None:
    """Ingest the batch for today's champion, as `raw_batch` would: found again if nothing has changed."""
    scorer = resolve_scorer(lake, dataset, provisional=asks_for_provisional(context))
    ingested = ingest_batch(lake, runner, tables, dataset, context.partition_key, scorer, context.log.warning)
    if not no_failure_blocks(ingested.results):
        raise ChurnError(
            problem(
                expected=f"batch {context.partition_key} to pass the checks of {RAW_BATCH}",
                found="one that fails",
                todo=f"materialize {RAW_BATCH} of this batch and look at its checks",
            )
        )


def _provisional(record: BatchRecord) -> dict[str, str]:
    return {"provisional": "yes"} if record.provisional else {}


def _describe_list(
    context: dg.AssetExecutionContext, lake: Lake, dataset: Dataset, record: BatchRecord, version: str
) -> str:
    """Return whether this run makes the list next, or else of which predictions the current one was made."""
    if _runs_with(context, asset_key(dataset.name, RETENTION_LIST)):
        return "made next by this run"
    return _compare_list(lake, dataset, record, version)


def _compare_list(lake: Lake, dataset: Dataset, record: BatchRecord, version: str) -> str:
    """Return whether the list shown for a batch was made of these predictions, and what to do if not."""
    try:
        shown = read_current(lake, dataset.name, RETENTION_LIST, record.batch)
        made_of = read_manifest(lake, shown.prefix).upstream.get(BATCH_PREDICTIONS) if shown else None
    except DamagedError:
        return f"damaged: materialize {RETENTION_LIST}"
    if shown is None:
        return f"none yet: materialize {RETENTION_LIST}"
    return (
        "made of these predictions"
        if made_of == version
        else f"made of earlier predictions: materialize {RETENTION_LIST}"
    )


def require_batch_record(lake: Lake, dataset: Dataset, batch: str) -> BatchRecord:
    """Return what `raw_batch` recorded of a batch. Raise ChurnError if there is no record."""
    record = read_batch(lake, dataset.name, batch)
    if record is None:
        raise ChurnError(
            problem(
                expected=batch_key(dataset.name, batch),
                found="none",
                todo=f"materialize {RAW_BATCH} first: `churn score {dataset.name} {batch}`",
            )
        )
    return record
