"""The retention list: whom to contact, best first, within budget and capacity; and what was done with every scored row."""

import io
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from churn_assets.assets._metadata import RETENTION_TEAM, column_schema, lineage, records_table
from churn_assets.assets._stage import Made, materialized, now, published, required, user_errors_as_failures
from churn_assets.assets.batch_predictions import require_batch_record
from churn_assets.reporting.csv_export import csv_bytes, read_back
from churn_model.decisions.policy import Policy
from churn_model.decisions.retention_list import History, Programme, Targeting, says_yes
from churn_model.decisions.retention_list import retention_list as choose
from churn_model.errors import ChurnError
from churn_model.spec.dataset import Dataset, seconds
from churn_model.steps.contract import REPORT, REPORT_SCHEMA
from resources.catalog.names import batch_partitions
from resources.catalog.pointers import BatchRecord, Current, batch_key, current_key, read_batch, read_current, show
from resources.catalog.versions import digest_of, version_of
from resources.ports.lake import MANIFEST, Lake, Manifest, PublishedFile
from resources.ports.runner import StepReport
from resources.ports.tables import Tables

LIST = "list/list.csv"
ASSIGNMENTS = "assignments/part-0.parquet"
_OUTCOME_DAYS = 90  # a hold-out is kept this long: an outcome takes so long to show


def retention_list(dataset: Dataset) -> dg.AssetsDefinition:
    """The list of a dataset's batch."""

    @dg.asset(
        key=[dataset.name, "retention_list"],
        deps=[[dataset.name, "batch_predictions"]],
        group_name=dataset.name,
        owners=RETENTION_TEAM,
        kinds={"csv", "parquet"},
        partitions_def=batch_partitions(dataset),
        description="Whom to contact, best expected saving first, after opt-outs and recent contacts, within budget and capacity. "
        "Every scored row keeps whether it was listed, held out and contacted, and with what chance.",
    )
    def asset(context: dg.AssetExecutionContext, lake: Lake, tables: Tables) -> dg.MaterializeResult:
        batch = context.partition_key
        with user_errors_as_failures():
            record = require_batch_record(lake, dataset, batch)
            predictions = required(lake, dataset, f"batch_predictions/{batch}")
            _require_of(lake, record, predictions)
            earlier = _earlier_lists(lake, dataset, record)
            made = _made(lake, dataset, record, predictions, earlier)
            tables.publish(dataset.name, "retention_list", made.version, made.prefix + "assignments/", batch)
            show(lake, current_key(dataset.name, f"retention_list/{batch}"), made.current)
            show(
                lake, batch_key(dataset.name, batch), replace(record, list=made.current)
            )  # last: now the batch is done
            return materialized(made, lake, (), _metadata(lake, made, dg.AssetKey([dataset.name, "batch_predictions"])))

    return asset


def _require_of(lake: Lake, record: BatchRecord, predictions: Current) -> None:
    """Raise where the predictions shown are not those of the rows and the champion on record: their rows would not lie side by side."""
    made_of = Manifest.from_json(lake.read(predictions.prefix + MANIFEST)).upstream
    if (made_of["raw_batch"], made_of["champion"]) != (record.rows.version, record.champion.version):
        raise ChurnError(
            f"expected predictions of batch {record.batch} as it was last taken up; found those of an earlier one; "
            "materialise batch_predictions, or run the job again"
        )


def _earlier_lists(lake: Lake, dataset: Dataset, record: BatchRecord) -> dict[str, tuple[datetime, Current]]:
    """The lists of other batches that were landed before this one and still matter: for the cooldown or for a hold-out."""
    here = datetime.fromisoformat(record.landed_at)
    since = here - timedelta(seconds=max(seconds(dataset.list.cooldown), _OUTCOME_DAYS * 86_400))
    found = {}
    folder = f"{dataset.name}/batches/"
    for entry in lake.entries(folder):
        batch = entry.key.removeprefix(folder).removesuffix(".json")
        other = read_batch(lake, dataset.name, batch)
        current = read_current(lake, dataset.name, f"retention_list/{batch}")
        if other is None or current is None or batch == record.batch:
            continue
        landed = datetime.fromisoformat(other.landed_at)
        if since <= landed and (landed, batch) < (here, record.batch):
            found[batch] = (landed, current)
    return found


def _made(
    lake: Lake,
    dataset: Dataset,
    record: BatchRecord,
    predictions: Current,
    earlier: Mapping[str, tuple[datetime, Current]],
) -> Made:
    """The list's version, found or made. It is made here and not by a step: it reads what other batches were told."""
    upstream = {
        "batch_predictions": predictions.version,
        **{f"list of {name}": current.version for name, (_, current) in earlier.items()},
    }
    version = version_of("list", dataset, [f"{name}={value}" for name, value in upstream.items()])
    prefix = f"{dataset.name}/retention_list/{record.batch}/{version}/"
    found = published(lake, prefix)
    if found:
        return Made(version, prefix, found, reused=True)
    chosen = _chosen(lake, dataset, record, predictions, earlier)
    content = {LIST: csv_bytes(_for_people(chosen.contacts)), ASSIGNMENTS: _parquet(chosen.rows)}
    rows = {LIST: chosen.contacts.num_rows, ASSIGNMENTS: chosen.rows.num_rows}
    files = {name: PublishedFile(len(data), digest_of(data), rows[name]) for name, data in content.items()}
    report = _report(chosen, files)
    for name, data in {**content, REPORT: report}.items():
        lake.put(prefix + name, data)
    lake.publish(
        prefix, Manifest(version, {**files, REPORT: PublishedFile(len(report), digest_of(report))}, upstream, now())
    )
    return Made(version, prefix, StepReport.from_json(report), reused=False)


def _chosen(
    lake: Lake,
    dataset: Dataset,
    record: BatchRecord,
    predictions: Current,
    earlier: Mapping[str, tuple[datetime, Current]],
) -> Targeting:
    scored = _table(lake, predictions.prefix + "predictions/part-0.parquet")
    opted_out = None
    if dataset.list.opt_out:
        rows = _table(lake, record.rows.prefix + "rows/part-0.parquet", [dataset.list.opt_out])
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


def _report(chosen: Targeting, files: Mapping[str, PublishedFile]) -> bytes:
    said = {
        "schema": REPORT_SCHEMA,
        "step": "list",
        "counts": {name.replace(" ", "_"): count for name, count in chosen.counts.items()},
        "metrics": {"contact_cost": chosen.contact_cost, "expected_saving": chosen.expected_saving},
        "checks": [],
        "detail": {},
        "files": {name: vars(file) for name, file in files.items()},
    }
    return json.dumps(said, sort_keys=True).encode()


def _metadata(lake: Lake, made: Made, source: dg.AssetKey) -> dict[str, Any]:
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


def _table(lake: Lake, key: str, columns: list[str] | None = None) -> pa.Table:
    with lake.open(key) as stream:
        file = pq.ParquetFile(stream, pre_buffer=False)
        names = (
            None
            if columns is None
            else [name for name in file.schema_arrow.names if name.lower() in {c.lower() for c in columns}]
        )
        return file.read(
            names, use_threads=False
        )  # Arrow's threads would hold Python's stream beyond the end of the process


def _parquet(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd")
    return out.getvalue()
