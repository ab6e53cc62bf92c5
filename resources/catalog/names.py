"""The names of assets, jobs and partitions, each defined once."""

import dagster as dg

from churn_model.spec.dataset import Dataset


def batch_partitions(dataset: Dataset) -> dg.DynamicPartitionsDefinition:
    """Return the landed batches of a dataset as partitions."""
    return dg.DynamicPartitionsDefinition(name=f"{dataset.name}_batches")
