"""The gate."""

import json
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from churn_model.decisions.policy import Policy
from churn_model.evaluation.comparison import Comparison, Difference, compare
from churn_model.evaluation.metrics import Estimate, Evaluation, Scores, evaluate
from churn_model.evaluation.promotion import Decision, decide
from churn_model.evaluation.promotion_facts import ComparedChampion, Evidence, Fact
from churn_model.records import from_plain, to_plain
from churn_model.spec.sections.costs import Contact, Costs
from churn_model.spec.sections.gate import Gate
from churn_model.spec.sections.split import Split
from churn_model.training.leaks import EQUAL_ROWS, Leak, SharedLabel, WorthWithout
from churn_model.training.split_shares import choose_shares

POLICY = Policy(Costs())
LEAK = Leak(column="Tags", kind="explains_too_much", evidence=0.27, why="it explains a lot", todo="List it")
NOTHING = Estimate(value=0.0, median=0.0, low=0.0, high=0.0)


def rows(seed: int, n: int, blur: float) -> Scores:
    """Rows of one world, judged by a model that sees the truth with some blur."""
    rng = np.random.default_rng(seed)
    z = 1.8 * rng.normal(size=n) - 2.3
    y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(np.int8)
    return Scores(ids=np.arange(n), y=y, p=1 / (1 + np.exp(-(z + blur * rng.normal(size=n)))))


def noise(seed: int, n: int, rate: float, spread: float) -> Scores:
    """Labels that nothing explains, and probabilities that pretend to."""
    rng = np.random.default_rng(seed)
    p = 1 / (1 + np.exp(-(np.log(rate / (1 - rate)) + spread * rng.normal(size=n))))
    return Scores(ids=np.arange(n), y=(rng.random(n) < rate).astype(np.int8), p=p)


@cache
def good() -> Evaluation:
    return evaluate(rows(0, 1000, 0.1), POLICY, draws=200)


def evidence(
    candidate: Evaluation | None = None,
    *,
    champion: ComparedChampion | None = None,
    leaks: tuple[Leak, ...] = (),
    gate: Gate | None = None,
) -> Evidence:
    return Evidence(
        candidate=candidate or good(),
        validation_leavers=100,
        validation_stayers=900,
        leaks=leaks,
        champion=champion,
        gate=gate or Gate(),
    )


def comparison(
    *,
    log_loss: float = -0.02,
    log_loss_upper: float = -0.01,
    cost: float = -2.0,
    cost_upper: float = 1.0,
    leavers: int = 100,
    same: bool = False,
) -> Comparison:
    def difference(champion: float, mean: float, upper: float) -> Difference:
        return Difference(candidate=champion + mean, champion=champion, mean=mean, upper=upper, spread=NOTHING)

    return Comparison(
        rows=1000,
        left_out=0,
        leavers=leavers,
        resamples=100,
        same_probabilities=same,
        log_loss=difference(0.3, log_loss, log_loss_upper),
        cost=difference(40.0, cost, cost_upper),
        auc_candidate=0.9,
        auc_champion=0.88,
        smallest_gain=0.01,
    )


def champion(found: Comparison, *, is_old: bool = False) -> ComparedChampion:
    return ComparedChampion(comparison=found, is_old=is_old)


def fact(decision: Decision, name: str) -> Fact:
    return next(found for found in decision.facts if found.name == name)


def test_the_first_good_model_is_the_first_champion_and_the_reason_names_money_and_its_assumption() -> None:
    found = decide(evidence())
    assert found.outcome == "first"
    assert found.moves_pointer
    assert all(claim.holds for claim in found.facts)
    for words in (
        "First champion",
        "1,000 customers it never saw",
        "per customer against the better of contacting nobody and contacting everybody",
        "if every contacted leaver stays",
        "AUC",
    ):
        assert words in found.reason


def test_a_suspected_leak_decides_nothing_and_is_named() -> None:
    for present in (None, champion(comparison()), champion(comparison(same=True))):
        without, found = decide(evidence(champion=present)), decide(evidence(leaks=(LEAK,), champion=present))
        assert found.outcome == without.outcome
        assert found.reason.startswith(without.reason)
        assert "Tags may be known only after a customer has left" in found.reason
        assert "under ignore, or under known" in found.reason
    (line,) = decide(evidence(leaks=(LEAK, replace(LEAK, column="yes")))).remedies
    assert line.startswith('known: [Tags, "yes"]')


def test_a_suspected_leak_is_shown_with_what_the_model_is_worth_without_it() -> None:
    worth = WorthWithout(auc_with=0.91, auc_without=0.84, log_loss_with=0.25, log_loss_without=0.312)
    reason = decide(replace(evidence(leaks=(LEAK,)), worth=worth)).reason
    assert (
        "without, a small model has an AUC of 0.84 and a log loss of 0.312 on train rows, with 0.91 and 0.250" in reason
    )
    assert "The candidate does without 2 columns: " in decide(evidence(leaks=(LEAK, replace(LEAK, column="b")))).reason


@pytest.mark.parametrize("leavers", [59, 60])
def test_outer_folds_need_sixty_who_left_and_say_how_they_judged(leavers: int) -> None:
    y = (np.arange(600) < leavers).astype(np.int8)
    p = np.where(y == 1, 0.6, 0.05) + np.random.default_rng(0).uniform(-0.04, 0.04, 600)
    judged = evaluate(Scores(ids=np.arange(600), y=y, p=p), POLICY, draws=50, outer_folds=5)
    found = decide(replace(evidence(judged), validation_leavers=10))
    assert found.outcome == ("first" if leavers == 60 else "refused")
    how = "judged by 5 outer folds on 600 customers, each by a model that never saw that customer"
    assert (how if leavers == 60 else "too small to judge, 59 left and 541 stayed in the whole table") in found.reason


def test_a_split_that_is_too_small_is_refused_with_the_line_to_write() -> None:
    shares = choose_shares(Split(test=0.1), [pa.record_batch({"_label": np.repeat([1, 0], [300, 1700])})])
    found = decide(replace(evidence(evaluate(rows(0, 100, 0.1), POLICY, draws=50)), shares=shares))
    (line,) = found.remedies
    assert line.startswith("split: {by: hash, validation: 0.2, test: 0.2}  # about 60 of the 300 who left")
    assert "Write split: {by: hash, validation: 0.2, test: 0.2} in the spec, or land more customers" in found.reason


def test_many_suspected_leaks_and_long_names_are_told_briefly() -> None:
    leaks = tuple(replace(LEAK, column=f"{number}" * 60) for number in range(8))
    reason = decide(evidence(leaks=leaks)).reason
    assert "and 3 more" in reason
    assert "0" * 41 not in reason


@pytest.mark.parametrize(("n", "validation"), [(100, 100), (1000, 49)])
def test_too_few_customers_are_too_small_to_judge(n: int, validation: int) -> None:
    given = replace(evidence(evaluate(rows(0, n, 0.1), POLICY, draws=50)), validation_leavers=validation)
    found = decide(given)
    assert found.outcome == "refused"
    assert "too small to judge" in found.reason
    assert "Land more customers" in found.reason
    kept = decide(replace(given, champion=champion(comparison())))
    assert kept.outcome == "kept"
    assert kept.reason.startswith("The champion stays: too small to judge")


def test_no_signal_is_said_so() -> None:
    found = decide(evidence(evaluate(noise(3, 600, 0.3, 0.5), POLICY, draws=200)))
    assert found.outcome == "refused"
    assert "no signal" in found.reason
    assert not fact(found, "ranks_leavers_better_than_chance").holds


def test_an_auc_above_one_half_that_may_be_chance_is_no_signal() -> None:
    assert decide(evidence(replace(good(), auc_lower_99=0.5))).outcome == "refused"


def test_signal_without_money_says_what_is_cheaper() -> None:
    ranks = rows(0, 1000, 0.3)
    y = ranks.y | (np.random.default_rng(1).random(1000) < 0.3)
    found = decide(evidence(evaluate(replace(ranks, y=y, p=0.3 + 0.7 * ranks.p), POLICY, draws=200)))
    assert found.outcome == "refused"
    assert fact(found, "ranks_leavers_better_than_chance").holds
    assert "there is signal, but at these costs it is cheaper to contact everybody" in found.reason
    nobody = Policy(Costs(contact=Contact(cost=100, value=500.0, success=0.21)))
    assert "cheaper to contact nobody" in decide(evidence(evaluate(rows(0, 1000, 0.3), nobody, draws=200))).reason


def test_a_better_candidate_is_promoted() -> None:
    found = decide(evidence(champion=champion(comparison())))
    assert found.outcome == "promoted"
    assert "0.2800 against 0.3000" in found.reason
    assert "$38.00 per customer instead of $40.00" in found.reason


@pytest.mark.parametrize(
    ("found", "fails", "words"),
    [
        (
            comparison(log_loss_upper=0.001),
            "predicts_better_than_the_champion",
            "has not proved itself better on 1,000 rows that neither model saw",
        ),
        (
            comparison(log_loss=-0.002, log_loss_upper=-0.001),
            "gain_worth_a_change",
            "gain is too small to be worth a change",
        ),
        (
            comparison(cost=0.5),
            "costs_no_more_than_the_champion",
            "predicts better but costs more: $40.50 against $40.00",
        ),
    ],
)
def test_each_rule_alone_keeps_the_champion_and_names_the_smallest_gain(
    found: Comparison, fails: str, words: str
) -> None:
    decision = decide(evidence(champion=champion(found)))
    assert decision.outcome == "kept"
    assert not decision.moves_pointer
    assert [claim.name for claim in decision.facts if not claim.holds] == [fails]
    assert words in decision.reason
    assert "The smallest gain in log loss that this test could have shown is 0.0100." in decision.reason


def test_too_few_customers_new_to_the_champion_keep_it_and_say_so() -> None:
    few = replace(comparison(leavers=29), left_out=800)
    found = decide(evidence(champion=champion(few)))
    assert found.outcome == "kept"
    assert (
        "29 who left and 971 who stayed are new to both models (800 rows may have trained the champion" in found.reason
    )
    assert "Restore the champion's split" in found.reason


NOT_WORSE = Gate(promotion="not_worse", max_age="28d")


@pytest.mark.parametrize(
    ("is_old", "cost_upper", "gate", "outcome"),
    [
        (True, 2.0, NOT_WORSE, "promoted"),
        (True, 2.01, NOT_WORSE, "kept"),
        (False, 2.0, NOT_WORSE, "kept"),
        (True, 2.0, Gate(), "kept"),
    ],
    ids=["old and not worse", "old and may be worse", "not yet old", "the gate asks for better"],
)
def test_an_old_champion_yields_to_a_candidate_that_is_not_worse(
    is_old: bool, cost_upper: float, gate: Gate, outcome: str
) -> None:
    same = comparison(log_loss=0.0, log_loss_upper=0.01, cost=0.0, cost_upper=cost_upper)
    found = decide(evidence(champion=champion(same, is_old=is_old), gate=gate))
    assert found.outcome == outcome
    if outcome == "promoted":
        assert "the champion is older than 28d, and the candidate is not worse" in found.reason


def test_the_same_model_is_kept() -> None:
    kept = decide(evidence(champion=champion(comparison(same=True))))
    assert kept.outcome == "kept"
    assert "the same probability" in kept.reason


def test_every_fact_says_what_was_expected_found_and_is_to_be_done() -> None:
    for given in (evidence(), evidence(champion=champion(comparison())), evidence(leaks=(LEAK,))):
        decision = decide(given)
        assert all(part.name and part.expected and part.found and part.todo for part in decision.facts)
        assert from_plain(Decision, json.loads(json.dumps(to_plain(decision), allow_nan=False))) == decision


@pytest.mark.parametrize("rate", [0.15, 0.5])
def test_noise_is_promoted_at_most_once_in_a_hundred(rate: float) -> None:
    outcomes = [decide(evidence(evaluate(noise(seed, 334, rate, 0.3), POLICY, draws=60))).outcome for seed in range(60)]
    assert outcomes.count("first") <= 1


def test_a_real_gain_is_promoted_and_the_same_model_with_another_seed_is_kept() -> None:
    promoted = again = 0
    for seed in range(60):
        sharp, blurred = rows(seed, 334, 0.1), rows(seed, 334, 1.5)
        twin = replace(
            blurred, p=1 / (1 + (1 / sharp.p - 1) * np.exp(0.3 * np.random.default_rng(seed + 10_000).normal(size=334)))
        )
        other = replace(
            blurred, p=1 / (1 + (1 / sharp.p - 1) * np.exp(0.3 * np.random.default_rng(seed + 20_000).normal(size=334)))
        )
        real, chance = compare(sharp, blurred, POLICY, draws=400), compare(twin, other, POLICY, draws=400)
        promoted += decide(evidence(champion=champion(real))).moves_pointer
        again += decide(evidence(champion=champion(chance))).moves_pointer
    assert promoted >= 57
    assert again <= 3


@pytest.mark.parametrize(
    ("more", "reason", "remedy"),
    [
        ({"has_key": False}, "the spec does not say what names a customer", "id: none  # or the column"),
        (
            {"names": (SharedLabel(column="cust: no", rows=700, agreement=0.9),)},
            "700 rows share their cust: no with another row",
            'id: "cust: no"  # or, if its rows are different customers: known: ["cust: no"]',
        ),
        (
            {"names": (SharedLabel(column=EQUAL_ROWS, rows=90, agreement=0.9),)},
            "90 rows equal another in everything",
            None,
        ),
    ],
)
@pytest.mark.parametrize("champion", [None, ComparedChampion(comparison=comparison(), is_old=False)])
def test_nothing_is_promoted_unless_customers_have_one_name_and_the_refusal_has_the_lines_to_write(
    more: dict[str, Any], reason: str, remedy: str | None, champion: ComparedChampion | None
) -> None:
    decision = decide(replace(evidence(champion=champion), **more))
    assert (decision.outcome, decision.moves_pointer) == ("refused", False)
    assert decision.reason.startswith(f"Nothing is promoted: {reason}")
    assert [line.startswith(remedy or "") for line in decision.remedies] == [True] * bool(remedy)
