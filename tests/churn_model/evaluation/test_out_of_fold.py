"""The cost curve of out-of-fold rows, at today's costs."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from churn_model.decisions.costs import actual_cost
from churn_model.decisions.policy import Policy
from churn_model.errors import InputError
from churn_model.evaluation.out_of_fold import out_of_fold_curve
from churn_model.spec.sections.costs import Contact, Costs, ValueColumn
from churn_model.tables import write_table
from churn_model.training.out_of_fold import OutOfFold, write_out_of_fold
from churn_model.training.splits import TRAIN, VALIDATION

BY_WORTH = Policy(Costs(contact=Contact(cost=100, value=ValueColumn(column="worth"))))


@pytest.fixture
def held_out() -> OutOfFold:
    rng = np.random.default_rng(0)
    p = rng.random(60)
    order = rng.permutation(60)  # fold after fold, and not file after file
    return OutOfFold(
        splits=(order >= 40).astype(np.int8),
        rows=np.where(order < 40, order, order - 40),
        customers=order.astype(np.uint64),
        y=(rng.random(60) < p).astype(np.int8),
        p=p,
    )


def files(folder: Path, column: str = "Worth") -> dict[int, Path]:
    paths = {TRAIN: folder / "train", VALIDATION: folder / "validation"}
    worth = {TRAIN: np.arange(40) * 10.0 + 100, VALIDATION: np.arange(20) * 100.0 + 1000}
    for split, path in paths.items():
        write_table(path, pa.table({column: worth[split], "other": worth[split]}))
    return paths


def test_each_row_has_its_own_worth(tmp_path: Path, held_out: OutOfFold) -> None:
    write_out_of_fold(held_out, tmp_path / "out_of_fold")
    curve, _ = out_of_fold_curve(tmp_path / "out_of_fold", files(tmp_path), BY_WORTH)
    worth = np.where(held_out.splits == TRAIN, held_out.rows * 10.0 + 100, held_out.rows * 100.0 + 1000)
    costs = BY_WORTH.outcome_costs(worth)
    by_hand = [actual_cost(held_out.y, held_out.p >= cutoff, costs).mean() for cutoff in curve.cutoff]
    assert curve.cost == pytest.approx(by_hand)


def test_another_price_is_another_curve_of_the_same_rows(tmp_path: Path, held_out: OutOfFold) -> None:
    write_out_of_fold(held_out, tmp_path / "out_of_fold")
    prices = (Costs(), Costs(false_negative=900))
    cheap, dear = (out_of_fold_curve(tmp_path / "out_of_fold", {}, Policy(costs)) for costs in prices)
    assert cheap[1].cutoff > dear[1].cutoff


def test_rows_without_the_column_of_worth_are_refused(tmp_path: Path, held_out: OutOfFold) -> None:
    write_out_of_fold(held_out, tmp_path / "out_of_fold")
    with pytest.raises(InputError, match="in column worth; found no such column"):
        out_of_fold_curve(tmp_path / "out_of_fold", files(tmp_path, column="price"), BY_WORTH)
