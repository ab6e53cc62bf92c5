"""Step `ingest`: landed files to canonical rows and quarantine.

Input: `landed` (files under their whole keys). The request's `columns`, with their types, are those that the model of a batch needs; absent for
training.
Result: tables `rows` and `quarantine`.
"""

from churn_model.checks import Check
from churn_model.ingest.canonical_rows import Ingested, ingest
from churn_model.ingest.formats.base import LandedFile
from churn_model.ingest.quarantine import REPEATS
from churn_model.reports.ingest import IngestCounts, IngestReport
from churn_model.reports.step_report import Report
from churn_model.steps.claims.ingest import ACCOUNTED, BOTH_CLASSES, CONTRACT
from churn_model.steps.contract import Layout
from churn_model.steps.input_files import unchanged_files
from churn_model.tables import open_table

_MOST_QUARANTINED = 0.1  # of all records: above it something is wrong with the file, not with some records
_FIX = "look at the quarantine table, fix the file or the spec, and land it again under the same name"
_REPEATED = (
    "files add up: land the newer file under the older one's name, or remove the older one from its folder; if a customer has several rows for "
    "one day, remove as_of from the spec, or name a column under id that tells them apart"
)


def step(layout: Layout) -> Report:
    """Ingest what landed."""
    with unchanged_files(layout, "landed") as landed:
        files = [LandedFile(key=name, path=path) for name, path in landed]
        made = ingest(files, layout.dataset, layout.result, expected=layout.request.get("columns"))
    checks = check_ingested(made)
    content = IngestReport(
        counts=IngestCounts(
            records=made.records,
            rows=made.rows,
            quarantined=made.quarantined,
            files=made.files,
            positives=made.positives,
        ),
        columns={field.name: str(field.type) for field in open_table(layout.result / "rows").schema},
        kinds=made.kinds,
        ignored_columns=tuple(made.ignored_columns),
        reasons=made.reasons,
        missing_words=made.missing_words,
        remarks=made.remarks,
    )
    return Report(content=content, checks=checks)


def check_ingested(made: Ingested) -> list[Check]:
    """Return the checks of what was ingested: every record accounted for, the contract, and for training both classes."""
    classes = [] if made.positives is None else [_classes(made.positives, made.rows)]
    return [_accounted(made), _contract(made), *classes]


def _accounted(made: Ingested) -> Check:
    return ACCOUNTED.check(
        made.records == made.rows + made.quarantined,
        expected=f"{made.records:,} records as rows or in quarantine",
        found=f"{made.rows:,} rows and {made.quarantined:,} in quarantine",
        todo="report this: it is a bug",
    )


def _contract(made: Ingested) -> Check:
    shown = list(made.reasons)[:3]
    examples = {reason: f", such as {made.examples[reason]}" for reason in shown if reason in made.examples}
    counts = {reason: f"{made.reasons[reason]:,} record{'s' * (made.reasons[reason] > 1)}" for reason in shown}
    worst = ", ".join(f"{reason} ({counts[reason]}{examples.get(reason, '')})" for reason in shown)
    todos = [
        *([_REPEATED] if set(shown) & set(REPEATS) else []),
        *([_FIX] if set(shown) - set(REPEATS) or not shown else []),
    ]
    return CONTRACT.check(
        made.rows > 0 and made.quarantined <= _MOST_QUARANTINED * made.records,
        expected=f"at least one row, and at most {_MOST_QUARANTINED:.0%} of {made.records:,} records in quarantine",
        found=f"{made.rows:,} rows, {made.quarantined:,} in quarantine" + (f": {worst}" if worst else ""),
        todo="; ".join(todos),
    )


def _classes(positives: int, rows: int) -> Check:
    return BOTH_CLASSES.check(
        0 < positives < rows,
        expected="customers who left and customers who stayed",
        found=f"{positives:,} who left among {rows:,}",
        todo="check label.positive in the spec, write 0 or no where a blank means stayed, or land customers of both kinds",
    )
