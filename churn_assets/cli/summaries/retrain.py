"""The summary of `churn retrain`."""

from dataclasses import dataclass
from typing import Any

from churn_assets.cli.summaries._lake import find_report, quarantine_lines
from churn_assets.cli.summaries.report import report_summary
from churn_model.evaluation.promotion_reasons import describe_shares
from churn_model.reports.evaluate import EvaluateReport
from churn_model.reports.preprocess import PreprocessReport
from churn_model.spec.dataset import Dataset
from resources.catalog.names import (
    CHAMPION_MODEL,
    EVALUATION_REPORT,
    PREPROCESSED_SPLITS,
    RAW_CUSTOMERS,
    TUNED_MODEL,
    op_name,
)
from resources.catalog.pointers import read_champion, read_current
from resources.wiring import Ports


@dataclass(frozen=True)
class Summary:
    """The lines, and whether there is a champion to score with."""

    text: str
    has_champion: bool


def retrain_summary(ports: Ports, dataset: Dataset, result: Any) -> Summary:
    """Return the gate's decision and what it rests on. `result`: that of the run."""
    metadata = result.asset_materializations_for_node(op_name(dataset.name, CHAMPION_MODEL))[0].metadata
    reused = all(
        event.metadata["reused"].value
        for name in (RAW_CUSTOMERS, PREPROCESSED_SPLITS, TUNED_MODEL, EVALUATION_REPORT)
        for event in result.asset_materializations_for_node(op_name(dataset.name, name))
    )
    lines = ["", _describe_reuse(str(metadata["outcome"].value)), ""] if reused else [""]
    table = read_current(ports.lake, dataset.name, RAW_CUSTOMERS)
    has_champion = read_champion(ports.lake, dataset.name) is not None
    is_refused = metadata["outcome"].value == "refused"
    lines += [
        str(metadata["reason"].value),
        *(_remedy_lines(ports, dataset) if is_refused else []),
        *(_provisional_lines(dataset) if is_refused and not has_champion else []),
        "",
        report_summary(ports, dataset),
        *_split_lines(ports, dataset),
        *(quarantine_lines(ports, table, "trained on") if table else []),
    ]
    return Summary("\n".join(lines), has_champion)


def _describe_reuse(outcome: str) -> str:
    """Return why no step was started. A decision that is new follows a run that was killed before it."""
    if outcome in ("first", "promoted"):
        return "No step was started: every result was there already."
    return "Nothing has changed since the last retrain: no step was started."


def _provisional_lines(dataset: Dataset) -> list[str]:
    """Return how to score without a champion."""
    command = f"churn score {dataset.name} BATCH --provisional"
    return ["", "To score with this model all the same, each row and list marked as provisional:", f"  {command}"]


def _split_lines(ports: Ports, dataset: Dataset) -> list[str]:
    """Return how customers are tested, if the spec leaves it open and the table is small."""
    splits = find_report(ports, dataset, PREPROCESSED_SPLITS, PreprocessReport)
    chosen = describe_shares(splits.shares) if splits and splits.shares else None
    return ["", chosen] if chosen else []


def _remedy_lines(ports: Ports, dataset: Dataset) -> list[str]:
    """Return the lines for the spec that answer what the gate refused."""
    evaluation = find_report(ports, dataset, EVALUATION_REPORT, EvaluateReport)
    remedies = evaluation.decision.remedies if evaluation else ()
    return ["", f"To paste into {dataset.name}.yaml:", *(f"  {line}" for line in remedies)] if remedies else []
