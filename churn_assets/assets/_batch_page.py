"""Publish the summary of a scored batch, made in this process from the reports that it shows."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from churn_assets.reporting.batch_page import BatchFacts, page
from churn_model.evaluation.metrics import Money
from churn_model.reports.evaluate import EvaluateReport
from churn_model.reports.ingest import IngestReport
from churn_model.reports.list_layout import ListLayoutReport
from churn_model.reports.retention_list import ListReport
from churn_model.reports.step_report import Report
from churn_model.spec.dataset import Dataset
from resources.catalog.integrity import read_manifest
from resources.catalog.ledger import describe_standing, find_standing
from resources.catalog.names import (
    BATCH_PAGE,
    BATCH_PREDICTIONS,
    EVALUATION_REPORT,
    LIST_LAYOUT,
    LIST_TABLE,
    RAW_BATCH,
    RETENTION_LIST,
    SUMMARY_HTML,
    versions_prefix,
)
from resources.catalog.pointers import BatchRecord, Current, read_current
from resources.catalog.publish import Content, Publication, publish_content, read_published, require_published
from resources.catalog.published_tables import read_first
from resources.catalog.versions import Maker
from resources.errors import DamagedError
from resources.ports.lake import Lake

PAGE_MAKER = Maker(
    BATCH_PAGE,
    modules=("churn_assets.reporting.batch_page",),
    templates=("churn_assets/reporting/templates/batch.html.j2", "churn_assets/reporting/templates/report.css.j2"),
)
_FIRST = 10


def publish_batch_page(
    lake: Lake,
    dataset: Dataset,
    record: BatchRecord,
    predictions: Current,
    entered: Publication,
    layout: Publication,
) -> Publication:
    """Find or make the page of a batch and its list."""
    standing = find_standing(lake, dataset, record.batch, entered.current, datetime.now(UTC))
    evaluation = read_current(lake, dataset.name, EVALUATION_REPORT)
    notes = describe_standing(standing, dataset.list.cooldown)

    def make(seen: Dataset) -> Content:
        table, scored = (require_published(lake, prefix) for prefix in (record.rows.prefix, predictions.prefix))
        reports = (table, scored, entered.report, layout.report)
        facts = BatchFacts(
            dataset=seen,
            batch=record.batch,
            listed=entered.report.read(ListReport),
            layout=layout.report.read(ListLayoutReport),
            table=table.read(IngestReport),
            money=read_model_money(lake, evaluation),
            problems=[check for report in reports for check in report.checks if not check.passed],
            first=_read_first(lake, layout),
            listed_on=standing.listed_at[:10],
            trained_on=read_manifest(lake, record.champion.prefix).made_at[:10],
            notes=notes,
            provisional=record.provisional,
        )
        return Content(Report(), {SUMMARY_HTML: page(facts).encode()})

    return publish_content(
        lake,
        dataset,
        maker=PAGE_MAKER,
        folder=versions_prefix(dataset.name, BATCH_PAGE, record.batch),
        upstream={
            RAW_BATCH: record.rows.version,
            BATCH_PREDICTIONS: predictions.version,
            RETENTION_LIST: entered.version,
            LIST_LAYOUT: layout.version,
            EVALUATION_REPORT: evaluation.version if evaluation else "none",
            "model": record.champion.version,
            "provisional": record.provisional or "no",
            "listed on": standing.listed_at[:10],
            "notes": " ".join(notes),
        },
        make=make,
    )


def read_model_money(lake: Lake, evaluation: Current | None) -> Money | None:
    """Return what the last evaluation says of money, or None if there is none that is whole."""
    try:
        published = read_published(lake, evaluation.prefix) if evaluation else None
    except DamagedError:  # the next retrain makes it again; a list needs no evaluation
        return None
    return published.read(EvaluateReport).evaluation.money if published else None


def _read_first(lake: Lake, layout: Publication) -> list[Mapping[str, Any]]:
    rows: list[Mapping[str, Any]] = read_first(lake, layout.prefix + LIST_TABLE, _FIRST).to_pylist()
    return rows
