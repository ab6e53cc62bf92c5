"""The summaries of `churn compare`."""

from collections.abc import Callable

from churn_assets.cli.summaries._lake import locate, read_report, require_made
from churn_assets.console.safe_text import on_one_line
from churn_model.evaluation.comparison import Agreement
from churn_model.evaluation.metrics import Estimate
from churn_model.reports.compare import CompareReport, ModelFigures
from churn_model.reports.ingest import IngestReport
from churn_model.reports.shadow import ShadowReport
from churn_model.spec.dataset import Dataset
from churn_model.wording import (
    NOT_EVALUATED,
    assumption,
    counted,
    decimal,
    decimal_range,
    describe_rows,
    percent,
    usd,
    usd_range,
)
from resources.catalog.names import (
    COMPARISON_HTML,
    COMPARISON_PAGE,
    DIFFERENCES,
    DIFFERENCES_CSV,
    MODEL_COMPARISON,
    SHADOW,
    TUNED_MODEL,
)
from resources.catalog.outputs import Output
from resources.catalog.pointers import read_batch, read_champion, read_current
from resources.catalog.published_tables import read_first
from resources.wiring import Ports

_MOST_DIFFERENCES = 5


def compare_summary(ports: Ports, dataset: Dataset) -> str:
    """Return two models side by side, the difference with its range, and whom they treat differently."""
    current = require_made(ports, dataset, MODEL_COMPARISON, "a comparison", f"churn compare {dataset.name}")
    report = read_report(ports, current, CompareReport)
    lines = [
        "",
        *_model_lines(ports, dataset, report.first_version, report.second_version),
        *_result_lines(report),
        *(["Both give every row the same probability."] if report.same_probabilities else []),
        "This promotes nothing: the gate of `churn retrain` does, by its own rule. "
        "Each look at the test rows makes a lucky winner likelier.",
        *_page_lines(ports, dataset),
    ]
    return "\n".join(lines)


def _page_lines(ports: Ports, dataset: Dataset) -> list[str]:
    """Return where the page is. A comparison that earlier code made has none."""
    page = read_current(ports.lake, dataset.name, COMPARISON_PAGE)
    return [f"  Report: {locate(ports, dataset, Output.COMPARISON, page.prefix + COMPARISON_HTML)}"] if page else []


def _model_lines(ports: Ports, dataset: Dataset, first: str, second: str) -> list[str]:
    champion, candidate = read_champion(ports.lake, dataset.name), read_current(ports.lake, dataset.name, TUNED_MODEL)
    roles = {candidate.version: " (candidate)"} if candidate else {}
    roles |= {champion.version: " (champion)"} if champion else {}
    return [f"  {letter}: {version}{roles.get(version, '')}" for letter, version in (("A", first), ("B", second))]


def _result_lines(report: CompareReport) -> list[str]:
    counts = report.counts
    left_out = (
        f" {counts.left_out:,} rows are left out: A or B may have been trained on them." if counts.left_out else ""
    )
    if not counts.rows:
        return [f"No row is left to compare them on.{left_out} Compare versions that were trained with today's split."]
    if report.first is None or report.second is None:
        return [f"The figures of the two models: {NOT_EVALUATED}."]
    success = "" if report.assumed_success is None else f", {assumption(report.assumed_success)}"
    return [
        f"Both on {describe_rows(counts.rows, report.customers)}{success}.{left_out}",
        "",
        *_figure_lines(report, report.first, report.second),
        "",
        _decision_line(report.decisions) if report.decisions else f"The decisions of the two models: {NOT_EVALUATED}.",
    ]


def _figure_lines(report: CompareReport, first: ModelFigures, second: ModelFigures) -> list[str]:
    """Return a line for each figure: A, B, and B minus A with its 90% range."""
    better = report.better_without_model or "the better of nobody and everybody"

    def line(label: str, one: str, other: str, difference: str = "") -> str:
        return f"  {label:<36}{one:>10}{other:>10}{f'   {difference}' if difference else ''}"

    def of(figure: Callable[[ModelFigures], Estimate], show: Callable[[float], str]) -> tuple[str, str]:
        return show(figure(first).value), show(figure(second).value)

    log_loss, auc, cost = report.log_loss_difference, report.auc_difference, report.cost_difference
    return [
        line("", "A", "B", "B - A (90% range)"),
        line("log loss (lower is better)", *of(lambda model: model.log_loss, _four), _difference(log_loss)),
        line("AUC", *of(lambda model: model.auc, _four), _difference(auc) if auc else NOT_EVALUATED),
        line("cost per customer", *of(lambda model: model.cost, usd), _money_difference(cost)),
        line(
            f"saved against contacting {better}",
            *of(lambda model: model.saving, usd),
            _money_difference(_negative(cost)),
        ),
        line("calibration slope (1 is right)", *of(lambda model: model.calibration_slope, _four)),
        line("contacted", f"{first.contacted:,}", f"{second.contacted:,}"),
    ]


def _four(number: float) -> str:
    return decimal(number, 4)


def _difference(estimate: Estimate) -> str:
    return f"{_four(estimate.value)} ({decimal_range(estimate, 4)})"


def _money_difference(estimate: Estimate) -> str:
    return f"{usd(estimate.value)} ({usd_range(estimate)})"


def _negative(estimate: Estimate) -> Estimate:
    return Estimate(value=-estimate.value, median=-estimate.median, low=-estimate.high, high=-estimate.low)


def _decision_line(decisions: Agreement) -> str:
    """Return how many are treated differently, and how many of them left."""
    alone = (("A", decisions.only_first), ("B", decisions.only_second))
    different = sum(group.rows for _, group in alone)
    rows = different + decisions.both.rows + decisions.neither.rows
    groups = "; ".join(
        f"{group.rows:,} contacted by {letter} alone ({group.leavers:,} of them left)" for letter, group in alone
    )
    same = f"{decisions.both.rows:,} are contacted by both, {decisions.neither.rows:,} by neither"
    return f"Another decision for {different:,} of {rows:,}: {groups}. {same}."


def shadow_summary(ports: Ports, dataset: Dataset, batch: str) -> str:
    """Return whom two models decide otherwise in a batch, what is at stake, and what that does not say."""
    command = f"churn compare {dataset.name} --batch {batch}"
    current = require_made(ports, dataset, SHADOW, f"a comparison on batch {batch}", command, batch)
    report = read_report(ports, current, ShadowReport)
    counts = report.counts
    lines = [
        "",
        *_model_lines(ports, dataset, report.first_version, report.second_version),
        f"Both scored batch {batch} at today's costs: {describe_rows(counts.rows, counts.customers)}.{_left_out(ports, dataset, batch, report)}",
        "",
        f"Another decision for {report.otherwise:,} ({counted(counts.customers_otherwise, 'customer')}): {counts.only_first:,} contacted by A alone, "
        f"{counts.only_second:,} by B alone. {counts.both:,} are contacted by both, {counts.neither:,} by neither.",
        *(_stake_lines(ports, current.prefix, report) if report.otherwise else []),
        "Nobody knows yet who of them leaves, and each model thinks its own decisions the better ones: which of the two is right, this does "
        f"not show. That is the gate's word, on test rows: `churn compare {dataset.name}`.",
        f"  Differences: {locate(ports, dataset, Output.SHADOW, current.prefix + DIFFERENCES_CSV, batch)}",
    ]
    return "\n".join(lines)


def _left_out(ports: Ports, dataset: Dataset, batch: str, report: ShadowReport) -> str:
    """Return how many rows of the batch were scored and cannot be read by both models."""
    record = read_batch(ports.lake, dataset.name, batch)
    scored = read_report(ports, record.rows, IngestReport).counts.rows if record else 0
    left_out = scored - report.counts.rows
    return f" {counted(left_out, 'row')} more cannot be read by both." if left_out > 0 else ""


def _stake_lines(ports: Ports, prefix: str, report: ShadowReport) -> list[str]:
    """Return the money at stake, as each model sees it, and the largest differences."""
    stake = report.at_stake
    lines = [
        f"At stake: by A's probabilities, B's decisions cost {usd(stake.by_first)} more than A's; by B's, A's cost {usd(stake.by_second)} more than B's, "
        f"{assumption(report.assumed_success)}.",
        "",
    ]
    for row in read_first(ports.lake, prefix + DIFFERENCES, _MOST_DIFFERENCES).to_pylist():
        as_of = f" {row['as_of']}" if row.get("as_of") else ""
        lines.append(
            f"  {on_one_line(row['id'])}{as_of}  {row['contacted_by']} alone contacts; "
            f"A {percent(row['probability_a'])}, saves {usd(row['expected_saving_a'])}; "
            f"B {percent(row['probability_b'])}, saves {usd(row['expected_saving_b'])}"
        )
    if report.otherwise > report.listed:
        lines.append(f"  The file below holds the {report.listed:,} largest.")
    return [*lines, ""]
