"""Who is on the list of a batch and why, and what the lists have earned, as far as anybody knows."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from churn_assets.assistant.desk import Desk, read_number, read_text
from churn_assets.assistant.quoting import NOTE, known, quote
from churn_assets.model_server.customers import list_batches
from churn_assets.model_server.sentences import LOOKED_AT
from churn_assets.reporting.batch_page import describe_contacts, describe_left_out, describe_scored
from churn_assets.reporting.evaluation_sentences import (
    describe_contacted,
    describe_judged_rows,
    describe_money,
    describe_successes,
)
from churn_model.errors import ChurnError
from churn_model.evaluation.metrics import Evaluation
from churn_model.models.reasons import REASONS
from churn_model.reports.evaluate import EvaluateReport
from churn_model.reports.retention_list import ListReport, describe_holdout
from churn_model.spec.dataset import Dataset
from resources.catalog.ledger import describe_standing, find_standing
from resources.catalog.names import CONTACTS, EVALUATION_REPORT, RETENTION_LIST
from resources.catalog.pointers import Current, read_batch, read_champion, read_current
from resources.catalog.publish import read_published, require_published
from resources.catalog.published_tables import open_published_table

MOST_LISTED = 50
MOST_LISTS = 10
FURTHEST = 1_000_000
NOT_KNOWN_YET = "What the lists have earned is not known: outcomes come later, and this version does not read them. What follows is expected, not measured."
NO_IDS = "Customers are named by a hash of their values, by which nobody can be called."


def show_batches(desk: Desk, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the batches that were ingested, and whether each has a list."""
    dataset = desk.dataset
    batches = list_batches(desk.lake, dataset.name)
    listed = [read_current(desk.lake, dataset.name, RETENTION_LIST, batch) is not None for batch in batches]
    found = [{"batch": batch, "has_list": has} for batch, has in zip(batches, listed, strict=True)]
    return {"dataset": dataset.name, "predicts": quote(dataset.label.means), "batches": found, "note": NOTE}


def show_list(desk: Desk, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return whom the list of a batch names, best first, each with the reasons, and what it is expected to save."""
    batch = desk.require_batch(read_text(arguments, "batch"))
    first, count = (read_number(arguments, "first", 1, FURTHEST), read_number(arguments, "count", 10, MOST_LISTED))
    dataset = desk.dataset
    current = require_list(desk, dataset, batch)
    rows = open_published_table(desk.lake, current.prefix + CONTACTS).first(first - 1 + count).slice(first - 1)
    return {
        **_describe_list(desk, dataset, batch, current, _last_evaluation(desk, dataset)),
        "first": first,
        "customers": [_describe_contact(row) for row in rows.to_pylist()],
        "about_reasons": LOOKED_AT,
        "note": NOTE,
    }


def report_earnings(desk: Desk, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is expected of the latest lists, and what the model saved on the rows it was judged on."""
    dataset = desk.dataset
    evaluation = champion_evaluation(desk, dataset)
    lists: list[dict[str, Any]] = []
    last = _last_evaluation(desk, dataset)
    for batch in list_batches(desk.lake, dataset.name):
        if len(lists) == MOST_LISTS:
            break
        if current := read_current(desk.lake, dataset.name, RETENTION_LIST, batch):
            lists.append(_describe_list(desk, dataset, batch, current, last))
    return {"earned": None, "says": [NOT_KNOWN_YET], "judged": _describe_judged(evaluation), "lists": lists}


def require_list(desk: Desk, dataset: Dataset, batch: str) -> Current:
    """Return the list of a batch. Raise ChurnError if it has none."""
    current = read_current(desk.lake, dataset.name, RETENTION_LIST, batch)
    if current is None:
        raise ChurnError(f"Batch {batch} has not been scored yet. Run `churn score {dataset.name} {batch}`.")
    return current


def champion_evaluation(desk: Desk, dataset: Dataset) -> EvaluateReport | None:
    """Return the evaluation that made the champion one; None if it is not there any more."""
    champion = read_champion(desk.lake, dataset.name)
    found = read_published(desk.lake, champion.evaluation) if champion else None
    return found.read(EvaluateReport) if found else None


def _describe_list(
    desk: Desk, dataset: Dataset, batch: str, current: Current, last: Evaluation | None
) -> dict[str, Any]:
    report = require_published(desk.lake, current.prefix).read(ListReport)
    record = read_batch(desk.lake, dataset.name, batch)
    counts = report.counts
    standing = find_standing(desk.lake, dataset, batch, current, datetime.now(UTC))
    provisional = record.provisional if record else None
    return {
        "batch": batch,
        "says": [
            f"Contact {counts.to_contact:,} of {describe_scored(counts)}.",
            *describe_standing(standing, dataset.list.cooldown),
            describe_contacts(report, last.money if last else None, dataset.costs),
            *describe_left_out(counts),
            *([describe_holdout(report.holdout)] if report.holdout and counts.held_out else []),
            *([f"PROVISIONAL: the gate refused this model. {provisional}"] if provisional else []),
            *([NO_IDS] if dataset.id_column is None else []),
        ],
        "listed_on": standing.listed_at[:10],
        "contacts": counts.to_contact,
        "contact_cost": known(report.metrics.contact_cost),
        "expected_saving": known(report.metrics.expected_saving),
    }


def _last_evaluation(desk: Desk, dataset: Dataset) -> Evaluation | None:
    """Return the last evaluation, whose spread `churn score` shows as well."""
    current = read_current(desk.lake, dataset.name, EVALUATION_REPORT)
    found = read_published(desk.lake, current.prefix) if current else None
    return found.read(EvaluateReport).evaluation if found else None


def _describe_contact(row: Mapping[str, Any]) -> dict[str, Any]:
    reasons = [row[f"reason_{rank}"] for rank in range(1, REASONS + 1) if row.get(f"reason_{rank}")]
    return {
        "rank": row["rank"],
        "id": quote(row["id"]),
        "churn_probability": known(row["churn_probability"]),
        "expected_saving": known(row["expected_saving"]),
        "reasons": [quote(reason) for reason in reasons],
        "model_version": row["model_version"],
    }


def _describe_judged(report: EvaluateReport | None) -> list[str]:
    if report is None:
        return ["The evaluation of the champion is not there any more."]
    found = report.evaluation
    return [
        describe_judged_rows(found),
        describe_money(found.money),
        *describe_successes(found.money),
        describe_contacted(found, found.contacts),
    ]
