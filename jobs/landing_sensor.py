"""`<dataset>_landed` reports the landed training data, so that Dagster knows what it made old."""

from datetime import UTC, datetime

import dagster as dg

from churn_model.spec.dataset import Dataset
from churn_model.spec.durations import seconds
from resources.catalog.landed_versions import report_landed
from resources.catalog.landing import fingerprints, is_settled, list_landed, listing_of
from resources.catalog.names import LANDED_CUSTOMERS, asset_key, landing_sensor_name, train_prefix
from resources.ports.lake import Lake

_NOTHING = "nothing"  # the cursor of an empty listing: Dagster takes an empty one for none


def landing_sensor(dataset: Dataset) -> dg.SensorDefinition:
    """Return the sensor. It reads contents only if the listing has changed since the last report, which its cursor holds, and has settled.

    It starts no run.
    """
    prefix = train_prefix(dataset.name)

    @dg.sensor(
        name=landing_sensor_name(dataset.name),
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Reports what lands in {prefix}. *Materialize unsynced* then offers what it made old.",
    )
    def sensor(context: dg.SensorEvaluationContext, lake: Lake) -> dg.SensorResult | dg.SkipReason:
        entries = list_landed(lake, prefix)
        listing = listing_of(entries) or _NOTHING
        if listing == (context.cursor or _NOTHING):
            return dg.SkipReason("Nothing has changed since the last report.")
        now, settle = datetime.now(UTC).timestamp(), seconds(dataset.watch.settle)
        if not all(is_settled(entry.modified.timestamp(), now, settle) for entry in entries):
            return dg.SkipReason(f"Waits until nothing has changed for {dataset.watch.settle}.")
        report = report_landed(asset_key(dataset.name, LANDED_CUSTOMERS), fingerprints(lake, entries))
        return dg.SensorResult(asset_events=[report], cursor=listing)

    return sensor
