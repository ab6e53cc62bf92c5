"""Metadata that every asset shows in the same way: version, columns and their lineage, plots, tables; owners and freshness."""

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg

from churn_model.spec.dataset import Dataset
from churn_model.spec.durations import seconds
from resources.catalog.publish import Publication
from resources.catalog.source_code import locked_releases
from resources.catalog.versions import Maker, version_of
from resources.ports.lake import Lake
from resources.ports.outputs import Outputs

DATA_TEAM, MODEL_TEAM, RETENTION_TEAM = ["team:data"], ["team:models"], ["team:retention"]

_SEEN = (dg.UrlMetadataValue, dg.MarkdownMetadataValue)


def materialize_result(
    publication: Publication, lake: Lake, results: Sequence[dg.AssetCheckResult], metadata: Mapping[str, Any]
) -> dg.MaterializeResult:
    """Return what Dagster records: the version as data version, its place, whether it was reused, counts, metrics, checks.

    What opens or is seen comes first.
    """
    seen = {name: value for name, value in metadata.items() if isinstance(value, _SEEN)}
    report = publication.report
    metrics = {name: round_figure(value) for name, value in report.metrics.items() if value is not None}
    numbers = {**report.counts, **metrics}
    common: dict[str, Any] = {
        "version": publication.version,
        "reused": publication.reused,
        "location": dg.MetadataValue.path(lake.uri(publication.prefix)),
    }
    return dg.MaterializeResult(
        data_version=dg.DataVersion(publication.version),
        metadata={**seen, **common, **numbers, **metadata},
        check_results=list(results),
    )


def round_figure(value: Any) -> Any:
    """Return a float with six significant digits, as the UI shows it, and anything else as it is."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def table_name(dataset: Dataset, asset: str) -> dict[str, str]:
    """Return the metadata that names the view in which readers in SQL find an asset."""
    return {"dagster/table_name": f"{dataset.name}.{asset}"}


def column_schema(columns: Mapping[str, str], describe: Callable[[str], str | None]) -> dg.TableSchema:
    """Return the columns of a table with their types and meanings. Names that begin with `_` are our own columns, which are never null."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name,
                kind,
                description=describe(name),
                constraints=dg.TableColumnConstraints(nullable=not name.startswith("_")),
            )
            for name, kind in columns.items()
        ]
    )


def lineage(source: dg.AssetKey, columns: Mapping[str, Iterable[str]]) -> dg.TableColumnLineage:
    """Return the columns of the upstream asset that each column is made of."""
    deps = {
        name: [dg.TableColumnDep(asset_key=source, column_name=each) for each in origins]
        for name, origins in columns.items()
    }
    return dg.TableColumnLineage(deps_by_column=deps)


def link_to(outputs: Outputs, key: str, name: str = "open") -> dict[str, dg.MetadataValue]:
    """Return the metadata that opens an output from the UI; nothing where no browser reaches it."""
    link = outputs.link(key)
    return {name: dg.MetadataValue.url(link)} if link and outputs.holds(key) else {}


def plot(png: bytes, link: str | None) -> dg.MarkdownMetadataValue:
    """Return a picture. By its address the UI shows it in view; a picture in the text itself is too long for that and opens by a click."""
    return dg.MetadataValue.md(f"![plot]({link or f'data:image/png;base64,{base64.b64encode(png).decode()}'})")


def records_table(records: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> dg.TableMetadataValue:
    """Return rows as a table for the UI; missing values stay empty."""
    rows = [
        dg.TableRecord({name: "" if record.get(name) is None else round_figure(record[name]) for name in columns})
        for record in records
    ]
    return dg.MetadataValue.table(
        records=rows, schema=dg.TableSchema(columns=[dg.TableColumn(*column) for column in columns.items()])
    )


def code_version_of(dataset: Dataset, *makers: Maker) -> str:
    """Return a digest of the makers' code and of what they read of the spec: an asset is unsynced if it was made with another one."""
    versions = (version_of(maker, dataset, {}, libraries=locked_releases(maker.source().libraries)) for maker in makers)
    return "-".join(versions)


def retrain_freshness(dataset: Dataset) -> dg.FreshnessPolicy:
    """Return how old a retrained asset may be: half a day more than the time between two scheduled runs is a warning, a day more a failure.

    A reused version counts as fresh.
    """
    _, _, day, month, weekday = dataset.schedule.retrain.split()
    days = 8 if weekday != "*" else 2 if day == "*" else 32 if month == "*" else 366
    fail = timedelta(days=days)
    return dg.FreshnessPolicy.time_window(fail_window=fail, warn_window=fail - timedelta(hours=12))


def batch_freshness(dataset: Dataset) -> dg.FreshnessPolicy:
    """Return how old the newest predictions and list may be: as long as a batch counts as recent; after three quarters of it comes a warning."""
    fail = timedelta(seconds=max(seconds(dataset.watch.recent), 3600))
    return dg.FreshnessPolicy.time_window(fail_window=fail, warn_window=fail * 3 / 4)
