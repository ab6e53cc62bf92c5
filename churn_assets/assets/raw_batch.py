"""One landed batch as a table, and the champion that will score it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from churn_assets.assets._checks import check_results, check_specs, no_failure_blocks
from churn_assets.assets._errors import user_errors_as_failures
from churn_assets.assets._metadata import DATA_TEAM, code_version_of, materialize_result, table_name
from churn_assets.assets._raw_table import locate_quarantine, table_metadata
from churn_model.errors import ChurnError, problem
from churn_model.models.bundle_file import BUNDLE, encode_json, read_required_columns
from churn_model.reports.evaluate import EvaluateReport
from churn_model.spec.dataset import Dataset, Kind
from churn_model.steps.claims.ingest import ACCOUNTED, CONTRACT
from churn_model.wording import counted
from resources.catalog.digests import digest_of
from resources.catalog.integrity import read_manifest, require_whole
from resources.catalog.landing import (
    describe_unreadable,
    fingerprint_of,
    fingerprints,
    list_batch,
    listing_of,
)
from resources.catalog.names import (
    CHAMPION_MODEL,
    COLUMNS,
    EVALUATION_REPORT,
    RAW_BATCH,
    ROWS,
    TUNED_MODEL,
    asset_key,
    batch_partitions,
    versions_prefix,
)
from resources.catalog.pointers import (
    BatchRecord,
    Current,
    read_batch,
    read_champion,
    read_current,
    record_batch,
    utc_now,
)
from resources.catalog.publish import Publication, publish_step, require_published
from resources.catalog.versions import step_maker
from resources.errors import DamagedError
from resources.ports.lake import Entry, Lake, Manifest
from resources.ports.run_locks import RunLocks
from resources.ports.runner import Runner
from resources.ports.tables import Tables

CLAIMS = (ACCOUNTED, CONTRACT)
PROVISIONAL_TAG = "churn/provisional"
"""A run with this tag and the value `yes` scores with the newest model, refused by the gate, if there is no champion."""


@dataclass(frozen=True)
class Scorer:
    """The model that scores a batch; `refused`: why the gate refused it, None for a champion."""

    model: Current
    refused: str | None = None


def raw_batch(dataset: Dataset) -> dg.AssetsDefinition:
    """Return the asset of one landed batch of a dataset."""
    key = asset_key(dataset.name, RAW_BATCH)

    @dg.asset(
        key=key,
        group_name=dataset.name,
        metadata=table_name(dataset, RAW_BATCH),
        code_version=code_version_of(dataset, step_maker("ingest")),
        owners=DATA_TEAM,
        kinds={"duckdb", "parquet"},
        deps=[asset_key(dataset.name, CHAMPION_MODEL)],
        partitions_def=batch_partitions(dataset.name),
        description="A landed batch as typed rows or quarantine. The champion is resolved here, once, so that a promotion meanwhile changes nothing.",
        check_specs=check_specs(key, CLAIMS),
    )
    def asset(
        context: dg.AssetExecutionContext, lake: Lake, runner: Runner, tables: Tables, run_locks: RunLocks
    ) -> dg.MaterializeResult:
        batch = context.partition_key
        with user_errors_as_failures():
            scorer = resolve_scorer(lake, dataset, provisional=asks_for_provisional(context))
            ingested = ingest_batch(lake, runner, tables, dataset, batch, scorer, context.log.warning)
            metadata = {**table_metadata(dataset, ingested.table, lake), "champion": ingested.champion.version}
            return materialize_result(ingested.table, lake, ingested.results, metadata)

    return asset


@dataclass(frozen=True, kw_only=True)
class IngestedBatch:
    """A batch as a table, what its checks found, and the model that scores it."""

    table: Publication
    results: Sequence[dg.AssetCheckResult]
    champion: Current


def asks_for_provisional(context: dg.AssetExecutionContext) -> bool:
    """Return whether a run may score with a model that the gate refused."""
    return context.run.tags.get(PROVISIONAL_TAG) == "yes"


def ingest_batch(
    lake: Lake,
    runner: Runner,
    tables: Tables,
    dataset: Dataset,
    batch: str,
    scorer: Scorer,
    warn: Callable[[str], object],
) -> IngestedBatch:
    """Find or make the table of a batch for the model that scores it, and record both unless a blocking check fails."""
    champion = scorer.model
    if scorer.refused:
        warn(f"Scored with a provisional model that the gate refused. {scorer.refused}")
    entries, contents = find_landed(lake, dataset, batch, warn, " and is scored again")
    table = publish_rows(lake, runner, dataset, batch, entries, contents, read_columns(lake, champion))
    results = check_results(CLAIMS, locate_quarantine(table, lake), table.report.counts)
    if no_failure_blocks(results):
        tables.publish(dataset.name, RAW_BATCH, table.version, table.prefix + ROWS, batch)
        record = BatchRecord(
            batch,
            fingerprint_of(contents),
            listing_of(entries),
            utc_now(),
            table.current,
            champion,
            provisional=scorer.refused,
        )
        record_batch(lake, dataset.name, record)
    return IngestedBatch(table=table, results=results, champion=champion)


def landed_contents(ingested: Manifest) -> dict[str, str]:
    """Return the landed files that a batch's rows were made from, each key with its size and digest."""
    others = (COLUMNS, "bundle")  # earlier code wrote `bundle`
    return {key: content for key, content in ingested.upstream.items() if key not in others}


def find_landed(
    lake: Lake, dataset: Dataset, batch: str, warn: Callable[[str], object], then: str
) -> tuple[Sequence[Entry], dict[str, str]]:
    """Return the landed files of a batch and their fingerprints, by key.

    Warn of what is passed over, and of a batch that has changed since it was last scored; `then`: what becomes of that one.
    """
    landed = list_batch(lake, dataset.name, batch)
    if landed.passed_over:
        warn(f"Passed over: {describe_unreadable(lake, landed.passed_over)}.")
    contents = fingerprints(lake, landed.entries)
    if change := _describe_change(lake, dataset, batch, contents):
        warn(f"{change}{then}.")
    return landed.entries, contents


def _describe_change(lake: Lake, dataset: Dataset, batch: str, contents: Mapping[str, str]) -> str:
    """Return what has changed in a batch since it was last scored; nothing if it is new or the same."""
    try:
        known = read_batch(lake, dataset.name, batch)
        landed = landed_contents(read_manifest(lake, known.rows.prefix)) if known else {}
    except DamagedError:
        return ""
    if not landed or landed == contents:
        return ""
    changes = {
        "new": [key for key in contents if key not in landed],
        "changed": [key for key in contents if key in landed and contents[key] != landed[key]],
        "gone": [key for key in landed if key not in contents],
    }
    counts = ", ".join(f"{counted(len(keys), 'file')} {what}" for what, keys in changes.items() if keys)
    return f"Batch {batch} has changed since it was last scored ({counts})"


def publish_rows(
    lake: Lake,
    runner: Runner,
    dataset: Dataset,
    batch: str,
    entries: Sequence[Entry],
    contents: Mapping[str, str],
    columns: Mapping[str, Kind],
) -> Publication:
    """Find or make the table of a batch with the columns that one or several models read. `contents`: fingerprints of the landed files."""
    return publish_step(
        lake,
        runner,
        dataset,
        maker=step_maker("ingest"),
        folder=versions_prefix(dataset.name, RAW_BATCH, batch),
        inputs={"landed": [entry.key for entry in entries]},
        upstream={**contents, COLUMNS: digest_of(encode_json(columns))},
        contents=contents,
        parameters={COLUMNS: columns},
    )


def read_columns(lake: Lake, model: Current) -> dict[str, Kind]:
    """Return the columns that a model reads of a batch, which is all that ingest takes from it."""
    with lake.open(model.prefix + BUNDLE) as stream:
        return read_required_columns(stream)


def resolve_scorer(lake: Lake, dataset: Dataset, *, provisional: bool) -> Scorer:
    """Return the champion, or, if there is none and `provisional` asks for it, the model that the gate refused.

    Raise ChurnError if there is no such model, or a champion where a provisional model is asked for.
    """
    champion = read_champion(lake, dataset.name)
    if champion is not None and provisional:
        raise ChurnError(
            problem(
                expected=f"no champion of {dataset.name}, for a provisional model to score in its place",
                found=f"champion {champion.version}",
                todo="score without --provisional",
            )
        )
    if champion is not None:
        require_whole(lake, champion.prefix)  # also if everything made with it is found again
        return Scorer(Current(champion.version, champion.prefix))
    model, evaluation = (read_current(lake, dataset.name, asset) for asset in (TUNED_MODEL, EVALUATION_REPORT))
    report = require_published(lake, evaluation.prefix).read(EvaluateReport) if evaluation else None
    if model is None or report is None or report.candidate_version != model.version:
        raise ChurnError(
            problem(
                expected=f"a champion of {dataset.name} to score with",
                found="none",
                todo=f"run `churn retrain {dataset.name}` and see what its gate says",
            )
        )
    if not provisional:
        raise ChurnError(
            problem(
                expected=f"a champion of {dataset.name} to score with",
                found=f"none, for the gate refused the last model. {report.decision.reason}",
                todo="to score with it all the same, each row and list marked as provisional, add --provisional to `churn score`, or "
                f"the tag {PROVISIONAL_TAG}: yes to the run",
            )
        )
    require_whole(lake, model.prefix)
    return Scorer(model, report.decision.reason)
