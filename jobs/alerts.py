"""The sensors that raise alerts: `failed_runs` and `failed_checks`. A failed check does not fail its run, so it has a sensor of its own."""

import time
from collections.abc import Sequence

import dagster as dg

from resources.catalog.names import CHAMPION_MODEL
from resources.catalog.old_batches import UP_TO_DATE
from resources.ports.alerts import Alerts

_MOST_A_TICK = 100
_SECONDS_A_TICK = 20  # a destination may hang for as long as the sensor's whole time; the next tick goes on


def describe_failed_run(run: dg.DagsterRun) -> str:
    """Return the line for a failed run: dataset, batch, job and run. The reason may hold values from data: it stays in Dagster."""
    dataset = run.tags.get("dataset") or ", ".join(sorted({key.path[0] for key in run.asset_selection or ()})) or "?"
    return f"{dataset}{_batch(run)}: run {run.run_id} of {run.job_name} failed"


def describe_failed_check(evaluation: dg.AssetCheckEvaluation, run: dg.DagsterRun | None) -> str:
    """Return the line for a failed check: dataset, batch, asset, check, severity and run."""
    dataset, *asset = evaluation.asset_key.path
    where = f", run {run.run_id}" if run else ""
    batch = _batch(run) if run else ""
    return f"{dataset}{batch}: check {evaluation.check_name} of {'/'.join(asset)} failed ({evaluation.severity.value}{where})"


def _batch(run: dg.DagsterRun) -> str:
    batch = run.tags.get("dagster/partition") or run.tags.get("batch")
    return f" batch {batch}" if batch else ""


def failed_runs_sensor() -> dg.SensorDefinition:
    """Return the sensor that sends a line for each failed run that the UI, a schedule or a sensor of this code location started.

    A run that `churn` started is reported by the command itself.
    """

    @dg.run_failure_sensor(
        name="failed_runs",
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Sends an alert for each failed run.",
    )
    def sensor(context: dg.RunFailureSensorContext, alerts: Alerts) -> None:
        for reason in alerts.send(describe_failed_run(context.dagster_run)):
            context.log.warning(f"An alert was not delivered. {reason}")

    return sensor


def failed_checks_sensor(checks: frozenset[dg.AssetCheckKey]) -> dg.SensorDefinition:
    """Return the sensor that sends a line for each failed evaluation of these checks.

    Those of `champion_model` are left out: they are what the gate weighs, and a kept champion is a success. So are batches that a promotion
    made old. The cursor is the time, in seconds
    since 1970, up to which evaluations were read. Events of all runs have no common order in SQLite, so the history of each check is read.
    """
    watched = [
        key
        for key in sorted(checks, key=str)
        if key.asset_key.path[-1] != CHAMPION_MODEL and key.name != UP_TO_DATE.name
    ]

    @dg.sensor(
        name="failed_checks",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Sends an alert for each failed check, except those that the gate weighs and those that batches are old.",
    )
    def sensor(context: dg.SensorEvaluationContext, alerts: Alerts) -> dg.SkipReason:
        end, ends_at = time.monotonic() + _SECONDS_A_TICK, time.time()
        since, sent = float(context.cursor or ends_at), 0
        for event, evaluation in _read_failures(context.instance, watched, since, ends_at):
            if time.monotonic() > end:
                break
            run = context.instance.get_run_by_id(event.run_id)
            for reason in alerts.send(describe_failed_check(evaluation, run)):
                context.log.warning(f"An alert was not delivered. {reason}")
            sent += 1
            context.update_cursor(repr(event.timestamp))
        else:
            context.update_cursor(repr(ends_at))
        return dg.SkipReason(f"Alerts sent: {sent}.")

    return sensor


def _read_failures(
    instance: dg.DagsterInstance, checks: Sequence[dg.AssetCheckKey], since: float, until: float
) -> list[tuple[dg.EventLogEntry, dg.AssetCheckEvaluation]]:
    """Return the failed evaluations after `since` and up to `until`, oldest first; at most _MOST_A_TICK of each check."""
    storage, found = instance.event_log_storage, []
    for key, latest in storage.get_latest_asset_check_execution_by_key(checks).items():
        if latest.event and _evaluation(latest.event) and latest.event.timestamp <= since:
            continue
        for record in storage.get_asset_check_execution_history(key, limit=_MOST_A_TICK):
            event = record.event
            evaluation = _evaluation(event)
            if event and evaluation and not evaluation.passed and since < event.timestamp <= until:
                found.append((event, evaluation))
    return sorted(found, key=lambda each: each[0].timestamp)


def _evaluation(event: dg.EventLogEntry | None) -> dg.AssetCheckEvaluation | None:
    """Return what a check's execution found, or None before its end: then its event is that it was planned."""
    dagster_event = event.dagster_event if event else None
    if dagster_event is None or dagster_event.event_type is not dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        return None
    return dagster_event.asset_check_evaluation_data
