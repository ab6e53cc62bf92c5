"""`broken_specs` fails the check of each spec that cannot be used, so that it is red in the UI and reaches the alerts without anyone running it."""

from collections.abc import Mapping

import dagster as dg

from resources.catalog.digests import digest_of_parts
from resources.catalog.names import SPEC_IS_VALID


def broken_specs_sensor(problems: Mapping[dg.AssetKey, str]) -> dg.SensorDefinition:
    """Return the sensor. `problems` holds what is wrong by the asset that stands for the spec; it reports them once after each change."""
    state = digest_of_parts(f"{key}={text}" for key, text in problems.items())

    @dg.sensor(
        name="broken_specs",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Fails the check spec_is_valid of each spec that cannot be used.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        if context.cursor == state:
            said = f"Specs that cannot be used: {len(problems)}. Their checks have failed already."
            return dg.SkipReason(said if problems else "Every spec can be used.")
        failed = [
            dg.AssetCheckEvaluation(key, SPEC_IS_VALID, passed=False, metadata={}, description=text)
            for key, text in problems.items()
        ]
        return dg.SensorResult(asset_events=failed, cursor=state)

    return sensor
