"""What predictions say of the list that hangs on them."""

import pytest

from churn_assets.assets.batch_predictions import _compare_list
from churn_model.spec.dataset import Dataset
from resources.catalog.names import BATCH_PREDICTIONS, RETENTION_LIST, current_key
from resources.catalog.pointers import BatchRecord, Current, point_to
from resources.local.lake import LocalLake
from resources.ports.lake import MANIFEST, Manifest

MODEL = Current("m1", "telco/tuned_model/m1/")
RECORD = BatchRecord(
    "monday", "f", "l", "2026-01-01T00:00:00+00:00", Current("r1", "telco/raw_batch/monday/r1/"), MODEL
)
PREFIX = "telco/retention_list/monday/l1/"


def test_a_list_is_of_these_predictions_or_it_is_said_what_to_materialize(lake: LocalLake, dataset: Dataset) -> None:
    assert _compare_list(lake, dataset, RECORD, "p1") == "none yet: materialize retention_list"
    lake.put(PREFIX + "list/list.csv", b"id\n")
    lake.publish(PREFIX, Manifest("l1", {}, {BATCH_PREDICTIONS: "p1"}))
    point_to(lake, current_key("telco", RETENTION_LIST, "monday"), Current("l1", PREFIX))
    assert _compare_list(lake, dataset, RECORD, "p1") == "made of these predictions"
    assert _compare_list(lake, dataset, RECORD, "p2") == "made of earlier predictions: materialize retention_list"


@pytest.mark.parametrize("key", [PREFIX + MANIFEST, current_key("telco", RETENTION_LIST, "monday")])
def test_a_damaged_list_does_not_stop_the_predictions(lake: LocalLake, dataset: Dataset, key: str) -> None:
    lake.put(PREFIX + "list/list.csv", b"id\n")
    lake.publish(PREFIX, Manifest("l1", {}, {BATCH_PREDICTIONS: "p1"}))
    point_to(lake, current_key("telco", RETENTION_LIST, "monday"), Current("l1", PREFIX))
    lake.put(key, b"")
    assert _compare_list(lake, dataset, RECORD, "p1") == "damaged: materialize retention_list"
