"""`<dataset>_rollback`: make an earlier model the champion again."""

from typing import TYPE_CHECKING

import dagster as dg

from churn_model.spec.dataset import Dataset
from jobs.run_config import IN_PLAIN_LINES
from resources.catalog.names import CHAMPION_MODEL, asset_key, rollback_job_name
from resources.ports.run_locks import LOCK_TAG, LockKind, lock_name

if TYPE_CHECKING:
    # Dagster exports the function that makes it, not its name.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def rollback_job(dataset: Dataset) -> "UnresolvedAssetJobDefinition":
    """The job that moves the champion back. It runs the same asset as a promotion, told where to go."""
    return dg.define_asset_job(
        rollback_job_name(dataset.name),
        selection=dg.AssetSelection.assets(asset_key(dataset.name, CHAMPION_MODEL)),
        description=f"Make an earlier model of {dataset.name} the champion again.",
        tags={"dataset": dataset.name, LOCK_TAG: lock_name(dataset.name, LockKind.RETRAIN)},
        config=IN_PLAIN_LINES,
    )
