"""Which batches are old is asked by each scored batch, so that it looks at a bounded number of records."""

import os
from datetime import UTC, datetime, timedelta

from churn_model.spec.dataset import Dataset
from resources.catalog.names import batch_key
from resources.catalog.old_batches import recent_batches
from resources.catalog.pointers import BatchRecord, Current, point_to
from resources.local.lake import LocalLake

HERE = Current("v", "p/")


def test_of_many_recent_batches_those_are_read_that_were_written_last(lake: LocalLake, dataset: Dataset) -> None:
    now = datetime.now(UTC)
    for hours, name in enumerate(("newest", "newer", "older", "oldest")):
        at = now - timedelta(hours=hours)
        point_to(lake, batch_key("telco", name), BatchRecord(name, "f", "l", at.isoformat(), HERE, HERE, HERE))
        os.utime(lake.uri(batch_key("telco", name)), (at.timestamp(), at.timestamp()))
    found = [record.batch for record in recent_batches(lake, dataset, now - timedelta(days=1), most=2)]
    assert found == ["newest", "newer"]
