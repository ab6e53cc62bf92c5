"""`<dataset>_compare`: two model versions on the same test rows. Nothing is promoted."""

from typing import TYPE_CHECKING

import dagster as dg

from churn_model.spec.dataset import Dataset
from jobs.run_config import IN_PLAIN_LINES
from resources.catalog.names import MODEL_COMPARISON, asset_key, compare_job_name
from resources.ports.run_locks import LOCK_TAG, LockKind, lock_name

if TYPE_CHECKING:
    # Dagster exports the function that makes it, not its name.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def compare_job(dataset: Dataset) -> "UnresolvedAssetJobDefinition":
    """The job that compares two models."""
    return dg.define_asset_job(
        compare_job_name(dataset.name),
        selection=dg.AssetSelection.assets(asset_key(dataset.name, MODEL_COMPARISON)),
        description=f"Two model versions of {dataset.name} on the same test rows, at today's costs. Nothing is promoted.",
        tags={"dataset": dataset.name, LOCK_TAG: lock_name(dataset.name, LockKind.COMPARE)},
        config=IN_PLAIN_LINES,
    )
