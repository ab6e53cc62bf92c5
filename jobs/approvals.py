"""`<dataset>_approvals` looks whether a person has approved the candidate that waits, and has it promoted."""

from typing import TYPE_CHECKING

import dagster as dg

from churn_model.spec.dataset import Dataset
from jobs.promote import promotion_of
from jobs.run_config import IN_PLAIN_LINES
from resources.catalog.decisions import find_waiting
from resources.catalog.names import approvals_sensor_name, promote_job_name
from resources.errors import RegistryError
from resources.ports.lake import Lake
from resources.ports.registry import Approval, Registry

if TYPE_CHECKING:
    # Dagster exports the function that makes it, not its name.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def approvals_sensor(dataset: Dataset, job: "UnresolvedAssetJobDefinition") -> dg.SensorDefinition:
    """Return the sensor of a dataset whose gate asks a person. It asks for one run for each evaluation of a candidate that was approved."""

    @dg.sensor(
        name=approvals_sensor_name(dataset.name),
        job=job,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Starts {promote_job_name(dataset.name)} once the candidate that waits is approved in the model registry.",
    )
    def sensor(lake: Lake, registry: Registry) -> dg.RunRequest | dg.SkipReason:
        waiting = find_waiting(lake, dataset.name)
        if waiting is None:
            return dg.SkipReason(f"No candidate of {dataset.name} waits for approval.")
        try:
            registry.mirror(dataset.name)  # where the run could not: else nobody finds what there is to approve
            approval = registry.find_approval(dataset.name, waiting.version)
        except RegistryError as error:
            return dg.SkipReason(f"The model registry cannot be asked. {error}")
        if approval is not Approval.APPROVED:
            return dg.SkipReason(
                f"Candidate {waiting.version} is {approval}. Approve it in the model registry, or `churn promote {dataset.name}`."
            )
        return dg.RunRequest(
            run_key=f"{waiting.version}:{waiting.evaluation}",
            run_config={**IN_PLAIN_LINES, "ops": promotion_of(dataset, waiting.version)},
            tags={"dataset": dataset.name},
        )

    return sensor
