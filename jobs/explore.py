"""`<dataset>_explore`: what landed, on one page, before anything is trained."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from churn_model.spec.dataset import Dataset
from jobs.asset_job import asset_job
from resources.catalog.names import EXPLORATION_REPORT, RAW_CUSTOMERS, explore_job_name
from resources.ports.run_locks import LockKind

if TYPE_CHECKING:
    # Dagster exports the function that makes it, not its name.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def explore_job(dataset: Dataset, tags: Mapping[str, str] | None = None) -> "UnresolvedAssetJobDefinition":
    """Return the job that ingests what has landed and makes the exploration page."""
    return asset_job(
        dataset,
        name=explore_job_name(dataset.name),
        assets=[RAW_CUSTOMERS, EXPLORATION_REPORT],
        description=f"Ingest what landed for {dataset.name} and show it on one page: classes, columns, what repeats. Nothing is trained.",
        lock=LockKind.EXPLORE,
        tags=tags,
    )
