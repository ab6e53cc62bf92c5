"""`<dataset>_score_batch`: one landed batch, from its files to the list of whom to contact. The champion is not in its selection."""

from typing import TYPE_CHECKING

import dagster as dg

from churn_model.spec.dataset import Dataset
from jobs.run_config import IN_PLAIN_LINES

if TYPE_CHECKING:
    # Dagster exports the function that makes it, not its name.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

SCORE_ASSETS = ("raw_batch", "batch_predictions", "retention_list")


def score_job(dataset: Dataset) -> "UnresolvedAssetJobDefinition":
    """The job that scores one landed batch with the champion."""
    return dg.define_asset_job(
        f"{dataset.name}_score_batch",
        selection=dg.AssetSelection.assets(*([dataset.name, name] for name in SCORE_ASSETS)),
        description=f"Score one landed batch of {dataset.name}: a probability, a decision and reasons for every row, and whom to contact.",
        tags={"dataset": dataset.name},
        config=IN_PLAIN_LINES,
    )
