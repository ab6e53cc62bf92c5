"""Bootstrap by customer."""

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from churn_model.errors import InputError
from churn_model.stats.bootstrap import LEAST, MOST, Resamples, auc, number_customers


@pytest.mark.parametrize(
    "ids",
    [
        np.array(["b", "a", "b", "c"]),
        np.array([7, 3, 7, 9], dtype=np.uint64),
        pa.array(["b", "a", "b", "c"]),
        pa.chunked_array([["b", "a"], ["b", "c"]]),
        pa.array(["b", "a", "b", "c"]).dictionary_encode(),
        ["b", "a", "b", "c"],
    ],
)
def test_customers_are_numbered_in_order_of_appearance(ids: object) -> None:
    assert number_customers(ids).tolist() == [0, 1, 0, 2]


def test_a_row_without_an_id_is_refused() -> None:
    with pytest.raises(InputError, match="Expected an id in every row; found 1 rows without one"):
        number_customers(pa.array(["a", None]))


def test_no_rows_are_refused() -> None:
    with pytest.raises(InputError, match="Expected at least one row to judge; found none"):
        Resamples(np.zeros(0, dtype=np.int64))


def test_all_rows_of_a_customer_are_drawn_together_and_as_many_customers_as_there_are() -> None:
    customers = np.array([0, 1, 0, 2, 2, 2])
    weights = np.concatenate(list(Resamples(customers, 500).weights()))
    assert weights.shape == (500, 6)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 3] == weights[:, 5]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert weights.mean() == pytest.approx(1.0, abs=0.1)


def test_the_same_seed_draws_the_same_whatever_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(Resamples(np.arange(50), 40).weights()))
    monkeypatch.setattr("churn_model.stats.bootstrap.CHUNK", 120)
    assert (np.concatenate(list(Resamples(np.arange(50), 40).weights())) == whole).all()


def test_clustered_rows_spread_more_than_independent_ones() -> None:
    rng = np.random.default_rng(0)
    values = np.repeat(rng.normal(size=100), 5)[:, None]
    clustered = Resamples(np.repeat(np.arange(100), 5), 1000).sums(values).std()
    independent = Resamples(np.arange(500), 1000).sums(values).std()
    assert clustered / independent == pytest.approx(5**0.5, rel=0.15)


def test_binned_sums_are_sums_by_bin() -> None:
    rng = np.random.default_rng(1)
    values, bins = rng.normal(size=30), rng.integers(0, 4, 30)
    resamples = Resamples(np.arange(30) // 2, 20)
    by_bin = np.column_stack([values * (bins == number) for number in range(5)])
    assert resamples.binned_sums(values, bins, 5) == pytest.approx(resamples.sums(by_bin))


def test_auc_is_that_of_scikit_learn_also_in_each_draw() -> None:
    rng = np.random.default_rng(2)
    p = np.round(rng.random(60), 1)
    y = (rng.random(60) < p).astype(np.int8)
    assert auc(y, p) == pytest.approx(roc_auc_score(y, p))
    resamples = Resamples(np.arange(60), 30)
    expected = [roc_auc_score(y, p, sample_weight=weight) for weight in np.concatenate(list(resamples.weights()))]
    assert resamples.auc(y, p) == pytest.approx(expected)


def test_auc_of_one_class_is_not_a_number() -> None:
    assert np.isnan(auc(np.ones(3), np.array([0.1, 0.2, 0.3])))


@pytest.mark.parametrize(("rows", "draws"), [(100, MOST), (20_000, MOST), (100_000, 400), (1_000_000, LEAST)])
def test_many_rows_are_drawn_less_often(rows: int, draws: int) -> None:
    assert Resamples(np.arange(rows)).draws == draws
