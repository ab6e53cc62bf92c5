"""`<dataset>_score_batch`: one landed batch, from its files to the list of whom to contact. The champion is not in its selection."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from churn_model.spec.dataset import Dataset
from jobs.asset_job import asset_job
from resources.catalog.names import SCORE_ASSETS, score_job_name
from resources.ports.run_locks import LockKind

if TYPE_CHECKING:
    # Dagster exports the function that makes it, not its name.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def score_job(dataset: Dataset, tags: Mapping[str, str] | None = None) -> "UnresolvedAssetJobDefinition":
    """Return the job that scores one landed batch with the champion."""
    return asset_job(
        dataset,
        name=score_job_name(dataset.name),
        assets=SCORE_ASSETS,
        description=f"Score one landed batch of {dataset.name}: a probability, a decision and reasons for every row, and whom to contact.",
        lock=LockKind.SCORE,
        tags=tags,
    )
