"""`<dataset>_score_batch`: one landed batch, from its files to the list of whom to contact. The champion is not in its selection."""

from typing import TYPE_CHECKING

import dagster as dg

from churn_model.spec.dataset import Dataset
from jobs.run_config import IN_PLAIN_LINES
from resources.catalog.names import SCORE_ASSETS, asset_key, score_job_name
from resources.ports.run_locks import LOCK_TAG, LockKind, lock_name

if TYPE_CHECKING:
    # Dagster exports the function that makes it, not its name.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def score_job(dataset: Dataset) -> "UnresolvedAssetJobDefinition":
    """The job that scores one landed batch with the champion."""
    return dg.define_asset_job(
        score_job_name(dataset.name),
        selection=dg.AssetSelection.assets(*(asset_key(dataset.name, asset) for asset in SCORE_ASSETS)),
        description=f"Score one landed batch of {dataset.name}: a probability, a decision and reasons for every row, and whom to contact.",
        tags={"dataset": dataset.name, LOCK_TAG: lock_name(dataset.name, LockKind.SCORE)},
        config=IN_PLAIN_LINES,
    )
