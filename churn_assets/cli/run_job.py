"""Run a Dagster job in this process, and explain why it failed."""

from collections.abc import Mapping
from typing import TYPE_CHECKING
from uuid import uuid4

from rich.console import Console

from churn_assets.console.safe_text import say
from churn_model.spec.dataset import Dataset
from resources.settings import Settings

if TYPE_CHECKING:
    import dagster as dg


def run_job(
    settings: Settings,
    console: Console,
    dataset: Dataset,
    job: str,
    *,
    partition: tuple[str, str] | None = None,
    ops: Mapping[str, object] | None = None,
    tags: Mapping[str, str] | None = None,
) -> "dg.ExecuteInProcessResult | None":
    """Run a dataset's job, for a partition if one is given as (partitions, key). Return its result, or None if it failed; the reasons are printed."""
    from churn_assets.cli.workspace import keep_event_log_open, open_instance
    from churn_assets.definitions import build_definitions
    from resources.specs.loader import Specs
    from resources.wiring import wire

    with open_instance(settings) as instance:
        definition = build_definitions(Specs({dataset.name: dataset}, {}), settings).resolve_job_def(job)
        if partition is not None:
            instance.add_dynamic_partitions(partition[0], [partition[1]])
        console.print(f"Running {job} ...", highlight=False)
        run_id = str(uuid4())
        with keep_event_log_open(instance, run_id):
            result = definition.execute_in_process(
                instance=instance,
                run_id=run_id,
                tags={**wire(settings).run_locks.run_tags(run_id), **(tags or {})},
                partition_key=partition[1] if partition else None,
                run_config={"loggers": {"progress": {}}, "ops": dict(ops or {})},
                raise_on_error=False,
            )
        if _was_interrupted(result):
            raise KeyboardInterrupt
        for reason in _failure_reasons(result):
            say(console, f"\n{reason}")
        return result if result.success else None


def _was_interrupted(result: "dg.ExecuteInProcessResult") -> bool:
    """Return whether Ctrl-C or SIGTERM ended the run, which Dagster turns into a failure."""
    from dagster import DagsterEventType, DagsterExecutionInterruptedError

    failures = [event.step_failure_data.error for event in result.get_step_failure_events()]
    failures += [
        event.job_failure_data.error
        for event in result.all_events
        if event.event_type is DagsterEventType.PIPELINE_FAILURE
    ]
    return any(error and error.cls_name == DagsterExecutionInterruptedError.__name__ for error in failures)


def _failure_reasons(result: "dg.ExecuteInProcessResult") -> list[str]:
    """Return why a run failed: the blocking checks, or else the failed steps, or else the failure of the run itself."""
    from churn_assets.console.progress import describe_failure, explain

    failed_checks = [
        f"{check.asset_key.path[-1]}: {check.check_name} does not hold: {check.description}"
        for check in result.get_asset_check_evaluations()
        if not check.passed and check.severity.value == "ERROR"
    ]
    failed_steps = [describe_failure(event) for event in result.get_step_failure_events()]
    if failed_checks or failed_steps or result.success:
        return failed_checks or failed_steps
    return [
        explain(event.job_failure_data.error)
        or f"The run failed before its first asset:\n{event.message}\n{event.job_failure_data.error}"
        for event in result.all_events
        if event.event_type_value == "PIPELINE_FAILURE"
    ]
