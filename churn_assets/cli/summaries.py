"""What `churn` says at the end of a run: a few lines that a manager reads, each figure with the assumption it rests on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from churn_assets.assets.batch_predictions import KNOWN_VALUES
from churn_assets.console.safe_text import on_one_line
from churn_assets.reporting.csv_export import read_back
from churn_model.decisions.policy import Policy
from churn_model.errors import ChurnError
from churn_model.reports.step_report import REPORT
from churn_model.spec.dataset import Dataset
from churn_model.wording import assumption, decimal, describe_rows, one_line, usd
from resources.catalog.names import (
    BATCH_PREDICTIONS,
    CHAMPION_MODEL,
    EVALUATION_PAGE,
    EVALUATION_REPORT,
    EXPLORATION_HTML,
    EXPLORATION_REPORT,
    LIST,
    MODEL_COMPARISON,
    PREPROCESSED_SPLITS,
    QUARANTINE,
    RAW_CUSTOMERS,
    REPORT_HTML,
    RETENTION_LIST,
    TUNED_MODEL,
    op_name,
)
from resources.catalog.pointers import Current, read_batch, read_champion, read_current
from resources.catalog.publish import read_published
from resources.catalog.published_tables import open_published_table
from resources.ports.lake import MANIFEST, Manifest
from resources.wiring import Ports


@dataclass(frozen=True)
class Summary:
    """The lines, and whether there is a champion to score with."""

    text: str
    has_champion: bool


def retrain_summary(ports: Ports, dataset: Dataset, result: Any) -> Summary:
    """What a retrain came to: the gate's decision and what it rests on."""
    metadata = result.asset_materializations_for_node(op_name(dataset.name, CHAMPION_MODEL))[0].metadata
    reused = all(
        event.metadata["reused"].value
        for name in (RAW_CUSTOMERS, PREPROCESSED_SPLITS, TUNED_MODEL, EVALUATION_REPORT)
        for event in result.asset_materializations_for_node(op_name(dataset.name, name))
    )
    lines = ["", "Nothing has changed since the last retrain: no step was started.", ""] if reused else [""]
    table = read_current(ports.lake, dataset.name, RAW_CUSTOMERS)
    lines += [
        str(metadata["reason"].value),
        "",
        report_summary(ports, dataset),
        *(_set_aside(ports, table, "trained on") if table else []),
    ]
    return Summary("\n".join(lines), read_champion(ports.lake, dataset.name) is not None)


def report_summary(ports: Ports, dataset: Dataset) -> str:
    """What the last evaluation found, in a manager's words."""
    current = read_current(ports.lake, dataset.name, EVALUATION_REPORT)
    report = read_published(ports.lake, current.prefix) if current else None
    if current is None or report is None:
        raise ChurnError(
            f"expected an evaluation of {dataset.name}; found none; run `churn retrain {dataset.name}` first"
        )
    found = report.detail["evaluation"]
    money, contacts = found["money"], found["contacts"]
    lines = [
        f"{dataset.name} predicts who {dataset.label.means}. Judged on {describe_rows(found['rows'], found['customers'])} that the model never saw.",
        f"  {_saving_line(money)}",
        *(f"    {line}" for line in _success_lines(money)),
        f"  Contacted: {contacts['contacted']:,} of {found['rows']:,}; {contacts['leavers_reached']:,} of {found['leavers']:,} leavers among them"
        + (f", {contacts['calls_per_leaver']:.1f} calls for each." if contacts["calls_per_leaver"] else "."),
        *_reach_line(found["reach"]),
        *_page_line(ports, dataset),
        f"  Exploration: {_exploration(ports, dataset)}",
    ]
    return "\n".join(lines)


def _page_line(ports: Ports, dataset: Dataset) -> list[str]:
    current = read_current(ports.lake, dataset.name, EVALUATION_PAGE)
    return [f"  Report:      {ports.lake.uri(current.prefix + REPORT_HTML)}"] if current else []


def explore_summary(ports: Ports, dataset: Dataset) -> str:
    """What is odd in the landed table, which columns tell most, and where the page lies."""
    current = read_current(ports.lake, dataset.name, EXPLORATION_REPORT)
    report = read_published(ports.lake, current.prefix) if current else None
    if current is None or report is None:
        raise ChurnError(f"expected an exploration of {dataset.name}; found none; run `churn explore {dataset.name}`")
    counts, detail = report.counts, report.detail
    odd = [
        f"  {one_line(each['column'], 40)}: {one_line(each['why'], 160)}"
        for each in [*detail["odd"], *detail["repeated"]]
    ]
    telling = ", ".join(
        one_line(each["column"], 40) for each in detail["apart"][:5] if each["apart"] > 2 * each["by_chance"]
    )
    lines = [
        "",
        f"{counts['rows']:,} rows landed for {dataset.name}; {counts['leavers']:,} ({counts['leavers'] / counts['rows']:.1%}) {dataset.label.means}.",
        *(
            [f"Looked at: {counts['looked_at']:,} rows, a random sample."]
            if counts["looked_at"] < counts["rows"]
            else []
        ),
        *(
            ["Columns that repeat another or look like ids:", *odd[:20]]
            if odd
            else ["No column repeats another or looks like an id."]
        ),
        f"Leavers differ most in: {telling}."
        if telling
        else "In no single column do leavers differ from the others by much more than chance.",
        f"  Exploration: {ports.lake.uri(current.prefix + EXPLORATION_HTML)}",
    ]
    return "\n".join(lines)


def _exploration(ports: Ports, dataset: Dataset) -> str:
    """Where the page about the present table lies, or how to make it."""
    current, table = (read_current(ports.lake, dataset.name, asset) for asset in (EXPLORATION_REPORT, RAW_CUSTOMERS))
    if current and table:
        manifest = Manifest.from_json(ports.lake.read(current.prefix + MANIFEST))
        if manifest.upstream[RAW_CUSTOMERS] == table.version:
            return ports.lake.uri(current.prefix + EXPLORATION_HTML)
    return f"`churn explore {dataset.name}` makes it"


def compare_summary(ports: Ports, dataset: Dataset) -> str:
    """Two models side by side, the difference with its range, and whom they treat differently."""
    current = read_current(ports.lake, dataset.name, MODEL_COMPARISON)
    report = read_published(ports.lake, current.prefix) if current else None
    if current is None or report is None:
        raise ChurnError(f"expected a comparison of {dataset.name}; found none; run `churn compare {dataset.name}`")
    counts, detail = report.counts, report.detail
    champion, candidate = read_champion(ports.lake, dataset.name), read_current(ports.lake, dataset.name, TUNED_MODEL)
    roles = {candidate.version: " (candidate)"} if candidate else {}
    roles |= {champion.version: " (champion)"} if champion else {}
    named = [
        f"  {letter}: {version}{roles.get(version, '')}"
        for letter, version in zip("AB", _versions(detail), strict=True)
    ]
    left_out = (
        f" {counts['left_out']:,} rows are left out: A or B may have been trained on them."
        if counts["left_out"]
        else ""
    )
    lines = ["", *named]
    if counts["rows"]:
        lines += [
            f"Both on {describe_rows(counts['rows'], detail['customers'])}, {assumption(detail['assumed_success'])}.{left_out}",
            "",
        ]
        lines += [*_figures_table(detail), "", *_decision_lines(detail["decisions"])]
    else:
        lines += [
            f"No row is left to compare them on.{left_out} Compare versions that were trained with today's split."
        ]
    if detail["same_probabilities"]:
        lines.append("Both give every row the same probability.")
    lines += [
        "This promotes nothing: the gate of `churn retrain` does, by its own rule. Each look at the test rows makes a lucky winner likelier.",
        f"  Report: {ports.lake.uri(current.prefix + REPORT)}",
    ]
    return "\n".join(lines)


def _versions(detail: Mapping[str, Any]) -> tuple[str, str]:
    return detail["first_version"], detail["second_version"]


def _figures_table(detail: Mapping[str, Any]) -> list[str]:
    """A line for each figure: A, B, and B minus A with its 90 % range."""
    first, second = detail["first"], detail["second"]
    cost = detail["cost_difference"]
    saving = {"value": _negative(cost["value"]), "low": _negative(cost["high"]), "high": _negative(cost["low"])}
    rows: list[tuple[str, str, Callable[[float | None, int], str], Mapping[str, Any] | None]] = [
        ("log loss (lower is better)", "log_loss", decimal, detail["log_loss_difference"]),
        ("AUC", "auc", decimal, detail["auc_difference"]),
        ("cost per customer", "cost", _money, cost),
        (f"saved against contacting {detail['better_without_model']}", "saving", _money, saving),
        ("calibration slope (1 is right)", "calibration_slope", decimal, None),
    ]
    lines = [f"  {'':<36}{'A':>10}{'B':>10}   B - A (90 % range)"]
    for told, name, figure, difference in rows:
        apart = (
            f"   {figure(difference['value'], 4)} ({figure(difference['low'], 4)} to {figure(difference['high'], 4)})"
            if difference
            else ""
        )
        lines.append(f"  {told:<36}{figure(first[name]['value'], 4):>10}{figure(second[name]['value'], 4):>10}{apart}")
    return [*lines, f"  {'contacted':<36}{first['contacted']:>10,}{second['contacted']:>10,}"]


def _money(amount: float | None, _: int) -> str:
    return usd(amount)


def _negative(number: float | None) -> float | None:
    return None if number is None else -number


def _decision_lines(decisions: Mapping[str, Any]) -> list[str]:
    """How many are treated differently, and how many of them left."""
    other = {letter: decisions[f"only_{which}"] for letter, which in (("A", "first"), ("B", "second"))}
    told = [
        f"{group['rows']:,} contacted by {letter} alone ({group['leavers']:,} of them left)"
        for letter, group in other.items()
    ]
    rows = sum(group["rows"] for group in decisions.values())
    changed = sum(group["rows"] for group in other.values())
    same = f"{decisions['both']['rows']:,} are contacted by both, {decisions['neither']['rows']:,} by neither"
    return [f"Another decision for {changed:,} of {rows:,}: {'; '.join(told)}. {same}."]


def score_summary(ports: Ports, dataset: Dataset, batch: str) -> str:
    """Whom to contact in a batch, what that is expected to save, and where the list lies."""
    record = read_batch(ports.lake, dataset.name, batch)
    shown = read_current(ports.lake, dataset.name, RETENTION_LIST, batch)
    report = read_published(ports.lake, shown.prefix) if shown else None
    champion = read_champion(ports.lake, dataset.name)
    if record is None or shown is None or report is None or champion is None:
        raise ChurnError(f"expected batch {batch} to be scored; found it not; run `churn score {dataset.name} {batch}`")
    counts, metrics = report.counts, report.metrics
    left_out = [f"{counts[name]:,} {name.replace('_', ' ')}" for name in _LEFT_OUT if counts.get(name)]
    lines = [
        "",
        f"Batch {batch} of {dataset.name}: contact {counts['to_contact']:,} of {counts['rows']:,} customers.",
        f"  {_contacts_line(ports, dataset, counts, metrics)}",
        *([f"  Not on the list: {', '.join(left_out)}."] if left_out else []),
        *_set_aside(ports, record.rows, "scored"),
        *_passed_over(ports, record.rows),
        *_unknown_values(ports, dataset, batch),
        "",
        *([*_first_contacts(ports, shown.prefix), ""] if counts["to_contact"] else []),
        f"  List:        {ports.lake.uri(shown.prefix + LIST)}",
        *_page_line(ports, dataset),
        "  In the UI:   churn ui   (assets, checks and lineage at http://127.0.0.1:3000)",
    ]
    return "\n".join(lines)


_FIRST = 3  # as many are shown; the rest is in the file
_LEFT_OUT = ("opted_out", "listed_not_long_ago", "beyond_the_capacity", "beyond_the_budget", "held_out")


def _saving_line(money: dict[str, Any]) -> str:
    saving = money["saving_nobody"]
    return (
        f"Against contacting nobody it saves {usd(saving['low'])} to {usd(saving['high'])} a customer (median {usd(saving['median'])}), "
        f"{assumption(money['assumed_success'])}."
    )


def _success_lines(money: dict[str, Any]) -> list[str]:
    return [
        f"with the same contacts, {assumption(at['success'])}: {usd(at['saving']['low'])} to {usd(at['saving']['high'])}"
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


def _contacts_line(
    ports: Ports, dataset: Dataset, counts: Mapping[str, int], metrics: Mapping[str, float | None]
) -> str:
    """What the list costs and is expected to save; of an empty one, why it is empty."""
    if counts["to_contact"]:
        cost, saving = (metrics[name] or 0.0 for name in ("contact_cost", "expected_saving"))
        return f"The contacts cost {usd(cost)}; after that they are expected to save {_range(ports, dataset, saving)}."
    if any(counts.get(name) for name in _LEFT_OUT):
        return "Nobody is left to contact: who would be worth it is not on the list."
    return "Nobody is worth contacting: for each customer a contact is expected to cost more than it saves."


def _range(ports: Ports, dataset: Dataset, expected: float) -> str:
    """The list's expected saving with the spread that the test rows showed for the model's savings."""
    current = read_current(ports.lake, dataset.name, EVALUATION_REPORT)
    report = read_published(ports.lake, current.prefix) if current else None
    if report is None:
        return usd(expected)
    money = report.detail["evaluation"]["money"]
    saving = money["saving_nobody"]
    told = assumption(Policy(dataset.costs).assumed_success)
    if not saving["value"] or saving["value"] <= 0:
        return f"{usd(expected)}, {told}"
    low, high = (expected * saving[end] / saving["value"] for end in ("low", "high"))
    return f"{usd(low)} to {usd(high)} against contacting nobody, {told} (as wide as on the rows it was judged on)"


def _set_aside(ports: Ports, table: Current, used: str) -> list[str]:
    """How many records are in quarantine, where that lies, and the first of them."""
    report = read_published(ports.lake, table.prefix)
    if report is None or not report.counts["quarantined"]:
        return []
    key = table.prefix + QUARANTINE
    first = open_published_table(ports.lake, key).first(_FIRST).to_pylist()
    count, records = report.counts["quarantined"], report.counts["records"]
    lines = [
        f"  Quarantine:  {count:,} of {records:,} records {'is' if count == 1 else 'are'} not {used}, each with its reason in {ports.lake.uri(key)}"
    ]
    for row in first:
        column = f"{on_one_line(row['column'])}: " if row["column"] else ""
        lines.append(f"    {on_one_line(row['file'])}:{row['line']}  {column}{on_one_line(row['reason'])}")
    return [*lines, *(["    ..."] if count > _FIRST else [])]


def _passed_over(ports: Ports, table: Current) -> list[str]:
    """The columns of a batch that the model does not read."""
    report = read_published(ports.lake, table.prefix)
    names = report.detail["ignored_columns"] if report else []
    if not names:
        return []
    more = f" and {len(names) - _FIRST} more" if len(names) > _FIRST else ""
    return [f"  Columns that the model does not know: {', '.join(repr(name) for name in names[:_FIRST])}{more}."]


def _unknown_values(ports: Ports, dataset: Dataset, batch: str) -> list[str]:
    """The categories in which many rows of a batch hold values that the model never saw."""
    predictions = read_current(ports.lake, dataset.name, BATCH_PREDICTIONS, batch)
    report = read_published(ports.lake, predictions.prefix) if predictions else None
    said = [check for check in (report.checks if report else []) if check.name == KNOWN_VALUES and not check.passed]
    return [f"  Be careful:  {on_one_line(check.found)}; {check.todo}." for check in said]


def _first_contacts(ports: Ports, prefix: str) -> list[str]:
    """The top of the list as it stands in the file."""
    table = read_back(ports.lake.read(prefix + LIST)).slice(0, 5)
    lines = []
    for row in table.to_pylist():
        reasons = "; ".join(str(row[name]) for name in ("reason_1", "reason_2") if row.get(name))
        lines.append(
            f"  {row['rank']:>3}. {on_one_line(row['id'])}  {row['churn_probability']:.0%}  saves {usd(row['expected_saving'])}  {reasons}"
        )
    return lines
