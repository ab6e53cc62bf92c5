"""What the asset of the champion says of the model registry, which mirrors it."""

import dagster as dg

from churn_model.checks import Check, Claim
from churn_model.errors import ChurnError
from churn_model.spec.dataset import Dataset
from resources.ports.registry import Registry

IN_REGISTRY = Claim(
    "registry_shows_the_decision",
    description="The model registry shows what was decided. It is a mirror: which model scores does not depend on it.",
    blocking=False,
)


def mirror_decisions(registry: Registry, dataset: Dataset) -> Check:
    """Bring the registry up to the history of decisions. That it cannot be reached undoes nothing, and is seen."""
    found = "that it does, or that there is no registry beside the lake"
    try:
        registry.mirror(dataset.name)
    except ChurnError as error:
        found = str(error)
        dg.get_dagster_logger().warning(f"The model registry does not show the last decision. {error}")
        holds = False
    else:
        holds = True
    return IN_REGISTRY.check(
        holds,
        expected="the model registry to show what was decided",
        found=found,
        todo="nothing: what was decided counts, and the next run shows it",
    )
