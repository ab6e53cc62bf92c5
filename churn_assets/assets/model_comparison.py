"""The model comparison: two versions on the same test rows. It decides nothing: only the gate promotes."""

from typing import Any

import dagster as dg

from churn_assets.assets._metadata import MODEL_TEAM, records_table
from churn_assets.assets._stage import Made, make, materialized, required, user_errors_as_failures
from churn_model.errors import ChurnError, InputError
from churn_model.spec.dataset import Dataset
from resources.catalog.pointers import Current, current_key, read_champion, read_current, show
from resources.ports.lake import MANIFEST, Lake, Manifest
from resources.ports.runner import Runner

CANDIDATE, CHAMPION, PREVIOUS = "candidate", "champion", "previous"
FIGURES = ("log_loss", "auc", "cost", "saving", "calibration_slope")
_MOST_NAMED = 10


class ComparisonConfig(dg.Config):
    """Two models: versions, or the words champion, candidate and previous (the champion before the present one).

    One alone is set against the champion. None: the champion and the candidate; where these are one, the previous champion and the champion.
    """

    first: str = ""
    second: str = ""


def model_comparison(dataset: Dataset) -> dg.AssetsDefinition:
    """Two models of a dataset on the same rows."""

    @dg.asset(
        key=[dataset.name, "model_comparison"],
        deps=[[dataset.name, "preprocessed_splits"], [dataset.name, "tuned_model"], [dataset.name, "champion_model"]],
        group_name=dataset.name,
        owners=MODEL_TEAM,
        description="Two model versions on the same test rows, each with its own preprocessing and calibration, at today's costs. Made on demand; "
        "it promotes nothing, and each look makes the test rows a little less new.",
    )
    def asset(config: ComparisonConfig, lake: Lake, runner: Runner) -> dg.MaterializeResult:
        with user_errors_as_failures():
            splits = required(lake, dataset, "preprocessed_splits")
            first, second = chosen(lake, dataset, config)
            made = make(
                lake,
                runner,
                dataset,
                step="compare",
                folder=f"{dataset.name}/model_comparison/",
                inputs={"splits": [splits.prefix], "first": [first.prefix], "second": [second.prefix]},
                upstream={"preprocessed_splits": splits.version, "first": first.version, "second": second.version},
            )
            show(lake, current_key(dataset.name, "model_comparison"), made.current)
            return materialized(made, lake, (), _metadata(made))

    return asset


def chosen(lake: Lake, dataset: Dataset, config: ComparisonConfig) -> tuple[Current, Current]:
    """The two models. Raises ChurnError where one is not there, or both are the same."""
    named = [each for each in (config.first, config.second) if each]
    wanted = [CHAMPION, *named][-2:] if named else _default(lake, dataset)
    first, second = (_model(lake, dataset, each) for each in wanted)
    if first.version == second.version:
        raise InputError(
            f"expected two models to compare; found {first.version} twice; {_known_in_words(lake, dataset)}"
        )
    return first, second


def _default(lake: Lake, dataset: Dataset) -> list[str]:
    champion, candidate = read_champion(lake, dataset.name), read_current(lake, dataset.name, "tuned_model")
    is_champion = champion is not None and candidate is not None and champion.version == candidate.version
    return [PREVIOUS, CHAMPION] if is_champion else [CHAMPION, CANDIDATE]


def _model(lake: Lake, dataset: Dataset, wanted: str) -> Current:
    champion = read_champion(lake, dataset.name)
    if wanted == CANDIDATE:
        return required(lake, dataset, "tuned_model")
    if wanted in (CHAMPION, PREVIOUS):
        if champion is None:
            raise ChurnError(f"expected a champion of {dataset.name}; found none; {_known_in_words(lake, dataset)}")
        if wanted == PREVIOUS and champion.previous is None:
            raise ChurnError(
                f"expected a champion of {dataset.name} before the present one; found none; name two versions: {_known_in_words(lake, dataset)}"
            )
        version = champion.version if wanted == CHAMPION else str(champion.previous)
    else:
        version = wanted
    if version not in known_models(lake, dataset):
        raise InputError(
            f"expected a model of {dataset.name}; found no version {version[:40]}; {_known_in_words(lake, dataset)}"
        )
    return Current(version, f"{dataset.name}/tuned_model/{version}/")


def known_models(lake: Lake, dataset: Dataset) -> list[str]:
    """The versions of a dataset's models in the lake, newest first."""
    keys = [entry.key for entry in lake.entries(f"{dataset.name}/tuned_model/") if entry.key.endswith("/" + MANIFEST)]
    made_at = {key.split("/")[-2]: Manifest.from_json(lake.read(key)).made_at for key in keys}
    return sorted(made_at, key=lambda version: made_at[version], reverse=True)


def _known_in_words(lake: Lake, dataset: Dataset) -> str:
    known = known_models(lake, dataset)
    if not known:
        return f"run `churn retrain {dataset.name}` first"
    more = f" and {len(known) - _MOST_NAMED} older ones" if len(known) > _MOST_NAMED else ""
    return f"the models of {dataset.name}, newest first: {', '.join(known[:_MOST_NAMED])}{more}"


def _metadata(made: Made) -> dict[str, Any]:
    detail = made.report.detail
    metadata: dict[str, Any] = {"first": detail["first_version"], "second": detail["second_version"]}
    if "first" not in detail:
        return metadata
    figures = [
        {
            "figure": name,
            **{f"{which}{at}": detail[which][name][value] for which in ("first", "second") for at, value in _RANGE},
        }
        for name in FIGURES
    ]
    decisions = [{"contacted by": name.replace("_", " "), **group} for name, group in detail["decisions"].items()]
    return {
        **metadata,
        "figures": records_table(
            figures,
            {"figure": "string", **{f"{which}{at}": "float" for which in ("first", "second") for at, _ in _RANGE}},
        ),
        "decisions": records_table(decisions, {"contacted by": "string", "rows": "int", "leavers": "int"}),
    }


_RANGE = (("", "value"), (" low", "low"), (" high", "high"))
