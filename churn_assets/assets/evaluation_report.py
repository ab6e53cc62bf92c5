"""The evaluation report: candidate and champion on the untouched test rows, and what the gate makes of it."""

from collections.abc import Mapping
from threading import Thread
from typing import Any

import dagster as dg

from churn_assets.assets._metadata import MODEL_TEAM, plot, records_table, retrain_freshness
from churn_assets.assets._stage import Made, make, materialized, published, required, user_errors_as_failures
from churn_assets.assets.champion_model import age_seconds
from churn_assets.reporting.evaluation_page import PageFacts, page, plots
from churn_assets.reporting.plots import load_libraries
from churn_model.errors import ChurnError
from churn_model.spec.dataset import Dataset, seconds
from resources.catalog.pointers import Champion, Current, current_key, read_champion, show
from resources.ports.lake import MANIFEST, Lake, Manifest
from resources.ports.runner import Runner, StepReport

PAGE = "report.html"
_SEGMENTS = {
    "column": "string",
    "value": "string",
    "rows": "int",
    "predicted": "float",
    "observed": "float",
    "surprise": "float",
}


def evaluation_report(dataset: Dataset) -> dg.AssetsDefinition:
    """The judgement of a dataset's candidate."""

    @dg.asset(
        key=[dataset.name, "evaluation_report"],
        deps=[[dataset.name, "preprocessed_splits"], [dataset.name, "tuned_model"]],
        group_name=dataset.name,
        owners=MODEL_TEAM,
        freshness_policy=retrain_freshness(dataset),
        kinds={"html"},
        description="Candidate and champion on the same untouched test rows: what each costs and saves, how well it ranks and is calibrated, "
        "why it says what it says; as metrics with intervals and as one HTML page.",
    )
    def asset(lake: Lake, runner: Runner) -> dg.MaterializeResult:
        with user_errors_as_failures():
            model = required(lake, dataset, "tuned_model")
            splits = _splits_of(lake, dataset, model)
            champion = read_champion(lake, dataset.name)
            before = _judged_before(lake, model, champion)
            if before is None:
                Thread(target=load_libraries).start()
            made = before or make(
                lake,
                runner,
                dataset,
                step="evaluate",
                folder=f"{dataset.name}/evaluation_report/",
                inputs={"splits": [splits.prefix], "candidate": [model.prefix]}
                | ({"champion": [champion.prefix]} if champion else {}),
                upstream={
                    "preprocessed_splits": splits.version,
                    "tuned_model": model.version,
                    "champion": champion.version if champion else "none",
                },
                beside=lambda report: _page(_facts(lake, dataset, report, splits, model, champion)),
            )
            show(lake, current_key(dataset.name, "evaluation_report"), made.current)
            return materialized(made, lake, (), _metadata(lake, made, model, champion))

    return asset


def _splits_of(lake: Lake, dataset: Dataset, model: Current) -> Current:
    """The splits that the candidate was made from, which need not be those shown by now: on others its test rows may be its training rows."""
    version = Manifest.from_json(lake.read(model.prefix + MANIFEST)).upstream["preprocessed_splits"]
    return Current(version, f"{dataset.name}/preprocessed_splits/{version}/")


def _judged_before(lake: Lake, model: Current, champion: Champion | None) -> Made | None:
    """The evaluation that promoted this very model, where the candidate is the champion: to compare it with itself would say nothing."""
    if champion is None or champion.version != model.version:
        return None
    report = published(lake, champion.evaluation)
    version = champion.evaluation.rstrip("/").rpartition("/")[2]
    return Made(version, champion.evaluation, report, reused=True) if report else None


def _facts(
    lake: Lake, dataset: Dataset, report: StepReport, splits: Current, model: Current, champion: Champion | None
) -> PageFacts:
    """All that the page shows, gathered from the reports upstream."""
    table = required(lake, dataset, "raw_customers")
    is_old = champion is not None and age_seconds(champion) > seconds(dataset.gate.max_age)
    decision = report.detail["decision_when_old" if is_old else "decision"]
    return PageFacts(
        dataset=dataset,
        evaluation=report,
        training=_said(lake, model),
        table=_said(lake, table),
        splits=_said(lake, splits),
        versions={
            "raw_customers": table.version,
            "preprocessed_splits": splits.version,
            "tuned_model": model.version,
            "champion": champion.version if champion else "none yet",
        },
        looks=_looks(lake, dataset, splits) + 1,
        outcome=decision["outcome"],
        reason=decision["reason"],
    )


def _said(lake: Lake, current: Current) -> StepReport:
    report = published(lake, current.prefix)
    if report is None:
        raise ChurnError(f"expected a published version at {current.prefix}; found none; run the job again")
    return report


def _looks(lake: Lake, dataset: Dataset, splits: Current) -> int:
    """How many published evaluations and comparisons have used these splits' test rows."""
    folders = (f"{dataset.name}/{asset}/" for asset in ("evaluation_report", "model_comparison"))
    keys = [entry.key for folder in folders for entry in lake.entries(folder) if entry.key.endswith(MANIFEST)]
    return sum(Manifest.from_json(lake.read(key)).upstream.get("preprocessed_splits") == splits.version for key in keys)


def _page(facts: PageFacts) -> Mapping[str, bytes]:
    """The page and its plots as files of the version."""
    pictures = plots(facts)
    return {PAGE: page(facts, pictures).encode(), **{f"plots/{name}.png": png for name, png in pictures.items()}}


def _metadata(lake: Lake, made: Made, model: Current, champion: Champion | None) -> dict[str, Any]:
    plots_shown = {
        name: plot(lake.read(f"{made.prefix}plots/{name}.png")) for name in ("cost_curve", "calibration", "reasons")
    }
    return {
        "report": dg.MetadataValue.path(lake.uri(made.prefix + PAGE)),
        "candidate": model.version,
        "champion": champion.version if champion else "none yet",
        "segments": records_table(made.report.detail["segments"], _SEGMENTS),
        **plots_shown,
    }
