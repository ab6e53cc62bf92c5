"""The plots of a report."""

import struct
from collections.abc import Callable
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest

from churn_assets.reporting import plots
from churn_model.decisions.policy import Policy
from churn_model.evaluation.cost_curve import GRID, SearchedCutoff
from churn_model.evaluation.metrics import Confusion, Estimate, Evaluation, Scores, evaluate
from churn_model.evaluation.reliability import CalibrationBin
from churn_model.models.reason_summary import ReasonSummary
from churn_model.records import from_plain, to_plain
from churn_model.spec.sections.costs import Costs

HOSTILE = ["$\\frac{$", "<script>alert(1)</script>", "客户 😀 متجر", "=1+1", "\x07\n\t", "x" * 300, ""]


NAN = float("nan")


def estimate(value: float) -> Estimate:
    return Estimate(value=value, median=value, low=value - 1, high=value + 1)


def evaluation(**cutoffs: float) -> Evaluation:
    """A real evaluation with a smooth cost curve and these cutoffs in use."""
    rng = np.random.default_rng(0)
    p = rng.random(200)
    found = evaluate(
        Scores(ids=np.arange(200), y=(rng.random(200) < p).astype(np.int8), p=p), Policy(Costs()), draws=20
    )
    cost = 100 - 80 * GRID + 90 * GRID**2
    return replace(
        found,
        curve=replace(found.curve, cost=cost, low=cost - 5, high=cost + 5),
        contacts=replace(found.contacts, **({"cutoff": 0.2, "cutoff_lowest": 0.2, "cutoff_highest": 0.2} | cutoffs)),  # type: ignore[arg-type]
        money=replace(found.money, cost=estimate(84.0), cost_everybody=100.0, cost_nobody=110.0),
    )


SEARCHED = SearchedCutoff(cutoff=0.24, low=0.15, high=0.36, cost=80.0)
BINS = [
    CalibrationBin(rows=200, predicted=0.05, observed=0.06, low=0.04, high=0.09),
    CalibrationBin(rows=0, predicted=NAN, observed=NAN, low=NAN, high=NAN),
    CalibrationBin(rows=1, predicted=0.95, observed=1.0, low=0.27, high=1.0),
]
CELLS = Confusion(
    true_positives=149,
    false_positives=171,
    false_negatives=25,
    true_negatives=355,
    true_positives_cost=14900.0,
    false_positives_cost=17100.0,
    false_negatives_cost=NAN,
    true_negatives_cost=0.0,
)


def summary(names: list[str], rows: int = 300) -> ReasonSummary:
    """A summary as it comes back from a report: an empty table has lost its width."""
    rng = np.random.default_rng(0)
    moved = rng.normal(size=(rows, len(names))) / (1 + np.arange(len(names)))
    values = rng.random((rows, len(names)))
    values[:, ::3] = np.nan
    sizes = np.abs(moved).mean(axis=0) if rows else np.zeros(len(names))
    made = ReasonSummary(names=tuple(names), mean_size=sizes, contributions=moved, values=values)
    return from_plain(ReasonSummary, to_plain(made))


DRAWN: dict[str, Callable[[], bytes]] = {
    "cost curve": lambda: plots.cost_curve(evaluation(), SEARCHED),
    "cost curve with a cutoff for each customer": lambda: plots.cost_curve(
        evaluation(cutoff_lowest=0.1, cutoff_highest=0.7), SEARCHED
    ),
    "cost curve where some are never contacted": lambda: plots.cost_curve(evaluation(cutoff_highest=NAN), SEARCHED),
    "cost curve where nobody is": lambda: plots.cost_curve(
        evaluation(cutoff_lowest=NAN, cutoff_highest=NAN), SearchedCutoff(cutoff=NAN, low=NAN, high=NAN, cost=NAN)
    ),
    "cost curve without a searched cutoff": lambda: plots.cost_curve(evaluation(), None),
    "calibration": lambda: plots.calibration(BINS),
    "calibration of nobody": lambda: plots.calibration([]),
    "reasons": lambda: plots.reasons(summary(HOSTILE)),
    "contributions": lambda: plots.contributions(summary(HOSTILE * 3)),
    "contributions all equal": lambda: plots.contributions(replace(summary(["a"], 2), contributions=np.ones((2, 1)))),
    "contributions of nobody": lambda: plots.contributions(summary(["a"], 0)),
    "reasons without a column": lambda: plots.reasons(summary([])),
    "contributions without a column": lambda: plots.contributions(summary([])),
    "confusion": lambda: plots.confusion(CELLS),
}


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN.keys())
def test_every_plot_is_a_small_png_wide_enough_to_print(draw: Callable[[], bytes]) -> None:
    png = draw()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(png) < 60_000
    width, height = struct.unpack(">II", png[16:24])
    assert width == round(plots.WIDTH * 170)
    assert 200 < height < 1400


def test_the_same_figures_give_the_same_bytes_whatever_the_users_own_settings() -> None:
    before = plots.cost_curve(evaluation(), SEARCHED)
    with mpl.rc_context({"font.size": 20, "lines.linewidth": 9, "text.parse_math": True}):
        assert plots.cost_curve(evaluation(), SEARCHED) == before
        assert mpl.rcParams["font.size"] == 20


@pytest.mark.parametrize(
    ("change", "other"),
    [
        ("the cutoff in use", lambda: plots.cost_curve(evaluation(cutoff_lowest=0.3, cutoff_highest=0.3), SEARCHED)),
        ("the searched one", lambda: plots.cost_curve(evaluation(), replace(SEARCHED, cutoff=0.3))),
        ("its range", lambda: plots.cost_curve(evaluation(), replace(SEARCHED, high=0.5))),
    ],
)
def test_the_cost_curve_shows(change: str, other: Callable[[], bytes]) -> None:
    assert other() != plots.cost_curve(evaluation(), SEARCHED), change


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("tenure", "tenure"),
        ("a\n b", "a b"),
        ("客户", "□□"),
        ("$x_1$", "$x_1$"),
        ("x" * 40, "x" * 25 + "…"),
        ("\x07", "□"),
    ],
)
def test_a_name_is_drawn_as_it_stands_with_boxes_for_what_the_font_lacks(name: str, shown: str) -> None:
    assert plots.drawable(name) == shown
