"""`<dataset>_retrain`: from what landed to the gate."""

from typing import TYPE_CHECKING

import dagster as dg

from churn_model.spec.dataset import Dataset
from jobs.run_config import IN_PLAIN_LINES
from resources.catalog.names import RETRAIN_ASSETS, asset_key, retrain_job_name
from resources.ports.run_locks import LOCK_TAG, LockKind, lock_name

if TYPE_CHECKING:
    # Dagster exports the function that makes it, not its name.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def retrain_job(dataset: Dataset) -> "UnresolvedAssetJobDefinition":
    """The job that refits a dataset's model and lets the gate decide."""
    return dg.define_asset_job(
        retrain_job_name(dataset.name),
        selection=dg.AssetSelection.assets(*(asset_key(dataset.name, asset) for asset in RETRAIN_ASSETS)),
        description=f"Ingest what landed for {dataset.name}, split, search and fit, judge on the test split; the gate promotes or keeps.",
        tags={"dataset": dataset.name, LOCK_TAG: lock_name(dataset.name, LockKind.RETRAIN)},
        config=IN_PLAIN_LINES,
    )
