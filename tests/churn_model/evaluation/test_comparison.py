"""Two models on the same rows."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from churn_model.arrays import FloatArray
from churn_model.decisions.policy import Policy
from churn_model.errors import InputError
from churn_model.evaluation.comparison import LEAST_GAIN, compare, unseen_by_champion
from churn_model.evaluation.metrics import Scores
from churn_model.spec.sections.costs import Costs
from churn_model.spec.sections.split import Split

POLICY = Policy(Costs())


def world(n: int, seed: int = 0) -> tuple[np.ndarray, FloatArray]:
    rng = np.random.default_rng(seed)
    z = 1.8 * rng.normal(size=n) - 1.5
    return (rng.random(n) < 1 / (1 + np.exp(-z))).astype(np.int8), z


def scores(y: np.ndarray, z: FloatArray, blur: float, seed: int = 1) -> Scores:
    noise = np.random.default_rng(seed).normal(size=len(y))
    return Scores(ids=np.arange(len(y)), y=y, p=1 / (1 + np.exp(-(z + blur * noise))))


def test_a_real_gain_is_seen_and_its_bound_is_below_zero() -> None:
    y, z = world(1000)
    found = compare(scores(y, z, 0.1), scores(y, z, 1.5), POLICY, draws=500)
    assert found.log_loss.mean < found.log_loss.upper < 0
    assert found.log_loss.mean == pytest.approx(found.log_loss.candidate - found.log_loss.champion)
    assert found.cost.mean < 0
    assert found.auc_candidate > found.auc_champion
    assert not found.same_probabilities


def test_two_models_that_differ_by_chance_have_a_bound_above_zero() -> None:
    y, z = world(1000)
    found = compare(scores(y, z, 0.3, seed=1), scores(y, z, 0.3, seed=2), POLICY, draws=500)
    assert found.log_loss.upper > 0


def test_the_paired_bound_is_far_tighter_than_two_separate_ones() -> None:
    y, z = world(1000)
    found = compare(scores(y, z, 0.1), scores(y, z, 0.2), POLICY, draws=500)
    assert found.log_loss.upper - found.log_loss.mean < 0.005


def test_the_smallest_gain_is_the_bounds_width_or_one_in_a_hundred() -> None:
    y, z = world(1000)
    wide = compare(scores(y, z, 0.5, seed=1), scores(y, z, 1.0, seed=2), POLICY, draws=200)
    assert wide.smallest_gain == pytest.approx(wide.log_loss.upper - wide.log_loss.mean)
    narrow = compare(scores(y, z, 0.0), scores(y, z, 0.001), POLICY, draws=200)
    assert narrow.smallest_gain == pytest.approx(LEAST_GAIN * narrow.log_loss.champion)


@pytest.mark.parametrize(("by", "same"), [(0.0, True), (5e-10, True), (1e-8, False)])
def test_the_same_probabilities_are_known_to_be_the_same(by: float, same: bool) -> None:
    y, z = world(100)
    champion = scores(y, z, 0.0)
    assert (
        compare(replace(champion, p=np.clip(champion.p - by, 0, 1)), champion, POLICY, draws=10).same_probabilities
        is same
    )


def test_rows_that_the_champion_may_have_seen_leave() -> None:
    y, z = world(400)
    unseen = np.arange(400) < 100
    found = compare(scores(y, z, 0.1), scores(y, z, 0.5), POLICY, unseen=unseen, draws=50)
    assert (found.rows, found.left_out, found.leavers) == (100, 300, y[:100].sum())
    assert found.log_loss.champion == pytest.approx(compare_first(y, z, 100))


def compare_first(y: np.ndarray, z: FloatArray, n: int) -> float:
    champion = scores(y, z, 0.5).keep(np.arange(len(y)) < n)
    return compare(champion, champion, POLICY, draws=10).log_loss.champion


def test_where_no_row_is_left_there_are_no_figures_and_no_error() -> None:
    y, z = world(50)
    found = compare(scores(y, z, 0.1), scores(y, z, 0.5), POLICY, unseen=np.zeros(50, dtype=bool))
    assert (found.rows, found.left_out) == (0, 50)
    assert np.isnan(found.log_loss.mean)


def test_other_rows_are_refused() -> None:
    y, z = world(50)
    with pytest.raises(InputError, match="Expected candidate and champion on the same rows in the same order"):
        compare(scores(y, z, 0.1), scores(1 - y, z, 0.1), POLICY)
    with pytest.raises(InputError, match="Expected candidate and champion on the same rows in the same order"):
        compare(scores(y, z, 0.1), replace(scores(y, z, 0.1), ids=np.zeros(50)), POLICY)


IDS = [f"C{number}" for number in range(500)]
BY_HASH = Split(seed=1, test=0.2)


@pytest.mark.parametrize(
    ("champion", "today"),
    [
        (BY_HASH, BY_HASH),
        (BY_HASH, replace(BY_HASH, validation=0.3)),
        (BY_HASH, replace(BY_HASH, by="time")),
        (Split(by="column", column="Split"), Split(by="column", column="split")),
    ],
    ids=["same", "only validation differs", "by time: the same bucket", "the same column"],
)
def test_while_the_test_bucket_is_the_same_the_champion_has_seen_nobody_in_it(champion: Split, today: Split) -> None:
    assert unseen_by_champion(IDS, champion=champion, today=today).all()


@pytest.mark.parametrize(
    "today", [replace(BY_HASH, seed=2), replace(BY_HASH, test=0.4), Split(by="column", column="split")]
)
def test_with_another_rule_only_the_champions_own_test_bucket_is_fair(today: Split) -> None:
    found = unseen_by_champion(IDS, champion=BY_HASH, today=today)
    expected = [
        int.from_bytes(hashlib.blake2b(f"1:{name}".encode(), digest_size=8).digest(), "big") / 2**64 < 0.2
        for name in IDS
    ]
    assert found.tolist() == expected


def test_a_champion_split_by_a_column_cannot_be_told_for_other_rows() -> None:
    assert not unseen_by_champion(IDS, champion=Split(by="column", column="split"), today=BY_HASH).any()
