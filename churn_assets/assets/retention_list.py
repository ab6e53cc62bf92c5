"""The retention list: whom to contact, best first, within budget and capacity; and what was done with every scored row."""

import io
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from churn_assets.assets._errors import user_errors_as_failures
from churn_assets.assets._metadata import (
    RETENTION_TEAM,
    column_schema,
    lineage,
    materialize_result,
    records_table,
)
from churn_assets.assets.batch_predictions import require_batch_record
from churn_assets.reporting.csv_export import csv_bytes, read_back
from churn_model.decisions.policy import Policy
from churn_model.decisions.retention_list import History, Programme, Targeting, says_yes
from churn_model.decisions.retention_list import retention_list as choose
from churn_model.errors import ChurnError, problem
from churn_model.reports.retention_list import ListCounts, ListMoney, ListReport
from churn_model.reports.step_report import Report
from churn_model.spec.dataset import Dataset
from churn_model.spec.durations import seconds
from churn_model.tables import part_name
from resources.catalog.names import (
    ASSIGNMENTS,
    BATCH_PREDICTIONS,
    LIST,
    PREDICTIONS,
    RAW_BATCH,
    RETENTION_LIST,
    ROWS,
    asset_key,
    batch_key,
    batch_of_key,
    batch_partitions,
    batches_prefix,
    current_key,
    versions_prefix,
)
from resources.catalog.pointers import BatchRecord, Current, point_to, read_batch, read_current, require_current
from resources.catalog.publish import Content, Publication, publish_content, read_manifest
from resources.catalog.published_tables import open_published_table
from resources.catalog.versions import Maker
from resources.ports.lake import Lake
from resources.ports.run_locks import RunLocks
from resources.ports.tables import Tables

LIST_MAKER = Maker(
    "list",
    modules=(
        "churn_assets.reporting.csv_export",
        "churn_model.decisions.policy",
        "churn_model.decisions.retention_list",
    ),
)
_PART = part_name(0)
_OUTCOME_DAYS = 90  # a hold-out is kept this long: an outcome takes so long to show


def retention_list(dataset: Dataset) -> dg.AssetsDefinition:
    """Return the asset of the list of a dataset's batch."""
    source = asset_key(dataset.name, BATCH_PREDICTIONS)

    @dg.asset(
        key=asset_key(dataset.name, RETENTION_LIST),
        deps=[source],
        group_name=dataset.name,
        owners=RETENTION_TEAM,
        kinds={"csv", "parquet"},
        partitions_def=batch_partitions(dataset.name),
        description="Whom to contact, best expected saving first, after opt-outs and recent contacts, within budget and capacity. "
        "Every scored row keeps whether it was listed, held out and contacted, and with what chance.",
    )
    def asset(
        context: dg.AssetExecutionContext, lake: Lake, tables: Tables, run_locks: RunLocks
    ) -> dg.MaterializeResult:
        batch = context.partition_key
        with user_errors_as_failures():
            record = require_batch_record(lake, dataset, batch)
            predictions = require_current(lake, dataset.name, BATCH_PREDICTIONS, batch)
            _require_of(lake, record, predictions)
            earlier = _earlier_lists(lake, dataset, record)
            made = publish_content(
                lake,
                dataset,
                maker=LIST_MAKER,
                folder=versions_prefix(dataset.name, RETENTION_LIST, batch),
                upstream={
                    BATCH_PREDICTIONS: predictions.version,
                    **{f"list of {name}": current.version for name, (_, current) in earlier.items()},
                },
                make=lambda _seen: _content(_chosen(lake, dataset, record, predictions, earlier)),
            )
            tables.publish(dataset.name, RETENTION_LIST, made.version, made.prefix + ASSIGNMENTS, batch)
            point_to(lake, current_key(dataset.name, RETENTION_LIST, batch), made.current)
            # Last: now the batch is done.
            point_to(lake, batch_key(dataset.name, batch), replace(record, list=made.current))
            return materialize_result(made, lake, (), _metadata(lake, made, source))

    return asset


def _require_of(lake: Lake, record: BatchRecord, predictions: Current) -> None:
    """Raise ChurnError unless the predictions shown are those of the rows and the champion on record: otherwise their rows would not match."""
    upstream = read_manifest(lake, predictions.prefix).upstream
    if (upstream[RAW_BATCH], upstream["champion"]) != (record.rows.version, record.champion.version):
        raise ChurnError(
            problem(
                expected=f"predictions of batch {record.batch} as it was last ingested",
                found="those of an earlier one",
                todo=f"materialize {BATCH_PREDICTIONS}, or run the job again",
            )
        )


def _earlier_lists(lake: Lake, dataset: Dataset, record: BatchRecord) -> dict[str, tuple[datetime, Current]]:
    """The lists of other batches that were landed before this one and still matter: for the cooldown or for a hold-out."""
    here = datetime.fromisoformat(record.landed_at)
    since = here - timedelta(seconds=max(seconds(dataset.list.cooldown), _OUTCOME_DAYS * 86_400))
    found = {}
    for entry in lake.entries(batches_prefix(dataset.name)):
        batch = batch_of_key(dataset.name, entry.key)
        other = read_batch(lake, dataset.name, batch)
        current = read_current(lake, dataset.name, RETENTION_LIST, batch)
        if other is None or current is None or batch == record.batch:
            continue
        landed = datetime.fromisoformat(other.landed_at)
        if since <= landed and (landed, batch) < (here, record.batch):
            found[batch] = (landed, current)
    return found


def _content(chosen: Targeting) -> Content:
    counts = ListCounts(
        rows=chosen.rows.num_rows, **{name.replace(" ", "_"): count for name, count in chosen.counts.items()}
    )
    money = ListMoney(contact_cost=chosen.contact_cost, expected_saving=chosen.expected_saving)
    report = Report(content=ListReport(counts=counts, metrics=money))
    files = {LIST: csv_bytes(_for_people(chosen.contacts)), ASSIGNMENTS + _PART: _parquet(chosen.rows)}
    rows = {LIST: chosen.contacts.num_rows, ASSIGNMENTS + _PART: chosen.rows.num_rows}
    return Content(report, files, rows)


def _chosen(
    lake: Lake,
    dataset: Dataset,
    record: BatchRecord,
    predictions: Current,
    earlier: Mapping[str, tuple[datetime, Current]],
) -> Targeting:
    scored = _table(lake, predictions.prefix + PREDICTIONS)
    opted_out = None
    if dataset.list.opt_out:
        rows = _table(lake, record.rows.prefix + ROWS, [dataset.list.opt_out])
        opted_out = says_yes(rows.column(0), dataset.list.opt_out)
    landed = datetime.fromisoformat(record.landed_at)
    period = (landed.date() - datetime(1970, 1, 1, tzinfo=landed.tzinfo).date()).days // _OUTCOME_DAYS
    return choose(
        scored,
        dataset.list,
        contact_cost=Policy(dataset.costs).contact_cost,
        programme=Programme(name=dataset.name, period=str(period)),
        history=_history(lake, dataset, landed, earlier),
        opted_out=opted_out,
    )


def _history(
    lake: Lake, dataset: Dataset, landed: datetime, earlier: Mapping[str, tuple[datetime, Current]]
) -> History:
    listed: set[str] = set()
    held_out: dict[str, bool] = {}
    cooldown = timedelta(seconds=seconds(dataset.list.cooldown))
    for when, current in earlier.values():
        rows = _table(lake, current.prefix + ASSIGNMENTS, ["id", "listed", "held_out"])
        rows = rows.filter(rows["listed"])
        ids = rows["id"].to_pylist()
        held_out.update(zip(ids, rows["held_out"].to_pylist(), strict=True))
        if landed - when <= cooldown:
            listed.update(ids)
    return History(listed=listed, held_out=held_out)


def _for_people(contacts: pa.Table) -> pa.Table:
    """The columns that who makes the calls needs, money and shares rounded."""
    wanted = ["rank", "id", "churn_probability", "expected_saving", "reason_1", "reason_2", "reason_3"]
    table = contacts.select([name for name in wanted if name in contacts.column_names])
    for name, digits in (("churn_probability", 3), ("expected_saving", 2)):
        table = table.set_column(table.column_names.index(name), name, pc.round(table[name], digits))
    return table


def _metadata(lake: Lake, made: Publication, source: dg.AssetKey) -> dict[str, Any]:
    """The first rows as a table, and where the list lies."""
    contacts = read_back(lake.read(made.prefix + LIST))
    first = [
        {name: None if value is None else str(value) for name, value in row.items()}
        for row in contacts.slice(0, 10).to_pylist()
    ]
    return {
        "dagster/row_count": contacts.num_rows,
        "dagster/column_schema": column_schema({field.name: str(field.type) for field in contacts.schema}),
        "dagster/column_lineage": lineage(source, {name: [name] for name in contacts.column_names if name != "rank"}),
        "list": dg.MetadataValue.path(lake.uri(made.prefix + LIST)),
        "first contacts": records_table(first, dict.fromkeys(contacts.column_names, "string")),
    }


def _table(lake: Lake, prefix: str, columns: list[str] | None = None) -> pa.Table:
    table = open_published_table(lake, prefix)
    wanted = {name.lower() for name in columns or []}
    return table.read(None if columns is None else [name for name in table.schema.names if name.lower() in wanted])


def _parquet(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd")
    return out.getvalue()
