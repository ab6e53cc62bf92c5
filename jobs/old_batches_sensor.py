"""`<dataset>_old_batches` says which scored batches are old: a promotion, new costs or new code show without anyone running anything.

It answers a check of `retention_list`, since Dagster's own *Unsynced* does not look at partitions. It starts no run: whether a list that somebody may
have used is made again is a person's decision.
"""

import dagster as dg

from churn_model.spec.dataset import Dataset
from resources.catalog.digests import digest_of_parts
from resources.catalog.names import RETENTION_LIST, asset_key, old_batches_sensor_name
from resources.catalog.old_batches import UP_TO_DATE, check_batches
from resources.ports.lake import Lake
from resources.ports.runner import Runner


def old_batches_sensor(dataset: Dataset) -> dg.SensorDefinition:
    """Return the sensor. It reports the check once after each change of the answer and after each list: Dagster shows no answer given before it.

    Its cursor holds what was reported.
    """
    key = asset_key(dataset.name, RETENTION_LIST)

    @dg.sensor(
        name=old_batches_sensor_name(dataset.name),
        minimum_interval_seconds=120,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Says which batches of the last {dataset.watch.recent} today's champion, costs, spec or code would score otherwise.",
    )
    def sensor(context: dg.SensorEvaluationContext, lake: Lake, runner: Runner) -> dg.SensorResult | dg.SkipReason:
        check = check_batches(lake, runner.libraries, dataset)
        last = context.instance.get_latest_materialization_event(key)
        state = digest_of_parts([check.found, repr(last.timestamp) if last else ""])
        if context.cursor == state or (check.passed and context.cursor is None):
            return dg.SkipReason(f"As said before: {check.found}.")
        evaluation = dg.AssetCheckEvaluation(
            key,
            UP_TO_DATE.name,
            passed=check.passed,
            metadata={
                "expected": check.expected,
                "found": check.found,
                "to do": "nothing" if check.passed else check.todo,
            },
            severity=dg.AssetCheckSeverity.WARN,
            description=check.found,
        )
        return dg.SensorResult(asset_events=[evaluation], cursor=state)

    return sensor
