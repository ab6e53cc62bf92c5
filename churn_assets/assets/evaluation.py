"""The evaluation report: candidate and champion on the untouched test rows, and what the gate makes of it."""

import dagster as dg

from churn_assets.stage import Made, make, materialized, published, required, said_plainly
from churn_model.dataset import Dataset
from resources.pointers import Champion, Current, current_key, read_champion, show
from resources.ports import Lake, Runner


def evaluation_report(dataset: Dataset) -> dg.AssetsDefinition:
    """The judgement of a dataset's candidate."""

    @dg.asset(
        key=[dataset.name, "evaluation_report"],
        deps=[[dataset.name, "preprocessed_splits"], [dataset.name, "tuned_model"]],
        group_name=dataset.name,
        kinds={"html"},
        description="Candidate and champion on the same untouched test rows: what each costs and saves, how well it ranks and is calibrated, "
        "why it says what it says; as metrics with intervals and as one HTML page.",
    )
    def asset(context: dg.AssetExecutionContext, lake: Lake, runner: Runner) -> dg.MaterializeResult:
        with said_plainly(context):
            splits = required(lake, dataset, "preprocessed_splits")
            model = required(lake, dataset, "tuned_model")
            champion = read_champion(lake, dataset.name)
            made = _judged_before(lake, model, champion) or make(
                lake,
                runner,
                dataset,
                step="evaluate",
                folder=f"{dataset.name}/evaluation_report/",
                inputs={"splits": [splits.prefix], "candidate": [model.prefix]} | ({"champion": [champion.prefix]} if champion else {}),
                upstream={
                    "preprocessed_splits": splits.version,
                    "tuned_model": model.version,
                    "champion": champion.version if champion else "none",
                },
            )
            show(lake, current_key(dataset.name, "evaluation_report"), made.current)
            return materialized(made, lake, (), {"candidate": model.version, "champion": champion.version if champion else "none yet"})

    return asset


def _judged_before(lake: Lake, model: Current, champion: Champion | None) -> Made | None:
    """The evaluation that promoted this very model, where the candidate is the champion: to compare it with itself would say nothing."""
    if champion is None or champion.version != model.version:
        return None
    report = published(lake, champion.evaluation)
    version = champion.evaluation.rstrip("/").rpartition("/")[2]
    return Made(version, champion.evaluation, report, reused=True) if report else None
