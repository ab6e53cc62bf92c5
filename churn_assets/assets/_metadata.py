"""What every asset shows in the UI in the same way: columns and where they come from, plots, owners, how fresh it should be."""

import base64
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import dagster as dg

from churn_model.spec.dataset import Dataset

DATA_TEAM, MODEL_TEAM, RETENTION_TEAM = ["team:data"], ["team:models"], ["team:retention"]


def column_schema(columns: Mapping[str, str]) -> dg.TableSchema:
    """The columns of a table with their types; keys never repeat, and says so."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(name, kind, constraints=dg.TableColumnConstraints(nullable=not name.startswith("_")))
            for name, kind in columns.items()
        ]
    )


def lineage(source: dg.AssetKey, columns: Mapping[str, Iterable[str]]) -> dg.TableColumnLineage:
    """Which columns of the asset upstream each column was made of."""
    deps = {
        name: [dg.TableColumnDep(asset_key=source, column_name=each) for each in origins]
        for name, origins in columns.items()
    }
    return dg.TableColumnLineage(deps_by_column=deps)


def plot(png: bytes) -> dg.MarkdownMetadataValue:
    """A picture that the UI shows in place."""
    return dg.MetadataValue.md(f"![plot](data:image/png;base64,{base64.b64encode(png).decode()})")


def records_table(records: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> dg.TableMetadataValue:
    """Rows as a table in the UI; what is missing stays empty."""
    rows = [
        dg.TableRecord({name: "" if record.get(name) is None else record[name] for name in columns})
        for record in records
    ]
    return dg.MetadataValue.table(
        records=rows, schema=dg.TableSchema(columns=[dg.TableColumn(*column) for column in columns.items()])
    )


def retrain_freshness(dataset: Dataset) -> dg.FreshnessPolicy:
    """How old a retrained asset may be: a day more than the schedule leaves between two runs. A reused version counts as fresh: it was looked at."""
    _, _, day, month, weekday = dataset.schedule.retrain.split()
    days = 8 if weekday != "*" else 2 if day == "*" else 32 if month == "*" else 366
    return dg.FreshnessPolicy.time_window(fail_window=timedelta(days=days))
