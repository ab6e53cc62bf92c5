"""What `raw_customers` and `raw_batch` have in common: the places of quarantined records, and what they show."""

from dataclasses import replace
from functools import partial
from typing import Any

import dagster as dg

from churn_assets.assets._columns import describe_landed_column
from churn_assets.assets._metadata import column_schema, records_table
from churn_model.checks import Check
from churn_model.reports.ingest import IngestReport
from churn_model.spec.dataset import Dataset
from resources.catalog.names import QUARANTINE
from resources.catalog.publish import Publication
from resources.ports.lake import Lake

_MOST_IGNORED_SHOWN = 50
_MOST_WORDS_SHOWN = 100


def locate_quarantine(table: Publication, lake: Lake) -> list[Check]:
    """Return the checks of ingest; one that refers to the quarantine names its place."""
    place = lake.uri(table.prefix + QUARANTINE)
    return [
        replace(check, todo=check.todo.replace("the quarantine table", f"the quarantine ({place})"))
        for check in table.report.checks
    ]


def table_metadata(dataset: Dataset, table: Publication, lake: Lake) -> dict[str, Any]:
    """Return the metadata of an ingested table: its columns, and what became of the records and columns that are not in it."""
    report = table.report.read(IngestReport)
    metadata: dict[str, Any] = {
        "dagster/row_count": report.counts.rows,
        "dagster/column_schema": column_schema(report.columns, partial(describe_landed_column, dataset)),
    }
    if report.counts.quarantined:
        reasons = [{"reason": reason, "records": count} for reason, count in (report.reasons or {}).items()]
        metadata["quarantine"] = records_table(reasons, {"reason": "string", "records": "int"})
        metadata["quarantine location"] = dg.MetadataValue.path(lake.uri(table.prefix + QUARANTINE))
    if report.missing_words:
        words = [
            {"column": name, "word": word, "records": count}
            for name, counts in report.missing_words.items()
            for word, count in counts.items()
        ]
        schema = {"column": "string", "word": "string", "records": "int"}
        metadata["read as missing"] = records_table(words[:_MOST_WORDS_SHOWN], schema)
    if report.remarks:
        remarks = [{"file": file, "read": remark} for file, found in report.remarks.items() for remark in found]
        metadata["how files were read"] = records_table(
            remarks[:_MOST_WORDS_SHOWN], {"file": "string", "read": "string"}
        )
    if report.ignored_columns:
        metadata["ignored columns"] = ", ".join(report.ignored_columns[:_MOST_IGNORED_SHOWN])
    return metadata
