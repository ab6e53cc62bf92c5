"""`<dataset>_retrain_schedule`: retrain every week, in the time zone of the spec."""

from typing import TYPE_CHECKING

import dagster as dg

from churn_model.spec.dataset import Dataset
from resources.catalog.landing import list_landed
from resources.catalog.names import retrain_schedule_name, train_prefix
from resources.ports.lake import Lake

if TYPE_CHECKING:
    # Dagster exports the function that makes it, not its name.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def retrain_schedule(dataset: Dataset, job: "UnresolvedAssetJobDefinition") -> dg.ScheduleDefinition:
    """Return the schedule of the spec, in its time zone.

    It runs from the start: retraining every week is what the project promises, only the gate changes who scores, and unchanged data starts no
    step. A laptop that slept through it makes up for it once.
    """

    @dg.schedule(
        name=retrain_schedule_name(dataset.name),
        job=job,
        cron_schedule=dataset.schedule.retrain,
        execution_timezone=dataset.schedule.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Retrains {dataset.name} where training data has landed. Unchanged data costs nothing: every version is found again.",
    )
    def schedule(lake: Lake) -> dg.RunRequest | dg.SkipReason:
        prefix = train_prefix(dataset.name)
        if not dataset.source.table and not list_landed(lake, prefix):
            return dg.SkipReason(f"Nothing has landed below {prefix} yet: `churn land {dataset.name} FILE`.")
        return dg.RunRequest()

    return schedule
