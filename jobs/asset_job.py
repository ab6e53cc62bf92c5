"""What all jobs have in common: a lock that their runs take turns by, tags, and how a run reports itself in a terminal."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from churn_model.spec.dataset import Dataset
from jobs.run_config import IN_PLAIN_LINES
from resources.catalog.names import asset_key
from resources.ports.run_locks import LOCK_TAG, LockKind, lock_name

if TYPE_CHECKING:
    # Dagster exports the function that makes it, not its name.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def asset_job(
    dataset: Dataset,
    *,
    name: str,
    assets: Sequence[str],
    description: str,
    lock: LockKind,
    tags: Mapping[str, str] | None = None,
    config: Mapping[str, Any] | None = None,
) -> "UnresolvedAssetJobDefinition":
    """Return a job over assets of a dataset.

    tags    of the installation, beside those of the dataset and the lock
    config  for the assets' ops, by op name: what a run gets whose launcher configures nothing
    """
    return dg.define_asset_job(
        name,
        selection=dg.AssetSelection.assets(*(asset_key(dataset.name, asset) for asset in assets)),
        description=description,
        tags={"dataset": dataset.name, LOCK_TAG: lock_name(dataset.name, lock), **(tags or {})},
        config={**IN_PLAIN_LINES, **({"ops": dict(config)} if config else {})},
    )
