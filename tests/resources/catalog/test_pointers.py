from dataclasses import replace

import pytest

from resources.catalog.names import batch_key
from resources.catalog.pointers import BatchRecord, Current, point_to, read_batch, record_batch
from resources.local.lake import LocalLake

ROWS, MODEL, LIST = (Current(name, f"{name}/") for name in ("rows", "model", "list"))
DONE = BatchRecord("b", "content", "listing", "2026-01-01T00:00:00+00:00", ROWS, MODEL, LIST)
LATER = "2026-02-02T00:00:00+00:00"


@pytest.mark.parametrize(
    ("again", "expected"),
    [
        pytest.param(replace(DONE, landed_at=LATER, list=None), DONE, id="the same again: nothing changes"),
        pytest.param(
            replace(DONE, listing="touched", landed_at=LATER, list=None),
            replace(DONE, listing="touched", list=None),
            id="touched: the time stays, the list is to be looked at",
        ),
        pytest.param(
            replace(DONE, champion=ROWS, landed_at=LATER, list=None),
            replace(DONE, champion=ROWS, list=None),
            id="another champion: the time stays, a list is to be made",
        ),
        pytest.param(
            replace(DONE, fingerprint="other", landed_at=LATER, list=None),
            replace(DONE, fingerprint="other", landed_at=LATER, list=None),
            id="other content: all anew",
        ),
    ],
)
def test_taking_a_batch_up_again(lake: LocalLake, again: BatchRecord, expected: BatchRecord) -> None:
    point_to(lake, batch_key("telco", "b"), DONE)
    record_batch(lake, "telco", again)
    assert read_batch(lake, "telco", "b") == expected


def test_a_record_from_before_lists_were_noted_is_a_batch_to_be_done(lake: LocalLake) -> None:
    old = (
        b'{"batch": "b", "fingerprint": "f", "listing": "l", "landed_at": "2026-01-01T00:00:00+00:00", '
        b'"rows": {"version": "r", "prefix": "r/"}, "champion": {"version": "m", "prefix": "m/"}}'
    )
    lake.swap(batch_key("telco", "b"), None, old)
    record = read_batch(lake, "telco", "b")
    assert record is not None
    assert record.list is None
