"""The page that sets two models against each other, for a manager."""

import re
from dataclasses import replace
from typing import Any

import pytest

from churn_assets.reporting.comparison_page import ComparedModel, ComparisonFacts, page
from churn_model.evaluation.comparison import Agreement, Group
from churn_model.evaluation.metrics import Estimate
from churn_model.reports.compare import CompareCounts, CompareReport, ModelFigures
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.label import Label

SCRIPT = "<script>alert(1)</script>"


def estimate(value: float, low: float | None = None, high: float | None = None) -> Estimate:
    return Estimate(
        value=value, median=0.0, low=value - 1 if low is None else low, high=value + 1 if high is None else high
    )


def figures(cost: float, contacted: int) -> ModelFigures:
    return ModelFigures(
        log_loss=estimate(0.3),
        auc=estimate(0.8),
        cost=estimate(cost),
        saving=estimate(90 - cost),
        calibration_slope=estimate(1.05),
        contacted=contacted,
        leavers_reached=contacted // 3,
    )


def facts(**other: Any) -> ComparisonFacts:
    report = CompareReport(
        counts=CompareCounts(rows=1000, left_out=20, leavers=160),
        first_version="aaa",
        second_version="bbb",
        customers=300,
        same_probabilities=False,
        log_loss_difference=estimate(-0.01, -0.02, 0.001),
        cost_difference=estimate(-2.0, -3.5, -0.5),
        first=figures(66.0, 146),
        second=figures(64.0, 90),
        auc_difference=estimate(0.011, -0.01, 0.03),
        decisions=Agreement(
            both=Group(rows=80, leavers=40),
            only_first=Group(rows=66, leavers=8),
            only_second=Group(rows=10, leavers=5),
            neither=Group(rows=844, leavers=107),
        ),
        better_without_model="nobody",
        assumed_success=0.3,
    )
    models = [
        ComparedModel(letter="A", version="aaa", role="champion", trained_on="2026-04-01"),
        ComparedModel(letter="B", version=f"bbb{SCRIPT}", role="", trained_on="2026-05-01"),
    ]
    dataset = Dataset(name="shop", id="id", label=Label(column="left", positive=("yes",), means=f"cancelled {SCRIPT}"))
    return ComparisonFacts(dataset=dataset, report=replace(report, **other), models=models)


def shown(text: str) -> str:
    """Return what a reader sees, on one line."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text.partition("<body>")[2]))


def test_the_decision_comes_first_in_money_with_what_it_rests_on() -> None:
    text = shown(page(facts()))
    for words in (
        "1,000 rows of 300 customers that neither had seen; 160 of the rows are of leavers. 20 rows are left out",
        "A : the champion, version aaa , trained on 2026-04-01.",
        "B saves $2.00 more per customer than A",
        "More than chance explains: $0.50 to $3.50 per customer, if 30% of contacted leavers stay.",
        "A contacts 146 and reaches 48 leavers; B contacts 90 and reaches 30 leavers of 160.",
        "Saved per customer, against contacting nobody $24.00 $26.00 $2.00 $0.50 to $3.50",
        "Cost per customer (lower is better) $66.00 $64.00 -$2.00 -$3.50 to -$0.50",
        "A alone 66 8",
        "This promotes nothing",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"cost_difference": estimate(1.0, -1.0, 3.0)}, "A saves $1.00 more per customer than B, which chance may explain"),
        ({"cost_difference": estimate(1.0, -1.0, 3.0)}, "B minus A costs -$1.00 to $3.00 per customer"),
        ({"same_probabilities": True}, "Both give every customer the same probability"),
        ({"counts": CompareCounts(rows=0, left_out=20, leavers=0), "first": None, "second": None}, "Nothing to compare"),
        ({"auc_difference": None}, "0.800 0.800 not evaluated by that version"),
        ({"customers": 1000}, "160 of the customers are leavers"),
    ],
)  # fmt: skip
def test_what_is_not_sure_or_not_there_is_said(other: dict[str, Any], words: str) -> None:
    assert words in shown(page(facts(**other)))


def test_nothing_of_the_data_is_more_than_text() -> None:
    assert "<script" not in page(facts()).lower()
