"""`<dataset>_retrain`: from what landed to the gate."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from churn_model.spec.dataset import Dataset
from jobs.asset_job import asset_job
from resources.catalog.names import RETRAIN_ASSETS, retrain_job_name
from resources.ports.run_locks import LockKind

if TYPE_CHECKING:
    # Dagster exports the function that makes it, not its name.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def retrain_job(dataset: Dataset, tags: Mapping[str, str] | None = None) -> "UnresolvedAssetJobDefinition":
    """Return the job that refits a dataset's model and lets the gate decide."""
    return asset_job(
        dataset,
        name=retrain_job_name(dataset.name),
        assets=RETRAIN_ASSETS,
        description=f"Ingest what landed for {dataset.name}, split, search and fit, judge on the test split; the gate promotes or keeps.",
        lock=LockKind.RETRAIN,
        tags=tags,
    )
