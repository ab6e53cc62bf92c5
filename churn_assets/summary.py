"""What `churn` says at the end of a run: a few lines that a manager reads, each figure with the assumption it rests on."""

import io
from dataclasses import dataclass
from typing import Any

from pyarrow import csv

from churn_assets.assets.evaluation import PAGE
from churn_assets.assets.lists import LIST
from churn_assets.stage import published
from churn_model.dataset import Dataset
from churn_model.errors import ChurnError
from churn_model.promotion import assumption, dollars, judged_rows
from resources.pointers import read_batch, read_champion, read_current
from resources.wiring import Ports


@dataclass(frozen=True)
class Summary:
    """The lines, and whether there is a champion to score with."""

    text: str
    has_champion: bool


def retrain_summary(ports: Ports, dataset: Dataset, result: Any) -> Summary:
    """What a retrain came to: the gate's decision and what it rests on."""
    metadata = result.asset_materializations_for_node(f"{dataset.name}__champion_model")[0].metadata
    reused = all(
        event.metadata["reused"].value
        for name in ("raw_customers", "preprocessed_splits", "tuned_model", "evaluation_report")
        for event in result.asset_materializations_for_node(f"{dataset.name}__{name}")
    )
    lines = ["", "Nothing has changed since the last retrain: no step was started.", ""] if reused else [""]
    lines += [str(metadata["reason"].value), "", report_summary(ports, dataset)]
    return Summary("\n".join(lines), read_champion(ports.lake, dataset.name) is not None)


def report_summary(ports: Ports, dataset: Dataset) -> str:
    """What the last evaluation found, in a manager's words."""
    current = read_current(ports.lake, dataset.name, "evaluation_report")
    report = published(ports.lake, current.prefix) if current else None
    if current is None or report is None:
        raise ChurnError(f"expected an evaluation of {dataset.name}; found none; run `churn retrain {dataset.name}` first")
    found = report.detail["evaluation"]
    money, contacts = found["money"], found["contacts"]
    lines = [
        f"{dataset.name} predicts who {dataset.label.means}. Judged on {judged_rows(found['rows'], found['customers'])} that the model never saw.",
        f"  {_saving_line(money)}",
        *(f"    {line}" for line in _success_lines(money)),
        f"  Contacted: {contacts['contacted']:,} of {found['rows']:,}; {contacts['leavers_reached']:,} of {found['leavers']:,} leavers among them"
        + (f", {contacts['calls_per_leaver']:.1f} calls for each." if contacts["calls_per_leaver"] else "."),
        *_reach_line(found["reach"]),
        f"  Report: {ports.lake.uri(current.prefix + PAGE)}",
    ]
    return "\n".join(lines)


def score_summary(ports: Ports, dataset: Dataset, batch: str) -> str:
    """Whom to contact in a batch, what that is expected to save, and where the list lies."""
    record = read_batch(ports.lake, dataset.name, batch)
    shown = read_current(ports.lake, dataset.name, f"retention_list/{batch}")
    report = published(ports.lake, shown.prefix) if shown else None
    champion = read_champion(ports.lake, dataset.name)
    if record is None or shown is None or report is None or champion is None:
        raise ChurnError(f"expected batch {batch} to be scored; found it not; run `churn score {dataset.name} {batch}`")
    evaluation = read_current(ports.lake, dataset.name, "evaluation_report")
    counts, metrics = report.counts, report.metrics
    left_out = [f"{counts[name]:,} {name.replace('_', ' ')}" for name in _LEFT_OUT if counts.get(name)]
    lines = [
        "",
        f"Batch {batch} of {dataset.name}: contact {counts['to_contact']:,} of {report.files['assignments/part-0.parquet'].rows:,} customers.",
        f"  The contacts cost {dollars(metrics['contact_cost'] or 0.0)}; after that they are expected to save "
        f"{_range(ports, dataset, metrics['expected_saving'] or 0.0)}.",
        *([f"  Not on the list: {', '.join(left_out)}."] if left_out else []),
        "",
        *_first_contacts(ports, shown.prefix),
        "",
        f"  List:        {ports.lake.uri(shown.prefix + LIST)}",
        *([f"  Report:      {ports.lake.uri(evaluation.prefix + PAGE)}"] if evaluation else []),
        "  In the UI:   churn ui   (assets, checks and lineage at http://127.0.0.1:3000)",
    ]
    return "\n".join(lines)


_LEFT_OUT = ("opted_out", "listed_not_long_ago", "beyond_the_capacity", "beyond_the_budget", "held_out")


def _saving_line(money: dict[str, Any]) -> str:
    saving = money["saving_nobody"]
    return (
        f"Against contacting nobody it saves {dollars(saving['low'])} to {dollars(saving['high'])} a customer (median {dollars(saving['median'])}), "
        f"{assumption(money['assumed_success'])}."
    )


def _success_lines(money: dict[str, Any]) -> list[str]:
    return [
        f"with the same contacts, {assumption(at['success'])}: {dollars(at['saving']['low'])} to {dollars(at['saving']['high'])}"
        for at in money["saving_at"]
        if at["success"] != money["assumed_success"]
    ]


def _reach_line(reach: list[dict[str, Any]]) -> list[str]:
    top = next((each for each in reach if each["share"] == 0.1), None)
    if top is None or not top["calls_per_leaver"]:
        return []
    return [
        f"  The first tenth by probability holds {top['share_of_leavers']['value']:.0%} of the leavers, "
        f"{top['lift']['value']:.1f} times as many as chance would."
    ]


def _range(ports: Ports, dataset: Dataset, expected: float) -> str:
    """The list's expected saving with the spread that the test rows showed for the model's savings."""
    current = read_current(ports.lake, dataset.name, "evaluation_report")
    report = published(ports.lake, current.prefix) if current else None
    if report is None:
        return dollars(expected)
    money = report.detail["evaluation"]["money"]
    saving = money["saving_nobody"]
    told = assumption(money["assumed_success"])
    if not saving["value"] or saving["value"] <= 0:
        return f"{dollars(expected)}, {told}"
    low, high = (expected * saving[end] / saving["value"] for end in ("low", "high"))
    return f"{dollars(low)} to {dollars(high)} against contacting nobody, {told}"


def _first_contacts(ports: Ports, prefix: str) -> list[str]:
    """The top of the list as it stands in the file."""
    table = csv.read_csv(io.BytesIO(ports.lake.read(prefix + LIST))).slice(0, 5)
    lines = []
    for row in table.to_pylist():
        reasons = "; ".join(str(row[name]) for name in ("reason_1", "reason_2") if row.get(name))
        lines.append(f"  {row['rank']:>3}. {row['id']}  {row['churn_probability']:.0%}  saves {dollars(row['expected_saving'])}  {reasons}")
    return lines
