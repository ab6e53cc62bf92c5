"""The whole recipe judged by outer folds."""

import numpy as np
import pyarrow as pa
import pytest

from churn_model.errors import TooLittleData
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.label import Label
from churn_model.spec.sections.search import Search
from churn_model.spec.sections.split import Split
from churn_model.stats.bootstrap import auc
from churn_model.training.fold_splits import assign_outer_folds, make_split_check
from churn_model.training.out_of_fold import OutOfFold
from churn_model.training.outer_folds import judge_by_outer_folds
from churn_model.training.shares import Shares
from churn_model.training.splits import TEST, TRAIN, VALIDATION, Assigned, make_split_rule
from churn_model.training.train import Candidate, train

DATASET = Dataset(
    name="small",
    id="id",
    label=Label(column="left", positive=("yes",)),
    split=Split(validation=0.2, test=0.2),
    search=Search(trials=1),
)


def rows(n: int, seed: int = 1) -> pa.Table:
    """Customers with three rows each."""
    random = np.random.default_rng(seed)
    hashes = np.repeat(np.sort(random.integers(0, 2**64, size=n // 3, dtype=np.uint64)), 3)
    x = random.normal(size=n)
    left = x + 0.5 * random.normal(size=n) > 1
    return pa.table(
        {
            "_id": [f"{one:x}" for one in hashes.tolist()],
            "_hash": hashes,
            "_label": pa.array(left.astype(np.int8)),
            "x": x,
            "plan": pa.array((hashes % np.uint64(3)).astype(str)).dictionary_encode(),
        }
    )


def assign(rows: pa.Table, spec: Dataset) -> Assigned:
    return make_split_rule([rows], spec)(rows)


def judged(table: pa.Table) -> tuple[Candidate, dict[int, pa.Table], OutOfFold]:
    assigned = assign(table, DATASET)
    splits = {split: table.filter(pa.array(assigned == split)) for split in (TRAIN, VALIDATION, TEST)}
    candidate = train(splits[TRAIN], splits[VALIDATION], DATASET)
    return candidate, splits, judge_by_outer_folds(candidate, splits, DATASET, threads=1)


@pytest.fixture(scope="module")
def found() -> tuple[Candidate, dict[int, pa.Table], OutOfFold]:
    return judged(rows(600))


def test_every_row_is_judged_once_with_its_own_label(found: tuple[Candidate, dict[int, pa.Table], OutOfFold]) -> None:
    _, splits, folds = found
    for split, table in splits.items():
        places = folds.rows[folds.splits == split]
        assert sorted(places.tolist()) == list(range(table.num_rows))
        assert folds.y[folds.splits == split].tolist() == table["_label"].take(pa.array(places)).to_pylist()
    assert auc(folds.y, folds.p) > 0.85


def test_the_first_fold_is_the_test_split_and_its_model_the_candidate(
    found: tuple[Candidate, dict[int, pa.Table], OutOfFold],
) -> None:
    candidate, splits, folds = found
    in_test = folds.splits == TEST
    expected = candidate.probabilities(splits[TEST])[folds.rows[in_test]]
    assert folds.p[in_test].tolist() == expected.tolist()


def test_a_customer_is_in_one_fold_and_each_fold_is_about_a_fifth() -> None:
    table = rows(3_000)
    hashes, in_test = table["_hash"].to_numpy(), assign(table, DATASET) == TEST
    folds = assign_outer_folds(hashes, in_test)
    assert ((folds == 0) == in_test).all()
    assert all(len(np.unique(folds[hashes == one])) == 1 for one in np.unique(hashes).tolist())
    assert np.bincount(folds) / len(folds) == pytest.approx(np.full(5, 0.2), abs=0.04)


@pytest.mark.parametrize(
    ("seed", "said", "refused"),
    [
        (1, ("Expected at least 30 rows in train of each outer fold; found 24. Land more data.",), "at least 30 rows"),
        (
            17,
            (
                "Expected both classes in train and validation of each outer fold; found one class alone. Land more data.",
            ),
            "both classes in validation",
        ),
        (2, (), None),
    ],
)
def test_what_a_repetition_would_refuse_is_refused_before_anything_is_trained(
    seed: int, said: tuple[str, ...], refused: str | None
) -> None:
    table = rows(51 + 3 * (seed % 5), seed)
    checked = make_split_check(Shares(split=DATASET.split, judged_on="outer_folds", leavers=9, is_open=True))
    for batch in table.to_batches(max_chunksize=7):
        checked.add(batch, assign(batch, DATASET))
    assert checked.problems == said
    if refused is None:
        judged(table)
        return
    with pytest.raises(TooLittleData, match=f"Expected {refused}"):
        judged(table)
