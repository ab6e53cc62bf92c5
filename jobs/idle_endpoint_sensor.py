"""`<dataset>_idle_endpoint` says when nobody has asked an endpoint for `endpoint.idle.after`, and by setting has it deleted."""

import time
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg

from churn_model.spec.dataset import Dataset
from churn_model.spec.durations import seconds
from churn_model.spec.sections.endpoint import Endpoint as Section
from jobs.batches import MOST_REPEATS
from jobs.deploy import deletion_of
from jobs.run_config import IN_PLAIN_LINES
from resources.catalog.names import idle_endpoint_sensor_name, undeploy_job_name
from resources.errors import EndpointError
from resources.ports.alerts import Alerts
from resources.ports.endpoint import IN_SERVICE, Endpoint, Served

if TYPE_CHECKING:
    # Dagster exports the function that makes it, not its name.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


_TAG = "churn/idle-endpoint"
"""The tag of a run that deletes an endpoint that nobody asks: the deployment."""


def idle_endpoint_sensor(dataset: Dataset, job: "UnresolvedAssetJobDefinition") -> dg.SensorDefinition:
    """Return the sensor. Its cursor names the deployment that was reported, so that it is reported once, and again after somebody has asked it."""
    idle = (dataset.endpoint or Section()).idle

    @dg.sensor(
        name=idle_endpoint_sensor_name(dataset.name),
        job=job,
        minimum_interval_seconds=1800,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Sends an alert once nobody has asked the endpoint for {idle.after}"
        + (f", and starts {undeploy_job_name(dataset.name)}." if idle.delete else "."),
    )
    def sensor(
        context: dg.SensorEvaluationContext, endpoint: Endpoint, alerts: Alerts
    ) -> dg.RunRequest | dg.SkipReason:
        try:
            served = endpoint.find(dataset.name)
            why = describe_use(endpoint, dataset, served)
        except EndpointError as error:
            return dg.SkipReason(f"The endpoint cannot be asked. {error}")
        if served is None or why:
            context.update_cursor("")
            return dg.SkipReason(why)
        state = f"{served.name}:{served.version}:{served.since:.0f}"
        if context.cursor != state:
            for reason in alerts.send(describe_idle(dataset, served)):
                context.log.warning(f"An alert was not delivered. {reason}")
            context.update_cursor(state)
        if not idle.delete:
            return dg.SkipReason(describe_idle(dataset, served))
        runs = context.instance.get_runs(dg.RunsFilter(job_name=undeploy_job_name(dataset.name), tags={_TAG: state}))
        if len(runs) > MOST_REPEATS or any(not run.is_finished for run in runs):
            return dg.SkipReason(f"Nobody asks the endpoint, and {len(runs)} runs were started to delete it.")
        return dg.RunRequest(
            run_key=f"{state}:{len(runs)}",  # a run that failed is followed by another
            run_config={**IN_PLAIN_LINES, "ops": deletion_of(dataset, served.since)},
            tags={"dataset": dataset.name, _TAG: state},
        )

    return sensor


def describe_use(endpoint: Endpoint, dataset: Dataset, served: Served | None) -> str:
    """Return why an endpoint does not count as idle, "" if it does. One that was changed lately has had no time to be asked."""
    if served is None:
        return f"There is no endpoint of {dataset.name}."
    if served.status != IN_SERVICE:
        return f"The endpoint {served.name} is {served.status}."
    within = timedelta(seconds=seconds((dataset.endpoint or Section()).idle.after))
    age = time.time() - served.since
    if age < within.total_seconds():
        return f"The endpoint {served.name} was changed {age / 3600:.1f} hours ago."
    count = endpoint.count_requests(dataset.name, within)
    return f"The endpoint {served.name} was asked {count:,.0f} times within its last {within}." if count else ""


def describe_idle(dataset: Dataset, served: Served) -> str:
    """Return the line for an endpoint that nobody asks, and what becomes of it."""
    idle = (dataset.endpoint or Section()).idle
    todo = "it is deleted now" if idle.delete else f"`churn endpoint {dataset.name} delete` removes it"
    return f"{dataset.name}: nobody has asked the endpoint {served.name} for {idle.after}; {todo}"
