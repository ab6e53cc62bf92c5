"""The report of step `score`, from what is known of each part of the predictions. It reads no data, and imports nothing that scores."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from churn_model.checks import Check
from churn_model.reports.score import ScoreCounts, ScoreReport
from churn_model.reports.scored_part import ScoredPart
from churn_model.reports.step_report import Report
from churn_model.steps.claims.score import KNOWN_VALUES, LIKE_TRAINING, SCORED_ONCE

MOST_UNKNOWN = 0.05
"""The share of a batch's rows that may hold a category's value that training did not know; rare values are among them in any batch."""


def report_parts(parts: Sequence[ScoredPart]) -> Report:
    """Return the report of a batch whose parts, at least one, are given in the order of the rows."""
    rows, written = sum(part.rows for part in parts), sum(part.written for part in parts)
    same_ids = all(part.same_ids for part in parts)
    first = parts[0]
    probability = math.fsum(part.probability for part in parts)
    return Report(
        content=ScoreReport(
            counts=ScoreCounts(rows=written, contacted=sum(part.contacted for part in parts)),
            metrics={
                "mean_probability": probability / rows if rows else math.nan,
                "expected_saving": math.fsum(part.saving for part in parts),
            },
            model_version=first.model_version,
            columns=first.columns,
            lineage=first.lineage,
        ),
        checks=[
            SCORED_ONCE.check(
                written == rows and same_ids,
                expected=f"a prediction for each of {rows:,} rows, ids in the same order",
                found=f"{written:,} predictions" + ("" if same_ids else ", other ids"),
                todo="report this: it is a bug",
            ),
            _levels_are_known(parts, rows),
            _looks_like_training(first.differences),
        ],
    )


def _levels_are_known(parts: Sequence[ScoredPart], rows: int) -> Check:
    unknown: Counter[str] = Counter()
    usual: dict[str, float] = {}
    for part in parts:
        unknown.update(part.unknown)
        usual.update(part.usual)
    strange = {name: count for name, count in unknown.items() if count > (MOST_UNKNOWN + usual[name]) * rows}
    text = "; ".join(
        f"{name}: {count:,} of {rows:,} rows hold a value that training did not know" for name, count in strange.items()
    )
    return KNOWN_VALUES.check(
        not strange,
        expected=f"at most {MOST_UNKNOWN:.0%} more rows than in training with a value that it did not know, in each category",
        found=text or "values that training knew",
        todo="look whether the values are spelled as before; where they are new, retrain: the model takes them for missing",
    )


def _looks_like_training(differences: Mapping[str, str]) -> Check:
    return LIKE_TRAINING.check(
        not differences,
        expected="columns that are filled, spelled and scaled as in training, if they matter to the model",
        found="; ".join(f"{name}: {what}" for name, what in differences.items()) or "columns as in training",
        todo="look whether a column was left out, spelled otherwise or written in another unit, and land the batch again; if it is right, "
        "score it with `churn score ... --accept`, or tag the run in the UI with churn/accept: yes",
    )
