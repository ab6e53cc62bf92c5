"""Draw the plots of a report as PNGs: the same figures give the same bytes.

Names of columns are data: they are drawn as text, never parsed as formulas, and a character that the font lacks becomes a box.
matplotlib takes a second to import, so it is imported in the functions that use it; no plot touches pyplot's global state.
"""

import importlib
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.reporting.page_templates import readable
from churn_model.arrays import FloatArray
from churn_model.evaluation.cost_curve import CostCurve, SearchedCutoff
from churn_model.evaluation.metrics import Confusion, Contacts, Evaluation, Money
from churn_model.evaluation.reliability import CalibrationBin
from churn_model.models.reason_summary import ReasonSummary
from churn_model.wording import is_known, one_line, usd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 5.2
"""Inches: narrow, so that letters stay readable on a phone."""
MOST_REASONS = 12
_DPI = 170
_COLOURS = 96
_FONT = "DejaVu Sans"
_LONGEST = 26
_INK, _GREY, _PALE = "#1d2733", "#8a94a0", "#dfe4ea"
_BLUE, _ORANGE, _RED, _GREEN = "#1f5fa8", "#d97706", "#b3362b", "#2d7d46"
_UNDER = {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1}
_STYLE = {
    "font.family": _FONT,
    "font.size": 10,
    "text.parse_math": False,
    "text.usetex": False,
    "text.color": _INK,
    "axes.edgecolor": _GREY,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
}


def cost_curve(evaluation: Evaluation, searched: SearchedCutoff | None) -> bytes:
    """Cost per customer over the cutoff on the test rows, with the cutoff in use and the one that a search on training rows would choose.

    `searched`: None if the training did not report it. If worth is a column, cutoffs differ by customer, and their range is drawn.
    """

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        _draw_curve(axes, evaluation.curve)
        if searched:
            _draw_searched(axes, searched)
        _draw_cutoff_in_use(axes, evaluation.contacts, evaluation.money.cost.value)
        axes.set_xlim(0, 1)
        axes.set_xlabel("cutoff: contact everybody from this probability on")
        axes.set_ylabel("cost per customer")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.yaxis.set_major_formatter(lambda value, _: f"${value:,.0f}")
        _draw_ends(axes, evaluation.money)
        figure.legend(loc="outside lower center", ncols=2)

    return _render(draw, height=4.3)


def _draw_curve(axes: "Axes", curve: CostCurve) -> None:
    axes.fill_between(
        curve.cutoff, curve.low, curve.high, color=_BLUE, alpha=0.15, linewidth=0, label="range (90% of resamples)"
    )
    axes.plot(curve.cutoff, curve.cost, color=_BLUE, linewidth=1.8, label="cost per customer")


def _draw_searched(axes: "Axes", searched: SearchedCutoff) -> None:
    if is_known(searched.low) and is_known(searched.high):
        axes.axvspan(searched.low, searched.high, color=_ORANGE, alpha=0.16, linewidth=0)
    if is_known(searched.cutoff):
        label = f"searched cutoff {searched.cutoff:.0%}"
        axes.axvline(searched.cutoff, color=_ORANGE, linestyle="--", linewidth=1.4, label=label)


def _draw_cutoff_in_use(axes: "Axes", contacts: Contacts, cost: float) -> None:
    lowest, highest = contacts.cutoff_lowest, contacts.cutoff_highest
    if not np.isfinite(lowest):
        return
    if lowest == highest:
        axes.axvline(lowest, color=_INK, linewidth=1.4, label=f"cutoff in use {lowest:.0%}")
        if is_known(cost):
            axes.plot([lowest], [cost], "o", color=_INK, markersize=6)
        return
    right = highest if np.isfinite(highest) else 1.0
    axes.axvspan(lowest, right, color=_INK, alpha=0.07, linewidth=0, label="cutoffs in use")
    if is_known(cost):
        axes.axhline(cost, color=_INK, linewidth=1.4, label=f"a cutoff for each customer: {usd(cost)}")


def _draw_ends(axes: "Axes", money: Money) -> None:
    ends = ((0.015, "everybody", "left", money.cost_everybody), (0.985, "nobody", "right", money.cost_nobody))
    for place, who, side, cost in ends:
        if is_known(cost):
            axes.annotate(
                f"contact {who}: {usd(cost)}",
                (place, cost),
                (0, 4),
                textcoords="offset points",
                ha=side,
                va="bottom",
                fontsize=9,
                bbox=_UNDER,
            )
    axes.margins(y=0.12)


def calibration(bins: Sequence[CalibrationBin]) -> bytes:
    """Observed against predicted shares, bin by bin, with 90% intervals, and the number of customers in each bin."""
    shown = [each for each in bins if each.rows and is_known(each.predicted) and is_known(each.observed)]

    def draw(figure: "Figure") -> None:
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        _draw_reliability(axes, shown)
        _draw_bin_sizes(below, shown)
        for axis in (axes.yaxis, below.xaxis):
            axis.set_major_formatter(lambda value, _: f"{value:.0%}")

    return _render(draw, height=4.6)


def _draw_reliability(axes: "Axes", bins: Sequence[CalibrationBin]) -> None:
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", linewidth=1.2, label="as predicted")
    below = [max(each.observed - each.low, 0) for each in bins]
    above = [max(each.high - each.observed, 0) for each in bins]
    axes.errorbar(
        [each.predicted for each in bins],
        [each.observed for each in bins],
        yerr=np.array([below, above]),
        fmt="o",
        color=_BLUE,
        ecolor=_BLUE,
        elinewidth=1.2,
        markersize=5,
        label="observed (90% interval)",
    )
    axes.set_ylim(-0.03, 1.03)
    axes.set_ylabel("share that left")
    axes.legend(loc="upper left")


def _draw_bin_sizes(axes: "Axes", bins: Sequence[CalibrationBin]) -> None:
    axes.bar([each.predicted for each in bins], [each.rows for each in bins], width=0.07, color=_PALE)
    for each in bins:
        place = (each.predicted, each.rows)
        axes.annotate(f"{each.rows:,}", place, (0, 1), textcoords="offset points", ha="center", va="bottom", fontsize=8)
    axes.margins(y=0.35)
    axes.set_yticks([])
    axes.set_ylabel("customers")
    axes.set_xlim(-0.03, 1.03)
    axes.set_xlabel("predicted probability of leaving")


def reasons(summary: ReasonSummary) -> bytes:
    """Mean size of each reason's contribution, the largest on top."""
    names, sizes = summary.names[:MOST_REASONS], summary.mean_size[:MOST_REASONS]

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        places = np.arange(len(names))
        axes.barh(places, np.nan_to_num(sizes), color=_BLUE, height=0.66)
        for place, size in zip(places, sizes, strict=True):
            if np.isfinite(size):
                axes.annotate(f"{size:.2f}", (size, place), (3, 0), textcoords="offset points", va="center", fontsize=9)
        _label_lines(axes, names)
        axes.margins(x=0.12)
        axes.set_xlabel("mean size of the contribution, in log odds")

    return _render(draw, height=_height(len(names)))


def contributions(summary: ReasonSummary) -> bytes:
    """Draw a dot for each sampled customer and reason: how far it moves the risk, coloured by how large the customer's value is."""
    names = summary.names[:MOST_REASONS]
    shape = (
        len(summary.contributions),
        len(summary.names),
    )  # an empty table comes back from a report without its width
    moved, values = (table.reshape(shape)[:, : len(names)] for table in (summary.contributions, summary.values))

    def draw(figure: "Figure") -> None:
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import LinearSegmentedColormap

        shades = LinearSegmentedColormap.from_list("value", [_BLUE, "#b9a7c9", _RED])
        axes = figure.add_subplot()
        axes.axvline(0, color=_GREY, linewidth=0.9, zorder=0)
        for place in range(len(names)):
            _swarm(axes, place, moved[:, place], values[:, place], shades)
        _label_lines(axes, names)
        axes.set_xlabel("← lowers the risk      raises the risk →\ncontribution in log odds")
        bar = figure.colorbar(ScalarMappable(cmap=shades), ax=axes, aspect=40, pad=0.02, ticks=[0, 1])
        bar.ax.set_yticklabels(["low", "high"])
        bar.set_label("customer's value (grey: category or missing)", labelpad=-12)
        bar.outline.set_visible(False)

    return _render(draw, height=_height(len(names)) + 0.3)


def _swarm(axes: "Axes", place: int, moved: FloatArray, values: FloatArray, shades: Any) -> None:
    known = np.isfinite(moved)
    moved, values = moved[known], values[known]
    if not len(moved):
        return
    heights = place + _spread(moved)
    graded = np.isfinite(values)
    axes.scatter(moved[~graded], heights[~graded], s=4, color=_GREY, linewidths=0)
    axes.scatter(moved[graded], heights[graded], s=4, c=values[graded], cmap=shades, vmin=0, vmax=1, linewidths=0)


def _spread(moved: FloatArray) -> FloatArray:
    """Return how far above or below its line to draw each dot, so that equal ones do not overlap: -0.4 to 0.4, (m,)."""
    width = float(np.ptp(moved)) or 1.0
    bins = np.round(60 * (moved - moved.min()) / width).astype(np.int64)
    order = np.argsort(bins, kind="stable")
    starts = np.searchsorted(bins[order], np.arange(61))
    rank = np.empty(len(moved), dtype=np.int64)
    rank[order] = np.arange(len(moved)) - starts[bins[order]]
    offset = np.where(rank % 2 == 0, 1, -1) * ((rank + 1) // 2)
    return np.asarray(0.4 * offset / max(8, int(np.abs(offset).max())))


def confusion(cells: Confusion) -> bytes:
    """Draw customers and money in each of the four cells."""
    grid = (
        (0, 0, _GREEN, cells.true_positives, cells.true_positives_cost),
        (0, 1, _ORANGE, cells.false_negatives, cells.false_negatives_cost),
        (1, 0, _ORANGE, cells.false_positives, cells.false_positives_cost),
        (1, 1, _GREEN, cells.true_negatives, cells.true_negatives_cost),
    )

    def draw(figure: "Figure") -> None:
        from matplotlib.patches import Rectangle

        axes = figure.add_subplot()
        for row, column, colour, customers, cost in grid:
            axes.add_patch(Rectangle((column, row), 0.97, 0.95, color=colour, alpha=0.16, linewidth=0))
            axes.text(column + 0.485, row + 0.4, f"{customers:,}", ha="center", va="center", fontsize=17)
            axes.text(column + 0.485, row + 0.7, usd(cost, cents=False), ha="center", va="center")
        axes.set_xlim(0, 2)
        axes.set_ylim(2, 0)
        axes.set_xticks([0.5, 1.5], ["contacted", "not contacted"])
        axes.set_yticks([0.5, 1.5], ["left", "stayed"])
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)

    return _render(draw, height=2.9)


def _label_lines(axes: "Axes", names: Sequence[str]) -> None:
    """Label a line for each name, the first on top, numbered as in the page's own list."""
    labels = [f"{drawable(readable(name))}  {number}" for number, name in enumerate(names, 1)]
    axes.set_yticks(range(len(names)), labels)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _height(lines: int) -> float:
    return 1.0 + 0.31 * max(2, lines)


def drawable(name: str) -> str:
    """Return a name on one line, shortened if it is long, with boxes for what the font cannot draw."""
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont(_FONT))
    return "".join(letter if font.get_char_index(ord(letter)) else "□" for letter in one_line(name, _LONGEST))


def load_libraries() -> None:
    """Import what drawing needs."""
    for name in ("matplotlib.backends.backend_agg", "matplotlib.figure", "matplotlib.font_manager", "PIL.Image"):
        importlib.import_module(name)


def _render(draw: Callable[["Figure"], None], *, height: float) -> bytes:
    """Return what `draw` puts on a figure as a PNG of few colours, without date or version."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    with _own_style():
        figure = Figure(figsize=(WIDTH, height), dpi=_DPI, layout="constrained", facecolor="white")
        canvas: Any = FigureCanvasAgg(figure)
        draw(figure)
        canvas.draw()
        drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())[:, :, :3])
    few = drawn.quantize(_COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    small = io.BytesIO()
    few.save(small, format="PNG", compress_level=6)  # the last tenth of the size costs seven times the time
    return small.getvalue()


@contextmanager
def _own_style() -> Iterator[None]:
    """Draw in one style, whatever a user's own matplotlibrc says."""
    import matplotlib

    settings: dict[Any, Any] = {**matplotlib.rcParamsDefault, **_STYLE, "backend": "agg"}
    with matplotlib.rc_context(settings):
        yield
