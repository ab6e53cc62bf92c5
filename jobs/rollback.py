"""`<dataset>_rollback`: make an earlier model the champion again."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from churn_model.spec.dataset import Dataset
from jobs.asset_job import asset_job
from resources.catalog.names import CHAMPION_MODEL, op_name, rollback_job_name
from resources.ports.run_locks import LockKind

if TYPE_CHECKING:
    # Dagster exports the function that makes it, not its name.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def rollback_job(dataset: Dataset, tags: Mapping[str, str] | None = None) -> "UnresolvedAssetJobDefinition":
    """Return the job that moves the champion back: to the champion before the last promotion, unless its run is configured otherwise."""
    return asset_job(
        dataset,
        name=rollback_job_name(dataset.name),
        assets=[CHAMPION_MODEL],
        description=f"Make the champion of {dataset.name} before the last promotion the champion again, or an earlier model: `rollback_to` in the config.",
        lock=LockKind.RETRAIN,
        tags=tags,
        config={op_name(dataset.name, CHAMPION_MODEL): {"config": {"rollback_to": "previous"}}},
    )
