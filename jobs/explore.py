"""`<dataset>_explore`: what landed, on one page, before anything is trained."""

from typing import TYPE_CHECKING

import dagster as dg

from churn_model.spec.dataset import Dataset
from jobs.run_config import IN_PLAIN_LINES
from resources.catalog.names import EXPLORATION_REPORT, RAW_CUSTOMERS, asset_key, explore_job_name
from resources.ports.run_locks import LOCK_TAG, LockKind, lock_name

if TYPE_CHECKING:
    # Dagster exports the function that makes it, not its name.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def explore_job(dataset: Dataset) -> "UnresolvedAssetJobDefinition":
    """The job that makes the exploration page, and ingests first what has landed."""
    return dg.define_asset_job(
        explore_job_name(dataset.name),
        selection=dg.AssetSelection.assets(
            asset_key(dataset.name, RAW_CUSTOMERS), asset_key(dataset.name, EXPLORATION_REPORT)
        ),
        description=f"Ingest what landed for {dataset.name} and show it on one page: classes, columns, what repeats. Nothing is trained.",
        tags={"dataset": dataset.name, LOCK_TAG: lock_name(dataset.name, LockKind.EXPLORE)},
        config=IN_PLAIN_LINES,
    )
