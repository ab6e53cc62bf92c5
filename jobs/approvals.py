"""`<dataset>_approvals` looks whether a person has approved the candidate that waits, and has it promoted."""

from typing import TYPE_CHECKING

import dagster as dg

from churn_model.spec.dataset import Dataset
from jobs.batches import MOST_REPEATS
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


_TAG = "churn/approved"
"""The tag of a run that promotes an approved candidate: its version and evaluation."""


def approvals_sensor(dataset: Dataset, job: "UnresolvedAssetJobDefinition") -> dg.SensorDefinition:
    """Return the sensor of a dataset whose gate asks a person. It asks for a run for a candidate that was approved, and for a few more if that
    run ends and the candidate still waits."""

    @dg.sensor(
        name=approvals_sensor_name(dataset.name),
        job=job,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Starts {promote_job_name(dataset.name)} once the candidate that waits is approved in the model registry.",
    )
    def sensor(context: dg.SensorEvaluationContext, lake: Lake, registry: Registry) -> dg.RunRequest | dg.SkipReason:
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
        key = f"{waiting.version}:{waiting.evaluation}"
        runs = context.instance.get_runs(dg.RunsFilter(job_name=promote_job_name(dataset.name), tags={_TAG: key}))
        if len(runs) > MOST_REPEATS or any(not run.is_finished for run in runs):
            return dg.SkipReason(
                f"Candidate {waiting.version} is approved, and {len(runs)} runs were started to promote it."
            )
        return dg.RunRequest(
            run_key=f"{key}:{len(runs)}",  # a run that was killed is followed by another
            run_config={**IN_PLAIN_LINES, "ops": promotion_of(dataset, waiting.version)},
            tags={"dataset": dataset.name, _TAG: key},
        )

    return sensor
