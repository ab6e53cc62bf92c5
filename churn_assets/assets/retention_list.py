"""The retention list: whom to contact, best first, within budget and capacity; and what was done with every scored row."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from churn_assets.assets._batch_page import PAGE_MAKER, publish_batch_page
from churn_assets.assets._checks import check_results, check_specs
from churn_assets.assets._columns import describe_prediction_column
from churn_assets.assets._errors import user_errors_as_failures
from churn_assets.assets._metadata import (
    RETENTION_TEAM,
    batch_freshness,
    code_version_of,
    column_schema,
    lineage,
    link_to,
    materialize_result,
    records_table,
    table_name,
)
from churn_assets.assets.batch_predictions import require_batch_record
from churn_assets.assets.raw_batch import landed_contents
from churn_model.decisions.list_csv import select_list_columns
from churn_model.errors import ChurnError, problem
from churn_model.reports.retention_list import ListReport, describe_holdout
from churn_model.spec.dataset import Dataset
from churn_model.steps.claims.list_layout import CLAIMS as LAYOUT_CLAIMS
from churn_model.steps.claims.retention_list import CLAIMS
from churn_model.wording import NOT_EVALUATED
from resources.catalog.integrity import read_manifest
from resources.catalog.ledger import INPUTS, History, enter_list
from resources.catalog.names import (
    ASSIGNMENTS,
    BATCH_PAGE,
    BATCH_PREDICTIONS,
    CONTACTS,
    LIST,
    LIST_LAYOUT,
    RETENTION_LIST,
    SUMMARY_HTML,
    asset_key,
    batch_key,
    batch_partitions,
    current_key,
    versions_prefix,
)
from resources.catalog.old_batches import UP_TO_DATE, check_batches, predictions_version
from resources.catalog.outputs import Output, copy_to_outputs, output_key
from resources.catalog.pointers import BatchRecord, Current, point_to, require_current
from resources.catalog.publish import Publication, publish_step
from resources.catalog.published_tables import open_published_table, read_first
from resources.catalog.versions import step_maker, version_of
from resources.ports.lake import Lake
from resources.ports.outputs import Outputs
from resources.ports.run_locks import RunLocks
from resources.ports.runner import Runner
from resources.ports.tables import Tables

MAKER, LAYOUT_MAKER = step_maker("retention_list"), step_maker("list_layout")
_OWN_COLUMNS = ("listed", "held_out", "contacted", "propensity", "left_out")
_FIRST = 10
_DESCRIPTION = (
    "Whom to contact, best expected saving first, after opt-outs and recent contacts, within budget and capacity. "
    "Every scored row keeps whether it was listed, held out and contacted, and with what chance."
)


def retention_list(dataset: Dataset) -> dg.AssetsDefinition:
    """Return the asset of the list of a dataset's batch."""
    key, source = asset_key(dataset.name, RETENTION_LIST), asset_key(dataset.name, BATCH_PREDICTIONS)

    @dg.asset(
        key=key,
        deps=[source],
        group_name=dataset.name,
        metadata=table_name(dataset, RETENTION_LIST),
        code_version=code_version_of(dataset, MAKER, LAYOUT_MAKER, PAGE_MAKER),
        freshness_policy=batch_freshness(dataset),
        owners=RETENTION_TEAM,
        kinds={"csv", "parquet"},
        partitions_def=batch_partitions(dataset.name),
        description=_DESCRIPTION,
        check_specs=check_specs(key, (*CLAIMS, *LAYOUT_CLAIMS, UP_TO_DATE)),
    )
    def asset(
        context: dg.AssetExecutionContext,
        lake: Lake,
        runner: Runner,
        tables: Tables,
        outputs: Outputs,
        run_locks: RunLocks,
    ) -> dg.MaterializeResult:
        batch = context.partition_key
        with user_errors_as_failures():
            record = require_batch_record(lake, dataset, batch)
            predictions = require_current(lake, dataset.name, BATCH_PREDICTIONS, batch)
            _require_of(runner, dataset, record, predictions)
            entered = enter(lake, runner, dataset, record, predictions, datetime.now(UTC))
            tables.publish(dataset.name, RETENTION_LIST, entered.version, entered.prefix + ASSIGNMENTS, batch)
            point_to(lake, current_key(dataset.name, RETENTION_LIST, batch), entered.current)
            layout = lay_out(lake, runner, dataset, record, entered)
            point_to(lake, current_key(dataset.name, LIST_LAYOUT, batch), layout.current)
            summary = publish_batch_page(lake, dataset, record, predictions, entered, layout)
            point_to(lake, current_key(dataset.name, BATCH_PAGE, batch), summary.current)
            lasting = _copy_to_outputs(lake, outputs, dataset, batch, layout, summary)
            # Last: now the batch is done.
            point_to(lake, batch_key(dataset.name, batch), replace(record, list=entered.current))
            results = [
                *check_results(CLAIMS, entered.report.checks, entered.report.counts),
                *check_results((UP_TO_DATE,), [check_batches(lake, runner.libraries, dataset)]),
                *check_results(LAYOUT_CLAIMS, layout.report.checks),
            ]
            metadata = {**_links(outputs, lasting), **_metadata(lake, entered, source)}
            return materialize_result(entered, lake, results, metadata)

    return asset


def _copy_to_outputs(
    lake: Lake, outputs: Outputs, dataset: Dataset, batch: str, layout: Publication, summary: Publication
) -> dict[Output, str]:
    """Put the list and its summary where people look for them, and return their keys there."""
    lasting = {each: output_key(dataset.name, each, batch) for each in (Output.LIST, Output.SUMMARY)}
    copy_to_outputs(lake, outputs, layout.prefix + LIST, lasting[Output.LIST])
    copy_to_outputs(lake, outputs, summary.prefix + SUMMARY_HTML, lasting[Output.SUMMARY])
    return lasting


def _require_of(runner: Runner, dataset: Dataset, record: BatchRecord, predictions: Current) -> None:
    """Raise ChurnError unless the predictions shown are of the rows and the champion on record, at today's costs: list and predictions agree."""
    if predictions.version != predictions_version(runner.libraries, dataset, record):
        raise ChurnError(
            problem(
                expected=f"predictions of batch {record.batch} as it was last ingested, at today's costs",
                found="earlier ones",
                todo=f"materialize {BATCH_PREDICTIONS} and {RETENTION_LIST} of this batch together, or run `churn score {dataset.name} {record.batch}`",
            )
        )


def enter(
    lake: Lake, runner: Runner, dataset: Dataset, record: BatchRecord, predictions: Current, now: datetime
) -> Publication:
    """Find the batch's list or make it against the ledger of earlier lists, and enter it there."""
    upstream = {BATCH_PREDICTIONS: predictions.version}
    libraries = runner.libraries(MAKER.source().libraries)
    inputs = version_of(MAKER, dataset, upstream, libraries=libraries)

    def make(history: History) -> Publication:
        steps_inputs = {
            "predictions": [predictions.prefix],
            "rows": [record.rows.prefix] if dataset.list.opt_out or dataset.costs.value_column else [],
            "recent": [entry.prefix + ASSIGNMENTS for entry in history.recent],
            "settled": [entry.prefix + ASSIGNMENTS for entry in history.settled],
        }
        return publish_step(
            lake,
            runner,
            dataset,
            maker=MAKER,
            folder=versions_prefix(dataset.name, RETENTION_LIST, record.batch),
            inputs={name: keys for name, keys in steps_inputs.items() if keys},
            upstream={**upstream, INPUTS: inputs, **history.upstream},
            parameters={"period": history.period},
        )

    return enter_list(lake, dataset, record.batch, inputs, now, make)


def lay_out(lake: Lake, runner: Runner, dataset: Dataset, record: BatchRecord, entered: Publication) -> Publication:
    """Find or make the list as people read it. It is a version of its own: another column or setting lays out the same list anew."""
    landed: dict[str, str] = {}
    if dataset.list.columns:
        landed = landed_contents(read_manifest(lake, record.rows.prefix))
    return publish_step(
        lake,
        runner,
        dataset,
        maker=LAYOUT_MAKER,
        folder=versions_prefix(dataset.name, LIST_LAYOUT, record.batch),
        inputs={"list": [entered.prefix], **({"landed": list(landed)} if landed else {})},
        upstream={RETENTION_LIST: entered.version, **landed},
        contents=landed,
    )


def _links(outputs: Outputs, lasting: Mapping[Output, str]) -> dict[str, Any]:
    """Return what opens the list and the summary from the UI, and where they are."""
    return {
        **link_to(outputs, lasting[Output.LIST]),
        **link_to(outputs, lasting[Output.SUMMARY], "open summary"),
        "list": dg.MetadataValue.path(outputs.uri(lasting[Output.LIST])),
        "summary": dg.MetadataValue.path(outputs.uri(lasting[Output.SUMMARY])),
    }


def _metadata(lake: Lake, entered: Publication, source: dg.AssetKey) -> dict[str, Any]:
    """Return the first contacts as a table, and what the list's hold-out can show."""
    report = entered.report.read(ListReport)
    contacts = read_first(lake, entered.prefix + CONTACTS, _FIRST)
    assignments = open_published_table(lake, entered.prefix + ASSIGNMENTS).schema
    first = [
        {name: None if value is None else str(value) for name, value in row.items()}
        for row in select_list_columns(contacts).to_pylist()
    ]
    names = list(select_list_columns(contacts).column_names)
    return {
        "dagster/row_count": report.counts.rows,
        "dagster/column_schema": column_schema(
            {field.name: str(field.type) for field in assignments}, describe_prediction_column
        ),
        "dagster/column_lineage": lineage(
            source, {name: [name] for name in assignments.names if name not in _OWN_COLUMNS}
        ),
        "holdout_power": describe_holdout(report.holdout) if report.holdout else NOT_EVALUATED,
        "first contacts": records_table(first, dict.fromkeys(names, "string")),
    }
