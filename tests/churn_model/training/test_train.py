"""From two splits to a candidate."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from churn_model.errors import InputError, TooLittleData
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.costs import Costs
from churn_model.spec.sections.label import Label
from churn_model.spec.sections.search import Metric, Search
from churn_model.stats.logistic import log_loss
from churn_model.training import train as training
from churn_model.training.out_of_fold import OUT_OF_FOLD, read_out_of_fold, write_out_of_fold
from churn_model.training.splits import TRAIN, VALIDATION
from churn_model.training.train import AllRows, Candidate, read_labels, train

DATASET = Dataset(
    name="test",
    id="id",
    label=Label(column="left", positive=("yes",)),
    derived={"total": "x + z"},
    search=Search(trials=2, parallel=2),
)


def rows(n: int, seed: int = 1) -> pa.Table:
    random = np.random.default_rng(seed)
    x, z = random.normal(size=(2, n))
    plan = random.integers(0, 3, size=n)
    left = x + z + (plan == 2) + random.normal(size=n) > 1.5
    return pa.table(
        {
            "_id": [f"{seed}-{k}" for k in range(n)],
            "_hash": np.sort(random.integers(0, 2**64, size=n, dtype=np.uint64)),
            "_label": pa.array(left.astype(np.int8)),
            "x": np.where(random.random(n) < 0.1, np.nan, x),
            "z": z,
            "plan": pa.array(np.array(["basic", "plus", "pro"])[plan]).dictionary_encode(),
            "worth": random.uniform(100, 900, size=n),
        }
    )


@pytest.fixture(scope="module")
def candidate() -> Candidate:
    return train(rows(600), rows(200, seed=2), DATASET, threads=1)


def test_the_same_rows_give_the_same_bytes_whether_trials_run_beside_or_after_each_other(candidate: Candidate) -> None:
    again = train(rows(600), rows(200, seed=2), DATASET, threads=2)
    assert again.model.to_json() == candidate.model.to_json()
    assert again.leaderboard == candidate.leaderboard
    assert again.calibration == candidate.calibration


def test_the_candidate_beats_the_base_rate_on_new_rows(candidate: Candidate) -> None:
    new = rows(2000, seed=3)
    y, p = read_labels(new), candidate.probabilities(new)
    assert log_loss(y, p) < 0.85 * log_loss(y, np.full(len(y), y.mean()))
    assert p.mean() == pytest.approx(y.mean(), abs=0.04)


def test_out_of_fold_rows_are_all_rows_each_once_with_their_outcome(candidate: Candidate) -> None:
    both = pa.concat_tables([rows(600), rows(200, seed=2)])
    found = candidate.out_of_fold
    assert sorted(found.customers.tolist()) == sorted(both["_hash"].to_pylist())
    assert candidate.rows == len(found.p) == 800
    assert candidate.positives == int(found.y.sum())
    assert log_loss(found.y, found.p) == pytest.approx(candidate.log_loss_calibrated, rel=0.02)
    assert candidate.log_loss_calibrated <= candidate.log_loss_uncalibrated


def test_out_of_fold_probabilities_come_from_models_without_the_row() -> None:
    # With labels that nothing explains, a model that had seen them would look better than the base rate.
    noise = rows(400).set_column(2, "_label", pa.array(np.random.default_rng(5).integers(0, 2, 400), pa.int8()))
    found = train(noise.slice(0, 300), noise.slice(300), DATASET).out_of_fold
    assert log_loss(found.y, found.p) > 0.67


def test_the_first_of_the_leaderboard_is_what_was_fitted(candidate: Candidate) -> None:
    assert candidate.hyperparameters == candidate.leaderboard[0].hyperparameters
    rounds = [member.trial.hyperparameters.rounds for member in candidate.members]
    assert candidate.model.booster.num_boosted_rounds() == sum(rounds)
    assert len(candidate.leaderboard) == 2


def test_all_families_can_be_tried_together() -> None:
    settings = Search(families=("linear", "random_forest", "boosted_trees"), trials=3, metric="auc")
    found = train(rows(300), rows(100, seed=2), dataclasses.replace(DATASET, search=settings))
    assert {trial.hyperparameters.family for trial in found.leaderboard} == set(settings.families)
    assert found.model.family == found.leaderboard[0].hyperparameters.family


@pytest.mark.parametrize(
    ("folded_below", "out_of_fold_up_to", "named", "judged"),
    [(0, 10**6, "validation", 800), (0, 0, "half of validation", None)],
)
def test_more_rows_are_searched_on_validation(
    monkeypatch: pytest.MonkeyPatch, folded_below: int, out_of_fold_up_to: int, named: str, judged: int | None
) -> None:
    monkeypatch.setattr(training, "FOLDED_SEARCH_BELOW", folded_below)
    monkeypatch.setattr(training, "OUT_OF_FOLD_UP_TO", out_of_fold_up_to)
    found = train(rows(600), rows(200, seed=2), DATASET)
    assert found.searched_on == named
    validation = set(rows(200, seed=2)["_hash"].to_pylist())
    if judged is None:
        assert 60 < len(found.out_of_fold.p) < 140
        assert set(found.out_of_fold.customers.tolist()) < validation
    else:
        assert len(found.out_of_fold.p) == judged


def test_out_of_fold_rows_say_where_they_lie_and_survive_their_file(tmp_path: Path) -> None:
    splits = {TRAIN: rows(200), VALIDATION: rows(100, seed=2)}
    found = train(splits[TRAIN], splits[VALIDATION], DATASET).out_of_fold
    for split, hash_of_row, row in zip(found.splits, found.customers, found.rows, strict=True):
        assert splits[split]["_hash"][row].as_py() == hash_of_row
    assert set(found.splits.tolist()) == {TRAIN, VALIDATION}
    write_out_of_fold(found, tmp_path / OUT_OF_FOLD)
    again = read_out_of_fold(tmp_path / OUT_OF_FOLD)
    for name, values in vars(found).items():
        assert (getattr(again, name) == values).all()


def test_costs_reach_a_model_by_a_search_by_cost_alone() -> None:
    def fit(metric: Metric, costs: Costs) -> Candidate:
        by_metric = dataclasses.replace(DATASET, costs=costs, search=Search(trials=6, metric=metric))
        return train(rows(600), rows(200, seed=2), by_metric)

    cheap, dear = Costs(), Costs(false_negative=120, false_positive=110, true_positive=0)
    one, other = fit("log_loss", cheap), fit("log_loss", dear)
    assert one.model.to_json() == other.model.to_json()
    assert one.leaderboard == other.leaderboard
    one, other = fit("cost", cheap), fit("cost", dear)
    assert [trial.number for trial in one.leaderboard] != [trial.number for trial in other.leaderboard]


def with_labels(table: pa.Table, values: list[Any]) -> pa.Table:
    return table.set_column(2, "_label", pa.array(values, pa.int8()))


@pytest.mark.parametrize(
    ("train_rows", "validation_rows", "message"),
    [
        (rows(29), rows(50, seed=2), "at least 30 rows to train on; found 29"),
        (
            with_labels(rows(40), [0] * 40),
            rows(50, seed=2),
            "both classes in train; found only customers who stayed among 40",
        ),
        (with_labels(rows(40), [1] * 40), rows(50, seed=2), "found only customers who left among 40"),
        (rows(40), rows(50, seed=2).slice(0, 0), "both classes in validation; found no row"),
        (
            with_labels(rows(20), [0] * 20),
            with_labels(rows(20), [0] * 20),
            r"(?s)1\. Expected at least 30 rows.*2\. .*in train.*3\. .*in validation",
        ),
        (
            rows(40).select(["_id", "_hash", "_label"]),
            rows(50, seed=2).select(["_id", "_hash", "_label"]),
            "at least one column to learn from",
        ),
    ],
)
def test_too_little_data_says_what_is_missing(train_rows: pa.Table, validation_rows: pa.Table, message: str) -> None:
    with pytest.raises(TooLittleData, match=message):
        train(train_rows, validation_rows, dataclasses.replace(DATASET, derived={}))


@pytest.mark.parametrize("bad", [rows(40).drop_columns(["_label"]), with_labels(rows(40), [None] + [1, 0, 0] * 13)])
def test_a_training_row_without_a_label_is_refused(bad: pa.Table) -> None:
    with pytest.raises(InputError, match="Expected a label in every training row"):
        train(bad, rows(50, seed=2), DATASET)


def test_of_a_sample_the_search_and_of_all_rows_the_trees(tmp_path: Path, candidate: Candidate) -> None:
    every = [rows(600), *(rows(500, seed=seed) for seed in (4, 5, 6)), rows(200, seed=2)]
    batches = lambda: (batch for table in every for batch in table.to_batches())  # noqa: E731
    found = train(rows(600), rows(200, seed=2), DATASET, threads=1, all_rows=AllRows(batches, tmp_path))
    assert (found.leaderboard, found.schema, found.calibration) == (
        candidate.leaderboard,
        candidate.schema,
        candidate.calibration,
    )
    assert (found.rows, found.positives) == (2300, sum(int(read_labels(table).sum()) for table in every))
    assert list(tmp_path.iterdir()) == []
    again = train(rows(600), rows(200, seed=2), DATASET, threads=1, all_rows=AllRows(batches, tmp_path))
    assert again.model.to_json() == found.model.to_json() != candidate.model.to_json()
    new = rows(4000, seed=9)
    assert log_loss(read_labels(new), found.probabilities(new)) < log_loss(
        read_labels(new), candidate.probabilities(new)
    )


def test_a_linear_model_is_fitted_on_the_sample(tmp_path: Path) -> None:
    spec = dataclasses.replace(DATASET, search=Search(trials=1, families=("linear",)))
    found = train(
        rows(600),
        rows(200, seed=2),
        spec,
        threads=1,
        all_rows=AllRows(lambda: rows(5000, seed=4).to_batches(), tmp_path),
    )
    assert found.rows == 800
    assert found.model.to_json() == train(rows(600), rows(200, seed=2), spec, threads=1).model.to_json()
