"""Where the model is weak."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from churn_model.errors import InputError
from churn_model.evaluation.metrics import Scores
from churn_model.evaluation.segments import Segment, weak_segments


def world(seed: int, n: int = 2000) -> tuple[pa.Table, Scores]:
    """Rows whose probabilities are right everywhere."""
    rng = np.random.default_rng(seed)
    p = 1 / (1 + np.exp(-(rng.normal(size=n) - 1)))
    columns: dict[str, Any] = {"_id": pa.array([str(number) for number in range(n)])}
    for number in range(4):
        columns[f"level {number}"] = pa.array(
            np.array(["a", "b", "c", None], dtype=object)[rng.integers(0, 4, n)]
        ).dictionary_encode()
        columns[f"number {number}"] = pa.array(rng.normal(size=n))
    return pa.table(columns), Scores(ids=np.arange(n), y=(rng.random(n) < p).astype(np.int8), p=p)


def weak(found: tuple[Segment, ...]) -> list[tuple[str, str]]:
    return [(segment.column, segment.value) for segment in found if segment.weak]


def test_columns_to_leave_out_make_no_segments() -> None:
    rows, scores = world(0)
    found = {segment.column for segment in weak_segments(rows, scores, without=["Level 0 ", "number 1"], most=100)}
    assert found == {"level 1", "level 2", "level 3", "number 0", "number 2", "number 3"}


def test_a_segment_with_wrong_probabilities_is_found_first() -> None:
    rows, scores = world(0)
    wrong = np.array([value == "b" for value in rows["level 2"].to_pylist()])
    y = np.where(wrong, np.random.default_rng(1).random(len(wrong)) < 0.55, scores.y).astype(np.int8)
    found = weak_segments(rows, Scores(ids=scores.ids, y=y, p=scores.p))
    first = found[0]
    assert (first.column, first.value, first.weak) == ("level 2", "b", True)
    assert first.rows == wrong.sum()
    assert first.observed == pytest.approx(y[wrong].mean())
    assert first.predicted == pytest.approx(scores.p[wrong].mean())
    assert first.log_loss > first.log_loss_promised


def test_an_honest_model_is_called_weak_somewhere_in_at_most_one_world_in_ten() -> None:
    assert sum(bool(weak(weak_segments(*world(seed)))) for seed in range(40)) <= 5


def test_customers_who_are_hard_to_tell_apart_are_not_called_weak() -> None:
    rng = np.random.default_rng(2)
    hard = rng.random(2000) < 0.5
    p = np.where(hard, 0.5, 0.02)
    rows = pa.table({"kind": pa.array(np.where(hard, "hard", "easy")).dictionary_encode()})
    found = weak_segments(rows, Scores(ids=np.arange(2000), y=(rng.random(2000) < p).astype(np.int8), p=p))
    assert max(found, key=lambda segment: segment.log_loss).value == "hard"
    assert weak(found) == []


def test_numbers_are_cut_into_thirds_missing_values_stand_apart_and_small_groups_are_left_out() -> None:
    numbers = [float(number) for number in range(300)] + [None] * 100
    levels = ["big"] * 380 + ["small"] * 20
    rows = pa.table(
        {"age": pa.array(numbers), "size": pa.array(levels).dictionary_encode(), "same": pa.array(["x"] * 400)}
    )
    found = weak_segments(rows, Scores(ids=np.arange(400), y=np.zeros(400, dtype=np.int8), p=np.full(400, 0.1)))
    assert {(segment.column, segment.value, segment.rows) for segment in found} == {
        ("age", "up to 99", 100),
        ("age", "above 99 and up to 199", 100),
        ("age", "above 199", 100),
        ("age", "missing", 100),
        ("size", "big", 380),
    }


def test_rows_of_one_customer_do_not_count_as_so_many_surprises() -> None:
    rng = np.random.default_rng(4)
    left = np.repeat(rng.random(200) < 0.5, 10)
    rows = pa.table({"half": pa.array(np.repeat(np.arange(200) % 2, 10).astype(str)).dictionary_encode()})
    alone = Scores(ids=np.arange(2000), y=left.astype(np.int8), p=np.full(2000, 0.43))
    together = Scores(ids=np.repeat(np.arange(200), 10), y=left.astype(np.int8), p=np.full(2000, 0.43))
    assert weak_segments(rows, together)[0].surprise < weak_segments(rows, alone)[0].surprise / 2


def test_other_rows_are_refused_and_only_so_many_segments_are_told() -> None:
    rows, scores = world(0)
    assert len(weak_segments(rows, scores, most=3)) == 3
    with pytest.raises(InputError, match="Expected 2000 rows; found 10"):
        weak_segments(rows.slice(0, 10), scores)
