"""What one model is worth on rows that it never saw."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, f1_score, log_loss, precision_score, recall_score, roc_auc_score

from churn_model.arrays import FloatArray
from churn_model.decisions.policy import Policy
from churn_model.errors import InputError
from churn_model.evaluation.metrics import Estimate, Evaluation, Scores, evaluate, first_by_probability
from churn_model.records import from_plain, to_plain
from churn_model.spec.sections.costs import Contact, Costs, ValueColumn

WORKSHOP = Policy(Costs())


def sample(n: int, seed: int = 0, *, signal: float = 1.5, rate: float = -1.5) -> Scores:
    """Rows whose probabilities are right."""
    rng = np.random.default_rng(seed)
    p = 1 / (1 + np.exp(-(signal * rng.normal(size=n) + rate)))
    return Scores(ids=np.arange(n), y=(rng.random(n) < p).astype(np.int8), p=p)


def test_the_figures_are_those_of_scikit_learn() -> None:
    scores = sample(500)
    y, p = scores.y, scores.p
    found = evaluate(scores, WORKSHOP, draws=100)
    assert found.auc.value == pytest.approx(roc_auc_score(y, p))
    assert found.log_loss.value == pytest.approx(log_loss(y, p))
    assert found.brier.value == pytest.approx(brier_score_loss(y, p))
    assert found.contacts.precision.value == pytest.approx(precision_score(y, p >= 0.2))
    assert found.contacts.recall.value == pytest.approx(recall_score(y, p >= 0.2))
    assert found.contacts.f1.value == pytest.approx(f1_score(y, p >= 0.2))
    assert found.base_rate == pytest.approx(y.mean())


def test_money_adds_up() -> None:
    scores = sample(400)
    found = evaluate(scores, WORKSHOP, draws=50)
    confusion, money = found.contacts.confusion, found.money
    cells = (confusion.true_positives, confusion.false_positives, confusion.false_negatives, confusion.true_negatives)
    assert sum(cells) == 400
    total = (
        confusion.true_positives_cost
        + confusion.false_positives_cost
        + confusion.false_negatives_cost
        + confusion.true_negatives_cost
    )
    assert total == pytest.approx(400 * money.cost.value)
    assert confusion.false_negatives_cost == 500 * confusion.false_negatives
    assert money.cost_nobody == pytest.approx(500 * scores.y.mean())
    assert money.cost_everybody == 100
    assert money.cost_perfect == pytest.approx(100 * scores.y.mean())
    assert money.saving_nobody.value == pytest.approx(money.cost_nobody - money.cost.value)
    assert money.saving_everybody.value == pytest.approx(100 - money.cost.value)
    assert money.saving_better.value == pytest.approx(min(money.saving_nobody.value, money.saving_everybody.value))
    assert money.better_without_model == "everybody"


def test_savings_of_the_same_contacts_shrink_as_fewer_stay() -> None:
    found = evaluate(sample(2000), WORKSHOP, draws=50)
    confusion = found.contacts.confusion
    assert [at.success for at in found.money.saving_at] == [1.0, 0.5, 0.3]
    for at in found.money.saving_at:
        by_hand = (at.success * 500 * confusion.true_positives - 100 * found.contacts.contacted) / found.rows
        assert at.saving.value == pytest.approx(by_hand)


def test_what_is_assumed_of_a_contact_is_named() -> None:
    assert evaluate(sample(100), WORKSHOP, draws=10).money.assumed_success == 1.0
    assert (
        evaluate(
            sample(100), Policy(Costs(contact=Contact(cost=50, value=500.0, success=0.4))), draws=10
        ).money.assumed_success
        == 0.4
    )


def test_reach_counts_the_first_customers_by_probability() -> None:
    scores = sample(1000)
    found = evaluate(scores, WORKSHOP, draws=50)
    order = np.argsort(-scores.p)
    for reach in found.reach:
        top = scores.y[order[: int(reach.share * 1000)]]
        assert reach.customers == len(top)
        assert reach.leavers == top.sum()
        assert reach.lift.value == pytest.approx(top.mean() / scores.y.mean())
        assert reach.share_of_leavers.value == pytest.approx(top.sum() / scores.y.sum())
        assert reach.calls_per_leaver == pytest.approx(1 / top.mean())


@pytest.mark.parametrize(("n", "share", "count"), [(3, 0.05, 1), (40, 0.05, 2), (50, 0.1, 5)])
def test_the_top_holds_at_least_one_and_exactly_its_share(n: int, share: float, count: int) -> None:
    assert first_by_probability(np.full(n, 0.5), share).sum() == count


def test_a_perfect_forecaster_has_slope_one_and_hardly_any_calibration_error() -> None:
    found = evaluate(sample(20_000, signal=1.0), WORKSHOP, draws=50)
    assert found.calibration_slope.value == pytest.approx(1.0, abs=0.06)
    assert found.calibration_slope.low < 1 < found.calibration_slope.high
    assert found.ece.value < 0.01


def test_too_bold_probabilities_have_a_slope_below_one() -> None:
    scores = sample(5000)
    bold = Scores(ids=scores.ids, y=scores.y, p=1 / (1 + (1 / scores.p - 1) ** 2))
    found = evaluate(bold, WORKSHOP, draws=100)
    assert found.calibration_slope.value == pytest.approx(0.5, abs=0.05)
    assert found.ece.value > 0.05


def test_intervals_hold_the_truth_nine_times_in_ten() -> None:
    truth = evaluate(sample(50_000, seed=99), WORKSHOP, draws=1)
    runs = [evaluate(sample(500, seed), WORKSHOP, draws=100) for seed in range(30)]
    figures: list[Callable[[Evaluation], Estimate]] = [
        lambda e: e.auc,
        lambda e: e.log_loss,
        lambda e: e.money.saving_better,
    ]
    for get in figures:
        value = get(truth).value
        held = np.mean([get(run).low <= value <= get(run).high for run in runs])
        assert 0.73 <= held <= 1.0


def test_rows_of_one_customer_count_as_one_draw() -> None:
    alone = sample(300)
    ids = np.repeat(np.arange(300), 4)
    four_times = Scores(ids=ids, y=np.repeat(alone.y, 4), p=np.repeat(alone.p, 4))
    one, four = evaluate(alone, WORKSHOP, draws=400), evaluate(four_times, WORKSHOP, draws=400)
    assert four.customers == 300
    assert four.auc.value == pytest.approx(one.auc.value)
    assert four.auc.low == pytest.approx(one.auc.low)
    assert four.money.saving_better.low == pytest.approx(one.money.saving_better.low)


def test_worth_by_customer_moves_cutoff_and_money() -> None:
    base = sample(400)
    worth = np.where(np.arange(400) % 2, 2000.0, 150.0)
    policy = Policy(Costs(contact=Contact(cost=100, value=ValueColumn(column="worth"))))
    found = evaluate(Scores(ids=base.ids, y=base.y, p=base.p, worth=worth), policy, draws=50)
    chosen = base.p >= 100 / worth
    by_hand = np.where(chosen, 100.0, base.y * worth)
    assert found.money.cost.value == pytest.approx(by_hand.mean())
    assert found.contacts.cutoff_lowest == pytest.approx(0.05)
    assert found.contacts.cutoff_highest == pytest.approx(2 / 3)


def test_a_table_of_one_class_is_judged_without_an_error_and_says_what_it_cannot_know() -> None:
    scores = sample(50)
    found = evaluate(Scores(ids=scores.ids, y=np.zeros(50, dtype=np.int8), p=scores.p), WORKSHOP, draws=20)
    assert np.isnan(found.auc.value)
    assert np.isnan(found.contacts.recall.value)
    assert found.money.cost_nobody == 0


def test_offers_that_never_pay_contact_nobody() -> None:
    base = sample(100)
    poor = Scores(ids=base.ids, y=base.y, p=base.p, worth=np.full(100, 1.0))
    nobody = evaluate(
        poor, Policy(Costs(contact=Contact(cost=100, value=ValueColumn(column="w"), success=0.5))), draws=10
    )
    assert nobody.contacts.contacted == 0
    assert nobody.money.saving_nobody.high == 0
    assert np.isnan(nobody.contacts.calls_per_leaver)


def test_an_evaluation_comes_back_from_json_with_unrounded_numbers() -> None:
    plain = to_plain(evaluate(sample(200), WORKSHOP, draws=20))
    back = from_plain(Evaluation, json.loads(json.dumps(plain, allow_nan=False)))
    assert to_plain(back) == plain
    assert back.curve.cost.shape == (101,)


def test_the_same_rows_give_the_same_figures() -> None:
    first, second = (to_plain(evaluate(sample(300), WORKSHOP, draws=50)) for _ in range(2))
    assert first == second


def test_all_that_is_wrong_with_scores_is_said_at_once() -> None:
    p: FloatArray = np.array([0.5, 1.5, np.nan])
    with pytest.raises(
        InputError,
        match=r"(?s)Expected 3 ids; found 2.*Expected labels 0 or 1.*Expected probabilities from 0 to 1; found 2",
    ):
        Scores(ids=[1, 2], y=np.array([0, 1, 2]), p=p)
    with pytest.raises(InputError, match="Expected at least one row to judge; found none"):
        Scores(ids=[], y=np.zeros(0), p=np.zeros(0))
