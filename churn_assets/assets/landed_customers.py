"""The landed training data: made by users, reported by a sensor and by each ingest, so that *Materialize unsynced* offers what new files made old."""

import dagster as dg

from churn_assets.assets._metadata import DATA_TEAM
from churn_model.spec.dataset import Dataset
from resources.catalog.names import LANDED_CUSTOMERS, asset_key, train_prefix


def landed_customers(dataset: Dataset) -> dg.AssetSpec:
    """Return the external asset of what landed for training, or of the user's own table."""
    place = dataset.source.table or train_prefix(dataset.name)
    return dg.AssetSpec(
        asset_key(dataset.name, LANDED_CUSTOMERS),
        group_name=dataset.name,
        owners=DATA_TEAM,
        description=f"What there is in {place} to learn from. Its data version is that of the content.",
    )
