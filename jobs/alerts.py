"""The sensors that raise alerts: `failed_runs` and `failed_checks`. A failed check does not fail its run, so it has a sensor of its own."""

import time
from collections.abc import Sequence

import dagster as dg

from resources.catalog.names import CHAMPION_MODEL
from resources.ports.alerts import Alerts

_MOST_A_TICK = 100


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
    """Return the sensor that sends a line for each run of this code location that failed."""

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

    Those of `champion_model` are left out: they are what the gate weighs, and a kept champion is a success. The cursor is the time, in seconds
    since 1970, of the newest evaluation that was read. Events of all runs have no common order in SQLite, so the history of each check is read.
    """
    watched = [key for key in sorted(checks, key=str) if key.asset_key.path[-1] != CHAMPION_MODEL]

    @dg.sensor(
        name="failed_checks",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Sends an alert for each failed check, except those that the gate weighs.",
    )
    def sensor(context: dg.SensorEvaluationContext, alerts: Alerts) -> dg.SkipReason:
        since = float(context.cursor or time.time())
        evaluations = _evaluations_since(context.instance, watched, since)
        failed = [(event, evaluation) for event, evaluation in evaluations if not evaluation.passed]
        for event, evaluation in failed:
            run = context.instance.get_run_by_id(event.run_id)
            for reason in alerts.send(describe_failed_check(evaluation, run)):
                context.log.warning(f"An alert was not delivered. {reason}")
        context.update_cursor(repr(evaluations[-1][0].timestamp if evaluations else since))
        return dg.SkipReason(f"Alerts sent: {len(failed)}.")

    return sensor


def _evaluations_since(
    instance: dg.DagsterInstance, checks: Sequence[dg.AssetCheckKey], since: float
) -> list[tuple[dg.EventLogEntry, dg.AssetCheckEvaluation]]:
    """Return the evaluations after a time, oldest first; at most _MOST_A_TICK of each check."""
    storage, found = instance.event_log_storage, []
    for key in storage.get_latest_asset_check_execution_by_key(checks):
        for record in storage.get_asset_check_execution_history(key, limit=_MOST_A_TICK):
            event = record.event
            evaluation = _evaluation(event)
            if event and evaluation and event.timestamp > since:
                found.append((event, evaluation))
    return sorted(found, key=lambda each: each[0].timestamp)


def _evaluation(event: dg.EventLogEntry | None) -> dg.AssetCheckEvaluation | None:
    """Return what a check's execution found, or None before its end: then its event is that it was planned."""
    dagster_event = event.dagster_event if event else None
    if dagster_event is None or dagster_event.event_type is not dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        return None
    return dagster_event.asset_check_evaluation_data
