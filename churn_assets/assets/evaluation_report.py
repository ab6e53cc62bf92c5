"""The evaluation report: candidate and champion on the untouched test rows, and what the gate makes of it; as metrics and as a page.

The evaluation is a step. Its page is a version of its own, made in this process from the reports that it shows: another layout or plot makes
another page and evaluates nothing.
"""

import io
from threading import Thread
from typing import Any

import dagster as dg
import pyarrow.compute as pc

from churn_assets.assets._errors import user_errors_as_failures
from churn_assets.assets._metadata import (
    MODEL_TEAM,
    code_version_of,
    link_to,
    materialize_result,
    plot,
    records_table,
    retrain_freshness,
)
from churn_assets.assets.champion_model import age_seconds
from churn_assets.reporting.evaluation_page import PageFacts, Period, page, plots, prepare
from churn_model.reports.evaluate import EvaluateReport
from churn_model.reports.ingest import IngestReport
from churn_model.reports.preprocess import PreprocessReport
from churn_model.reports.step_report import Report
from churn_model.reports.train import TrainReport
from churn_model.spec.column_names import AS_OF
from churn_model.spec.dataset import Dataset
from churn_model.spec.durations import seconds
from resources.catalog.integrity import find_manifest, list_manifests, read_manifest
from resources.catalog.names import (
    EVALUATION_PAGE,
    EVALUATION_REPORT,
    MODEL_COMPARISON,
    PREPROCESSED_SPLITS,
    RAW_CUSTOMERS,
    REPORT_HTML,
    ROWS,
    TUNED_MODEL,
    asset_key,
    current_key,
    version_prefix,
    versions_prefix,
)
from resources.catalog.outputs import Output, copy_to_outputs, output_key
from resources.catalog.pointers import Champion, Current, point_to, read_champion, require_current
from resources.catalog.publish import (
    Content,
    Publication,
    publish_content,
    publish_step,
    require_published,
)
from resources.catalog.published_tables import open_published_table
from resources.catalog.versions import Maker, step_maker
from resources.errors import DamagedError
from resources.ports.lake import Lake
from resources.ports.outputs import Outputs
from resources.ports.run_locks import RunLocks
from resources.ports.runner import Runner

PAGE_MAKER = Maker(
    EVALUATION_PAGE,
    modules=("churn_assets.reporting.evaluation_page",),
    templates=(
        "churn_assets/reporting/templates/report.html.j2",
        "churn_assets/reporting/templates/report.css.j2",
    ),
)
NO_CHAMPION = "none"
_PLOTS_SHOWN = ("cost_curve", "calibration", "reasons")
_SEGMENTS = {
    "column": "string",
    "value": "string",
    "rows": "int",
    "predicted": "float",
    "observed": "float",
    "surprise": "float",
}


def evaluation_report(dataset: Dataset) -> dg.AssetsDefinition:
    """Return the asset of the evaluation of a dataset's candidate."""

    @dg.asset(
        key=asset_key(dataset.name, EVALUATION_REPORT),
        deps=[asset_key(dataset.name, PREPROCESSED_SPLITS), asset_key(dataset.name, TUNED_MODEL)],
        group_name=dataset.name,
        code_version=code_version_of(dataset, step_maker("evaluate"), PAGE_MAKER),
        owners=MODEL_TEAM,
        freshness_policy=retrain_freshness(dataset),
        kinds={"html"},
        description="Candidate and champion on the same untouched test rows: what each costs and saves, how well it ranks and is calibrated, "
        "and which columns its probabilities rest on; as metrics with intervals and as one HTML page.",
    )
    def asset(lake: Lake, runner: Runner, outputs: Outputs, run_locks: RunLocks) -> dg.MaterializeResult:
        with user_errors_as_failures():
            model = require_current(lake, dataset.name, TUNED_MODEL)
            champion = read_champion(lake, dataset.name)
            if champion is None or champion.version != model.version:
                Thread(target=prepare).start()  # while the step runs
            evaluation = _evaluate(lake, runner, dataset, model, _opponent(lake, dataset, model, champion))
            html = _publish_page(lake, dataset, evaluation, champion)
            point_to(lake, current_key(dataset.name, EVALUATION_PAGE), html.current)
            copy_to_outputs(lake, outputs, html.prefix + REPORT_HTML, output_key(dataset.name, Output.REPORT))
            point_to(lake, current_key(dataset.name, EVALUATION_REPORT), evaluation.current)
            pictures = _show_plots(lake, outputs, dataset, html)
            links = link_to(outputs, output_key(dataset.name, Output.REPORT))
            metadata = {**links, **_metadata(lake, evaluation, html, model, champion), **pictures}
            return materialize_result(evaluation, lake, (), metadata)

    return asset


def _opponent(lake: Lake, dataset: Dataset, model: Current, champion: Champion | None) -> Current | None:
    """Return the model that the candidate is compared with: the champion, or the one before it if the candidate is the champion.

    So the champion is evaluated again at a new price, and the evaluation that promoted it is found again if nothing has changed.
    """
    if champion is None or champion.version != model.version:
        return Current(champion.version, champion.prefix) if champion else None
    try:
        manifest = find_manifest(lake, champion.evaluation)
    except DamagedError:  # it is made again
        manifest = None
    before = manifest.upstream["champion"] if manifest else NO_CHAMPION
    return None if before == NO_CHAMPION else Current(before, version_prefix(dataset.name, TUNED_MODEL, before))


def _evaluate(lake: Lake, runner: Runner, dataset: Dataset, model: Current, opponent: Current | None) -> Publication:
    """Publish the evaluation on the splits that the candidate was made from: on later splits, test rows may be its training rows."""
    splits = read_manifest(lake, model.prefix).upstream[PREPROCESSED_SPLITS]
    inputs = {
        "splits": [version_prefix(dataset.name, PREPROCESSED_SPLITS, splits)],
        "candidate": [model.prefix],
    }
    return publish_step(
        lake,
        runner,
        dataset,
        maker=step_maker("evaluate"),
        folder=versions_prefix(dataset.name, EVALUATION_REPORT),
        inputs=inputs | ({"champion": [opponent.prefix]} if opponent else {}),
        upstream={
            PREPROCESSED_SPLITS: splits,
            TUNED_MODEL: model.version,
            "champion": opponent.version if opponent else NO_CHAMPION,
        },
    )


def _publish_page(lake: Lake, dataset: Dataset, evaluation: Publication, champion: Champion | None) -> Publication:
    """Publish the page of an evaluation. It is made from the reports upstream, from which decision is shown, and from how often the test rows were used."""
    judged = read_manifest(lake, evaluation.prefix).upstream
    splits = version_prefix(dataset.name, PREPROCESSED_SPLITS, judged[PREPROCESSED_SPLITS])
    table = read_manifest(lake, splits).upstream[RAW_CUSTOMERS]
    found = evaluation.report.read(EvaluateReport)
    is_old = _weighs_an_old_champion(dataset, found, champion)
    looks = _count_looks(lake, dataset, judged[PREPROCESSED_SPLITS])

    def make(seen: Dataset) -> Content:
        model = version_prefix(dataset.name, TUNED_MODEL, judged[TUNED_MODEL])
        prefixes = (version_prefix(dataset.name, RAW_CUSTOMERS, table), splits, model)
        upstream = [require_published(lake, prefix) for prefix in prefixes]
        facts = PageFacts(
            dataset=seen,
            table=upstream[0].read(IngestReport),
            splits=upstream[1].read(PreprocessReport),
            training=upstream[2].read(TrainReport),
            evaluation=found,
            checks=tuple(check for report in (*upstream, evaluation.report) for check in report.checks),
            decision=found.decision_for(champion_is_old=is_old),
            versions={
                RAW_CUSTOMERS: table,
                PREPROCESSED_SPLITS: judged[PREPROCESSED_SPLITS],
                TUNED_MODEL: judged[TUNED_MODEL],
                "champion": found.champion_version or "none yet",
            },
            looks=looks,
            trained_on=_made_on(lake, model),
            landed_on=_made_on(lake, prefixes[0]),
            period=_find_period(lake, prefixes[0]),
        )
        pictures = plots(facts)
        files = {f"plots/{name}.png": png for name, png in pictures.items()}
        return Content(Report(), {REPORT_HTML: page(facts, pictures).encode(), **files})

    return publish_content(
        lake,
        dataset,
        maker=PAGE_MAKER,
        folder=versions_prefix(dataset.name, EVALUATION_PAGE),
        upstream={
            EVALUATION_REPORT: evaluation.version,
            "decision": "when old" if is_old else "when young",
            "looks": str(looks),
        },
        make=make,
    )


def _made_on(lake: Lake, prefix: str) -> str:
    """Return the day on which a version was made."""
    return read_manifest(lake, prefix).made_at[:10]


def _find_period(lake: Lake, table: str) -> Period | None:
    """Return the first and the last snapshot date of a table's rows; None if they have none."""
    rows = open_published_table(lake, table + ROWS)
    if AS_OF not in rows.schema.names:
        return None
    bounds = [pc.min_max(block.column(0)).as_py() for block in rows.blocks([AS_OF])]
    first, last = min(each["min"] for each in bounds), max(each["max"] for each in bounds)
    return Period(first.isoformat(), last.isoformat())


def _weighs_an_old_champion(dataset: Dataset, evaluation: EvaluateReport, champion: Champion | None) -> bool:
    """Return whether the decision that counts is the one for an old champion. The evaluation holds both: only here is there a clock."""
    if champion is None:
        return False
    if champion.version == evaluation.candidate_version:  # decided already: the one that promoted it
        return not evaluation.decision.moves_pointer
    return age_seconds(champion) > seconds(dataset.gate.max_age)


def _count_looks(lake: Lake, dataset: Dataset, splits: str) -> int:
    """Return how many published evaluations and comparisons have used the test rows of these splits."""
    folders = (versions_prefix(dataset.name, asset) for asset in (EVALUATION_REPORT, MODEL_COMPARISON))
    manifests = [manifest for folder in folders for _, manifest in list_manifests(lake, folder)]
    return sum(manifest.upstream.get(PREPROCESSED_SPLITS) == splits for manifest in manifests)


def _metadata(
    lake: Lake, evaluation: Publication, html: Publication, model: Current, champion: Champion | None
) -> dict[str, Any]:
    return {
        "report": dg.MetadataValue.path(lake.uri(html.prefix + REPORT_HTML)),
        "candidate": model.version,
        "champion": champion.version if champion else "none yet",
        "segments": records_table(map(vars, evaluation.report.read(EvaluateReport).segments or ()), _SEGMENTS),
    }


def _show_plots(
    lake: Lake, outputs: Outputs, dataset: Dataset, html: Publication
) -> dict[str, dg.MarkdownMetadataValue]:
    """Lay the page's plots out beside it, and return them as metadata."""
    shown = {}
    for name in _PLOTS_SHOWN:
        file = f"plots/{name}.png"
        if file in html.report.files:
            key = output_key(dataset.name, Output.PLOT, name)
            content = lake.read(html.prefix + file)
            outputs.replace(key, io.BytesIO(content))
            shown[name] = plot(content, outputs.link(key))
    return shown
