"""`<dataset>_compare`: two model versions on the same test rows, or on a scored batch. Nothing is promoted."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from churn_model.spec.dataset import Dataset
from jobs.asset_job import asset_job
from resources.catalog.names import MODEL_COMPARISON, compare_job_name
from resources.ports.run_locks import LockKind

if TYPE_CHECKING:
    # Dagster exports the function that makes it, not its name.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def compare_job(dataset: Dataset, tags: Mapping[str, str] | None = None) -> "UnresolvedAssetJobDefinition":
    """Return the job that compares two models."""
    return asset_job(
        dataset,
        name=compare_job_name(dataset.name),
        assets=[MODEL_COMPARISON],
        description=f"Two model versions of {dataset.name} on the same test rows, or on a scored batch, at today's costs. Nothing is promoted.",
        lock=LockKind.COMPARE,
        tags=tags,
    )
