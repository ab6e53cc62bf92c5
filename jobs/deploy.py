"""`<dataset>_deploy` and `<dataset>_undeploy`: the champion's endpoint, made or changed, and deleted."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from churn_model.spec.dataset import Dataset
from jobs.asset_job import asset_job
from resources.catalog.names import ENDPOINT, deploy_job_name, op_name, undeploy_job_name
from resources.ports.endpoint import Candidate
from resources.ports.run_locks import LockKind

if TYPE_CHECKING:
    # Dagster exports the function that makes it, not its name.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def deploy_job(dataset: Dataset, tags: Mapping[str, str] | None = None) -> "UnresolvedAssetJobDefinition":
    """Return the job that makes the endpoint serve the champion."""
    return asset_job(
        dataset,
        name=deploy_job_name(dataset.name),
        assets=[ENDPOINT],
        description=f"Make the endpoint of {dataset.name} serve the champion at today's costs. Nothing is done where it does.",
        lock=LockKind.ENDPOINT,
        tags=tags,
    )


def undeploy_job(dataset: Dataset, tags: Mapping[str, str] | None = None) -> "UnresolvedAssetJobDefinition":
    """Return the job that deletes the endpoint, unless its run is configured otherwise."""
    return asset_job(
        dataset,
        name=undeploy_job_name(dataset.name),
        assets=[ENDPOINT],
        description=f"Delete the endpoint of {dataset.name} with all that was made for it.",
        lock=LockKind.ENDPOINT,
        tags=tags,
        config=deletion_of(dataset),
    )


def deployment_of(dataset: Dataset, candidate: Candidate | None) -> dict[str, Any]:
    """Return the configuration of the ops of a run that deploys the champion, with a candidate beside it if there is one."""
    if candidate is None:
        return {}
    asked = {"name": candidate.name, "version": candidate.model, "share": candidate.share, "shadow": candidate.shadow}
    return {op_name(dataset.name, ENDPOINT): {"config": {"candidate": asked}}}


def deletion_of(dataset: Dataset, unchanged_since: float | None = None) -> dict[str, Any]:
    """Return the configuration of the ops of a run that deletes the endpoint. `unchanged_since`: unless it was changed since then."""
    only = {} if unchanged_since is None else {"unchanged_since": unchanged_since}
    return {op_name(dataset.name, ENDPOINT): {"config": {"delete": True, **only}}}
