"""`unwatched_jobs` tells of SageMaker jobs that go on although no run watches them: after a worker was killed, they are billed for nothing until a
run finds them again."""

from collections.abc import Sequence

import dagster as dg

from resources.errors import StepFailed
from resources.ports.alerts import Alerts
from resources.ports.runner import Runner, RunningStep

_UNFINISHED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


def unwatched_jobs_sensor() -> dg.SensorDefinition:
    """Return the sensor. Its cursor holds the names that were reported already. It stops nothing: the next run of the dataset takes a job over."""

    @dg.sensor(
        name="unwatched_jobs",
        minimum_interval_seconds=600,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Sends an alert for each running job of this stack whose dataset has no run under way.",
    )
    def sensor(context: dg.SensorEvaluationContext, runner: Runner, alerts: Alerts) -> dg.SkipReason:
        try:
            running = runner.running()
        except StepFailed as error:
            return dg.SkipReason(f"The running jobs cannot be listed. {error}")
        unwatched = find_unwatched(context.instance, running)
        reported = (context.cursor or "").split()
        for job in unwatched:
            if job.name not in reported:
                for reason in alerts.send(describe_unwatched(job)):
                    context.log.warning(f"An alert was not delivered. {reason}")
        context.update_cursor(" ".join(job.name for job in unwatched))
        if not unwatched:
            return dg.SkipReason(f"{len(running)} jobs run, and a run is under way for each of their datasets.")
        return dg.SkipReason("\n".join(describe_unwatched(job) for job in unwatched))

    return sensor


def find_unwatched(instance: dg.DagsterInstance, running: Sequence[RunningStep]) -> list[RunningStep]:
    """Return the jobs whose dataset has no unfinished run. A run that waits its turn counts: it will take the job over."""
    watched = {
        name
        for name in {job.dataset for job in running}
        if instance.get_runs(dg.RunsFilter(tags={"dataset": name}, statuses=list(_UNFINISHED)), limit=1)
    }
    return [job for job in running if job.dataset not in watched]


def describe_unwatched(job: RunningStep) -> str:
    """Return the line for a job that nobody watches, and what to do."""
    return (
        f"{job.dataset}: job {job.name} has run since {job.since} and no run watches it; the next run of the dataset takes it over, "
        f"or stop it: {job.link}"
    )
