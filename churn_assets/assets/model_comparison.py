"""The model comparison: two versions on the same rows, those of the test or of a batch. It decides nothing: only the gate promotes."""

from typing import Any

import dagster as dg

from churn_assets.assets._errors import user_errors_as_failures
from churn_assets.assets._metadata import MODEL_TEAM, code_version_of, link_to, materialize_result, records_table
from churn_assets.assets._shadow import describe_shadow, publish_shadow
from churn_assets.reporting.comparison_page import ComparedModel, ComparisonFacts, page
from churn_model.errors import ChurnError, InputError, problem
from churn_model.evaluation.metrics import Estimate
from churn_model.records import finite
from churn_model.reports.compare import CompareReport
from churn_model.reports.step_report import Report
from churn_model.spec.dataset import Dataset
from resources.catalog.integrity import list_manifests, read_manifest
from resources.catalog.names import (
    CHAMPION_MODEL,
    COMPARISON_HTML,
    COMPARISON_PAGE,
    MODEL_COMPARISON,
    PREPROCESSED_SPLITS,
    TUNED_MODEL,
    asset_key,
    current_key,
    version_prefix,
    versions_prefix,
)
from resources.catalog.outputs import Output, copy_to_outputs, output_key
from resources.catalog.pointers import Current, point_to, read_champion, read_current, require_current
from resources.catalog.publish import Content, Publication, publish_content, publish_step
from resources.catalog.versions import Maker, step_maker
from resources.ports.lake import Lake
from resources.ports.outputs import Outputs
from resources.ports.run_locks import RunLocks
from resources.ports.runner import Runner

PAGE_MAKER = Maker(
    COMPARISON_PAGE,
    modules=("churn_assets.reporting.comparison_page",),
    templates=(
        "churn_assets/reporting/templates/comparison.html.j2",
        "churn_assets/reporting/templates/report.css.j2",
    ),
)
CANDIDATE, CHAMPION, PREVIOUS = "candidate", "champion", "previous"
FIGURES = ("log_loss", "auc", "cost", "saving", "calibration_slope")
_MOST_NAMED = 10


class ComparisonConfig(dg.Config):
    """Two models: versions, or the words champion, candidate and previous (the champion before the present one).

    One alone is set against the champion. None: the champion and the candidate; where these are one, the previous champion and the champion.

    batch  rows that they score: those of a batch that was scored, whose outcome nobody knows yet; "" for the test rows
    """

    first: str = ""
    second: str = ""
    batch: str = ""


def model_comparison(dataset: Dataset) -> dg.AssetsDefinition:
    """Return the asset that compares two models of a dataset on the same rows."""

    @dg.asset(
        key=asset_key(dataset.name, MODEL_COMPARISON),
        deps=[asset_key(dataset.name, asset) for asset in (PREPROCESSED_SPLITS, TUNED_MODEL, CHAMPION_MODEL)],
        group_name=dataset.name,
        code_version=code_version_of(dataset, step_maker("compare"), PAGE_MAKER),
        kinds={"html"},
        owners=MODEL_TEAM,
        description="Two model versions on the same test rows, each with its own preprocessing and calibration, at today's costs. Made on demand; "
        "it promotes nothing, and each look makes the test rows a little less new. With `batch` they score that batch instead: whom they decide "
        "otherwise, and the money at stake.",
    )
    def asset(
        context: dg.AssetExecutionContext,
        config: ComparisonConfig,
        lake: Lake,
        runner: Runner,
        outputs: Outputs,
        run_locks: RunLocks,
    ) -> dg.MaterializeResult:
        with user_errors_as_failures():
            if config.batch:
                models, warn = choose_models(lake, dataset, config), context.log.warning
                shadow = publish_shadow(lake, runner, outputs, dataset, config.batch, models, warn)
                links = link_to(outputs, output_key(dataset.name, Output.SHADOW, config.batch))
                return materialize_result(shadow, lake, (), {**links, **describe_shadow(lake, shadow)})
            splits = require_current(lake, dataset.name, PREPROCESSED_SPLITS)
            if not (config.first or config.second) and _has_one_model(lake, dataset):
                return _report_nothing_to_compare(dataset)
            first, second = choose_models(lake, dataset, config)
            comparison = publish_step(
                lake,
                runner,
                dataset,
                maker=step_maker("compare"),
                folder=versions_prefix(dataset.name, MODEL_COMPARISON),
                inputs={"splits": [splits.prefix], "first": [first.prefix], "second": [second.prefix]},
                upstream={PREPROCESSED_SPLITS: splits.version, "first": first.version, "second": second.version},
            )
            html = _publish_page(lake, dataset, comparison, first, second)
            point_to(lake, current_key(dataset.name, COMPARISON_PAGE), html.current)
            point_to(lake, current_key(dataset.name, MODEL_COMPARISON), comparison.current)
            lasting = output_key(dataset.name, Output.COMPARISON)
            copy_to_outputs(lake, outputs, html.prefix + COMPARISON_HTML, lasting)
            links = {**link_to(outputs, lasting), "report": dg.MetadataValue.path(outputs.uri(lasting))}
            return materialize_result(comparison, lake, (), {**links, **_metadata(comparison)})

    return asset


def _publish_page(
    lake: Lake, dataset: Dataset, comparison: Publication, first: Current, second: Current
) -> Publication:
    """Publish the page of a comparison. What a model is today, champion or candidate, is part of what the page is made from."""
    champion, candidate = read_champion(lake, dataset.name), read_current(lake, dataset.name, TUNED_MODEL)
    roles = {candidate.version: CANDIDATE} if candidate else {}
    roles |= {champion.version: CHAMPION} if champion else {}

    def make(seen: Dataset) -> Content:
        models = [
            ComparedModel(
                letter=letter,
                version=model.version,
                role=roles.get(model.version, ""),
                trained_on=read_manifest(lake, model.prefix).made_at[:10],
            )
            for letter, model in (("A", first), ("B", second))
        ]
        facts = ComparisonFacts(dataset=seen, report=comparison.report.read(CompareReport), models=models)
        return Content(Report(), {COMPARISON_HTML: page(facts).encode()})

    return publish_content(
        lake,
        dataset,
        maker=PAGE_MAKER,
        folder=versions_prefix(dataset.name, COMPARISON_PAGE),
        upstream={
            MODEL_COMPARISON: comparison.version,
            "A": roles.get(first.version, ""),
            "B": roles.get(second.version, ""),
        },
        make=make,
    )


def _has_one_model(lake: Lake, dataset: Dataset) -> bool:
    """Return whether the candidate is the only champion that there has been, as after a first retrain."""
    champion = read_champion(lake, dataset.name)
    return _default(lake, dataset) == [PREVIOUS, CHAMPION] and champion is not None and champion.previous is None


def _report_nothing_to_compare(dataset: Dataset) -> dg.MaterializeResult:
    """Return a result that says why there is no comparison: *Materialize all* of a group succeeds after a first retrain too."""
    outcome = (
        f"There is nothing to compare yet: the champion is the only model that {dataset.name} has promoted, and the candidate. "
        "Materialize this again after another retrain."
    )
    return dg.MaterializeResult(data_version=dg.DataVersion("none"), metadata={"outcome": outcome})


def choose_models(lake: Lake, dataset: Dataset, config: ComparisonConfig) -> tuple[Current, Current]:
    """Return the two models. Raise ChurnError if one does not exist, or both are the same."""
    named = [each for each in (config.first, config.second) if each]
    wanted = [CHAMPION, *named][-2:] if named else _default(lake, dataset)
    first, second = (_model(lake, dataset, each) for each in wanted)
    if first.version == second.version:
        raise InputError(
            problem(
                expected="two models to compare",
                found=f"{first.version} twice",
                todo=_list_known_models(lake, dataset),
            )
        )
    return first, second


def _default(lake: Lake, dataset: Dataset) -> list[str]:
    champion, candidate = read_champion(lake, dataset.name), read_current(lake, dataset.name, TUNED_MODEL)
    is_champion = champion is not None and candidate is not None and champion.version == candidate.version
    return [PREVIOUS, CHAMPION] if is_champion else [CHAMPION, CANDIDATE]


def _model(lake: Lake, dataset: Dataset, wanted: str) -> Current:
    champion = read_champion(lake, dataset.name)
    if wanted == CANDIDATE:
        return require_current(lake, dataset.name, TUNED_MODEL)
    if wanted in (CHAMPION, PREVIOUS):
        if champion is None:
            raise ChurnError(
                problem(expected=f"a champion of {dataset.name}", found="none", todo=_list_known_models(lake, dataset))
            )
        if wanted == PREVIOUS and champion.previous is None:
            raise ChurnError(
                problem(
                    expected=f"a champion of {dataset.name} before the present one",
                    found="none",
                    todo=f"name two versions: {_list_known_models(lake, dataset)}",
                )
            )
        version = champion.version if wanted == CHAMPION else str(champion.previous)
    else:
        version = wanted
    if version not in known_models(lake, dataset):
        raise InputError(
            problem(
                expected=f"a model of {dataset.name}",
                found=f"no version {version[:40]}",
                todo=_list_known_models(lake, dataset),
            )
        )
    return Current(version, version_prefix(dataset.name, TUNED_MODEL, version))


def known_models(lake: Lake, dataset: Dataset) -> list[str]:
    """Return the versions of a dataset's models in the lake, newest first."""
    folder = versions_prefix(dataset.name, TUNED_MODEL)
    made_at = {manifest.version: manifest.made_at for _, manifest in list_manifests(lake, folder)}
    return sorted(made_at, key=lambda version: made_at[version], reverse=True)


def _list_known_models(lake: Lake, dataset: Dataset) -> str:
    known = known_models(lake, dataset)
    if not known:
        return f"run `churn retrain {dataset.name}` first"
    more = f" and {len(known) - _MOST_NAMED} older ones" if len(known) > _MOST_NAMED else ""
    return f"the models of {dataset.name}, newest first: {', '.join(known[:_MOST_NAMED])}{more}"


def _metadata(comparison: Publication) -> dict[str, Any]:
    found = comparison.report.read(CompareReport)
    metadata: dict[str, Any] = {"first": found.first_version, "second": found.second_version}
    if found.first is None or found.second is None:
        return metadata
    figures = [
        {"figure": name, **_range("first", getattr(found.first, name)), **_range("second", getattr(found.second, name))}
        for name in FIGURES
    ]
    columns = {"figure": "string", **dict.fromkeys(list(figures[0])[1:], "float")}
    metadata["figures"] = records_table(figures, columns)
    if found.decisions:
        groups = [
            {"contacted by": name.replace("_", " "), **vars(group)} for name, group in vars(found.decisions).items()
        ]
        metadata["decisions"] = records_table(groups, {"contacted by": "string", "rows": "int", "leavers": "int"})
    return metadata


def _range(model: str, figure: Estimate) -> dict[str, float | None]:
    return {model: finite(figure.value), f"{model} low": finite(figure.low), f"{model} high": finite(figure.high)}
