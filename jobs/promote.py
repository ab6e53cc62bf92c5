"""`<dataset>_promote`: make the candidate the champion, which a person has approved."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from churn_model.spec.dataset import Dataset
from jobs.asset_job import asset_job
from resources.catalog.names import CHAMPION_MODEL, op_name, promote_job_name
from resources.ports.run_locks import LockKind

if TYPE_CHECKING:
    # Dagster exports the function that makes it, not its name.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def promote_job(dataset: Dataset, tags: Mapping[str, str] | None = None) -> "UnresolvedAssetJobDefinition":
    """Return the job that promotes the present candidate if the gate would, unless its run is configured otherwise."""
    return asset_job(
        dataset,
        name=promote_job_name(dataset.name),
        assets=[CHAMPION_MODEL],
        description=f"Approve the candidate of {dataset.name}: it becomes the champion if the gate would promote it. For `gate: {{promotion: manual}}`.",
        lock=LockKind.RETRAIN,
        tags=tags,
        config=promotion_of(dataset, "candidate"),
    )


def promotion_of(dataset: Dataset, version: str) -> dict[str, Any]:
    """Return the configuration of the ops of a run that promotes a model, which has to be the candidate."""
    return {op_name(dataset.name, CHAMPION_MODEL): {"config": {"promote": version}}}
