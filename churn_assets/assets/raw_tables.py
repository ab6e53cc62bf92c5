"""Raw tables: what landed, record for record, as typed rows and quarantine. `raw_customers` for training, `raw_batch` for scoring."""

import uuid
from collections.abc import Mapping
from typing import Any

import dagster as dg

from churn_assets.assets._metadata import DATA_TEAM, column_schema, records_table, retrain_freshness
from churn_assets.assets._stage import (
    Claim,
    Made,
    check_results,
    make,
    materialized,
    now,
    passed,
    user_errors_as_failures,
)
from churn_model.errors import ChurnError, InputError
from churn_model.ingest.files import ENDINGS
from churn_model.spec.dataset import Dataset
from resources.catalog.landing import fingerprint_of, fingerprints, list_batch, list_landed, listing_of, train_prefix
from resources.catalog.names import batch_partitions
from resources.catalog.pointers import BatchRecord, Current, current_key, read_champion, record_batch, show
from resources.ports.lake import Lake
from resources.ports.runner import Runner
from resources.ports.tables import Tables

_ACCOUNTED = Claim(
    "every_record_is_accounted_for",
    "Each physical record that landed is a row or in quarantine with its reason: the counts agree.",
)
_CONTRACT = Claim(
    "landed_data_keeps_the_contract",
    "The columns that the spec names are there, and at most one record in ten is in quarantine.",
)
QUARANTINE = "quarantine/part-0.parquet"
_CLASSES = Claim(
    "both_classes_are_present", "Some customers left and some stayed: otherwise there is nothing to learn."
)


def raw_customers(dataset: Dataset) -> dg.AssetsDefinition:
    """The training table of a dataset."""
    key = dg.AssetKey([dataset.name, "raw_customers"])
    claims = (_ACCOUNTED, _CONTRACT, _CLASSES)

    @dg.asset(
        key=key,
        group_name=dataset.name,
        owners=DATA_TEAM,
        freshness_policy=retrain_freshness(dataset),
        kinds={"duckdb", "parquet"},
        description=f"Every record that landed in landing/{dataset.name}/train as a typed row, or in quarantine with file, line, column and reason.",
        check_specs=[claim.spec(key) for claim in claims],
    )
    def asset(lake: Lake, runner: Runner, tables: Tables) -> dg.MaterializeResult:
        with user_errors_as_failures():
            keys, contents = _training_files(lake, tables, dataset)
            made = make(
                lake,
                runner,
                dataset,
                step="ingest",
                folder=f"{dataset.name}/raw_customers/",
                inputs={"landed": keys},
                upstream=contents,
            )
            results = check_results(claims, _placed(made, lake))
            if passed(results):
                tables.publish(dataset.name, "raw_customers", made.version, made.prefix + "rows/")
                show(lake, current_key(dataset.name, "raw_customers"), made.current)
            return materialized(made, lake, results, _table_metadata(made, lake))

    return asset


def raw_batch(dataset: Dataset) -> dg.AssetsDefinition:
    """One landed batch of a dataset, and the champion that will score it."""
    key = dg.AssetKey([dataset.name, "raw_batch"])
    claims = (_ACCOUNTED, _CONTRACT)

    @dg.asset(
        key=key,
        group_name=dataset.name,
        owners=DATA_TEAM,
        kinds={"duckdb", "parquet"},
        deps=[[dataset.name, "champion_model"]],
        partitions_def=batch_partitions(dataset),
        description="A landed batch as typed rows or quarantine. The champion is resolved here, once, so that a promotion meanwhile changes nothing.",
        check_specs=[claim.spec(key) for claim in claims],
    )
    def asset(context: dg.AssetExecutionContext, lake: Lake, runner: Runner, tables: Tables) -> dg.MaterializeResult:
        batch = context.partition_key
        with user_errors_as_failures():
            champion = read_champion(lake, dataset.name)
            if champion is None:
                raise ChurnError(
                    f"expected a champion of {dataset.name} to score with; found none; run `churn retrain {dataset.name}` and see what its gate says"
                )
            entries = list_batch(lake, dataset.name, batch)
            contents = fingerprints(lake, entries)
            made = make(
                lake,
                runner,
                dataset,
                step="ingest",
                folder=f"{dataset.name}/raw_batch/{batch}/",
                inputs={"landed": [entry.key for entry in entries], "bundle": [champion.prefix]},
                upstream={**contents, "bundle": champion.version},
            )
            results = check_results(claims, _placed(made, lake))
            if passed(results):
                tables.publish(dataset.name, "raw_batch", made.version, made.prefix + "rows/", batch)
                scored_by = Current(champion.version, champion.prefix)
                record = BatchRecord(
                    batch, fingerprint_of(contents), listing_of(entries), now(), made.current, scored_by
                )
                record_batch(lake, dataset.name, record)
            return materialized(made, lake, results, {**_table_metadata(made, lake), "champion": champion.version})

    return asset


def _training_files(lake: Lake, tables: Tables, dataset: Dataset) -> tuple[list[str], dict[str, str]]:
    """The files to ingest and what they hold: what landed, or what a table the user already has was unloaded to."""
    prefix = train_prefix(dataset.name)
    if dataset.source.table:
        database, _, table = dataset.source.table.partition(".")
        prefix = f"{dataset.name}/unloaded/{uuid.uuid4().hex}/"  # never over what an ingest may be reading
        tables.unload(f'select * from "{database}"."{table}"', prefix)  # noqa: S608  # the spec forbids quotes in both names
    entries = list_landed(lake, prefix)
    if not entries:
        raise InputError(
            f"expected at least one file ({', '.join(ENDINGS)}) below {lake.uri(prefix)}; found none; land one: `churn land {dataset.name} FILE`"
        )
    contents = fingerprints(lake, entries)
    if dataset.source.table:
        contents = {key.removeprefix(prefix): content for key, content in contents.items()}
    return [entry.key for entry in entries], contents


def _placed(made: Made, lake: Lake) -> list[Mapping[str, Any]]:
    """What the step said of its claims; one that sends to the quarantine says where that lies."""
    place = lake.uri(made.prefix + QUARANTINE)
    return [
        {**check, "todo": check["todo"].replace("the quarantine table", f"the quarantine ({place})")}
        for check in made.report.checks
    ]


def _table_metadata(made: Made, lake: Lake) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "dagster/row_count": made.report.counts["rows"],
        "dagster/column_schema": column_schema(made.report.detail["columns"]),
    }
    if made.report.counts["quarantined"]:
        reasons = [{"reason": reason, "records": count} for reason, count in made.report.detail["reasons"].items()]
        metadata["quarantine"] = records_table(reasons, {"reason": "string", "records": "int"})
        metadata["quarantine lies at"] = dg.MetadataValue.path(lake.uri(made.prefix + QUARANTINE))
    if made.report.detail["ignored_columns"]:
        metadata["columns passed over"] = ", ".join(made.report.detail["ignored_columns"][:50])
    return metadata
