"""`<dataset>_compare`: two model versions on the same test rows. Nothing is promoted."""

from typing import TYPE_CHECKING

import dagster as dg

from churn_model.spec.dataset import Dataset
from jobs.run_config import IN_PLAIN_LINES

if TYPE_CHECKING:
    # Dagster exports the function that makes it, not its name.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def compare_job(dataset: Dataset) -> "UnresolvedAssetJobDefinition":
    """The job that compares two models."""
    return dg.define_asset_job(
        f"{dataset.name}_compare",
        selection=dg.AssetSelection.assets([dataset.name, "model_comparison"]),
        description=f"Two model versions of {dataset.name} on the same test rows, at today's costs. Nothing is promoted.",
        tags={"dataset": dataset.name},
        config=IN_PLAIN_LINES,
    )
