"""Whom two models decide otherwise, and the money at stake: counted block by block, and the same however the table is cut."""

import datetime

import numpy as np
import pyarrow as pa
import pytest

from churn_model.arrays import FloatArray
from churn_model.decisions.policy import Policy
from churn_model.evaluation import shadow
from churn_model.evaluation.shadow import FIRST, SECOND, Judged, ShadowCounter
from churn_model.spec.sections.costs import Costs

POLICY = Policy(Costs(false_negative=500, false_positive=100, true_positive=100, true_negative=0))  # cutoff 0.2
DAY = datetime.date(2026, 3, 1)


def rows_of(ids: list[str]) -> pa.RecordBatch:
    return pa.record_batch({"_id": ids, "_as_of": pa.array([DAY] * len(ids))})


def judged(p: FloatArray) -> Judged:
    return Judged(probability=p, decisions=POLICY.decide(p))


def count(ids: list[str], first: list[float], second: list[float], *, blocks: int = 1) -> ShadowCounter:
    table, one, other = rows_of(ids), np.array(first), np.array(second)
    counter = ShadowCounter(table.schema)
    for part in np.array_split(np.arange(len(ids)), blocks):
        block = table.slice(int(part[0]) if len(part) else 0, len(part))
        counter.add(block, judged(one[part]), judged(other[part]))
    return counter


@pytest.mark.parametrize("blocks", [1, 2, 5])
def test_rows_customers_and_money_are_counted_however_the_table_is_cut(blocks: int) -> None:
    counter = count(["a", "b", "b", "c", "d"], [0.9, 0.3, 0.3, 0.1, 0.1], [0.9, 0.1, 0.1, 0.6, 0.1], blocks=blocks)
    found = counter.counts()
    assert (found.rows, found.both, found.only_first, found.only_second, found.neither) == (5, 1, 2, 1, 1)
    assert (found.customers, found.customers_otherwise) == (4, 2)
    # A contact of a row saves 500 p - 100.
    assert counter.only[FIRST].by_first == pytest.approx(2 * 50)
    assert counter.only[FIRST].by_second == pytest.approx(2 * -50)
    assert counter.only[SECOND].by_first == pytest.approx(-50)
    assert counter.only[SECOND].by_second == pytest.approx(200)


def test_the_rows_with_the_most_money_between_the_models_come_first_and_no_more_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shadow, "MOST_DIFFERENCES", 2)
    largest = count(["a", "b", "c"], [0.3, 0.9, 0.1], [0.1, 0.1, 0.4], blocks=3).largest()
    assert largest["id"].to_pylist() == ["b", "c"]
    assert largest["contacted_by"].to_pylist() == [FIRST, SECOND]
    assert largest["as_of"].to_pylist() == [DAY, DAY]
    assert largest["expected_saving_a"].to_pylist() == pytest.approx([350, -50])
    assert largest["expected_saving_b"].to_pylist() == pytest.approx([-50, 100])


@pytest.mark.parametrize("ids", [[], ["a", "b"]])
def test_models_that_agree_leave_an_empty_table(ids: list[str]) -> None:
    counter = count(ids, [0.3] * len(ids), [0.4] * len(ids))
    assert counter.counts().both == len(ids)
    assert counter.largest().num_rows == 0
