"""`<dataset>_retrain`: from what landed to the gate, and the weekly schedule that starts it. `<dataset>_rollback`: the way back."""

from typing import TYPE_CHECKING

import dagster as dg

from churn_model.dataset import Dataset
from jobs.told import IN_PLAIN_LINES
from resources.landing import landed, train_prefix
from resources.ports import Lake

if TYPE_CHECKING:
    # Dagster exports the function that makes it, not its name.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

RETRAIN_ASSETS = ("raw_customers", "preprocessed_splits", "tuned_model", "evaluation_report", "champion_model")


def retrain_job(dataset: Dataset) -> "UnresolvedAssetJobDefinition":
    """The job that refits a dataset's model and lets the gate decide."""
    return dg.define_asset_job(
        f"{dataset.name}_retrain",
        selection=dg.AssetSelection.assets(*([dataset.name, name] for name in RETRAIN_ASSETS)),
        description=f"Ingest what landed for {dataset.name}, split, search and fit, judge on the test split; the gate promotes or keeps.",
        tags={"dataset": dataset.name},
        config=IN_PLAIN_LINES,
    )


def retrain_schedule(dataset: Dataset, job: "UnresolvedAssetJobDefinition") -> dg.ScheduleDefinition:
    """The schedule of the spec, in its time zone.

    It runs from the start: retraining every week is what the project promises, only the gate changes who scores, and unchanged data starts no
    step. A laptop that slept through it makes up for it once.
    """

    @dg.schedule(
        name=f"{dataset.name}_retrain_schedule",
        job=job,
        cron_schedule=dataset.schedule.retrain,
        execution_timezone=dataset.schedule.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Retrains {dataset.name} where training data has landed. Unchanged data costs nothing: every version is found again.",
    )
    def schedule(lake: Lake) -> dg.RunRequest | dg.SkipReason:
        prefix = train_prefix(dataset.name)
        if not dataset.source.table and not landed(lake, prefix):
            return dg.SkipReason(f"Nothing has landed below {prefix} yet: `churn land {dataset.name} FILE`.")
        return dg.RunRequest()

    return schedule


def rollback_job(dataset: Dataset) -> "UnresolvedAssetJobDefinition":
    """The job that moves the champion back. It runs the same asset as a promotion, told where to go."""
    return dg.define_asset_job(
        f"{dataset.name}_rollback",
        selection=dg.AssetSelection.assets([dataset.name, "champion_model"]),
        description=f"Make an earlier model of {dataset.name} the champion again.",
        tags={"dataset": dataset.name},
        config=IN_PLAIN_LINES,
    )
