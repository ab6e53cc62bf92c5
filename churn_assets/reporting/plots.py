"""The plots of a report, as PNGs: the same figures give the same bytes.

Belongs here: drawing. Does not belong here: words around a plot (`reports.py` and its template), computing what is drawn (`churn_model`).
Names of columns are data: they are drawn as they stand, never read as formulas, and a character that the font lacks becomes a box.

matplotlib takes a second to import and is imported where it is used; figures are objects of their own, without pyplot's global state.
"""

import importlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.reporting.formatting import one_line, usd
from churn_model.spec.dataset import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Plain = Mapping[str, Any]
"""A dataclass of `churn_model` as a step's report holds it: None stands for a number that is not finite."""

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


def cost_curve(evaluation: Plain, searched: Plain) -> bytes:
    """Cost a customer over the cutoff on the test rows, with the cutoff in use and the one that a search on training rows would choose.

    `searched`: the `searched_cutoff` of the training. Where worth is a column, cutoffs differ by customer: their range is drawn.
    """
    curve, contacts, money = evaluation["curve"], evaluation["contacts"], evaluation["money"]
    cutoff, cost, low, high = (_numbers(curve[name]) for name in ("cutoff", "cost", "low", "high"))

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        axes.fill_between(cutoff, low, high, color=_BLUE, alpha=0.15, linewidth=0, label="range (90 % of resamples)")
        axes.plot(cutoff, cost, color=_BLUE, linewidth=1.8, label="cost per customer")
        if searched["low"] is not None and searched["high"] is not None:
            axes.axvspan(searched["low"], searched["high"], color=_ORANGE, alpha=0.16, linewidth=0)
        if searched["cutoff"] is not None:
            axes.axvline(
                searched["cutoff"],
                color=_ORANGE,
                linestyle="--",
                linewidth=1.4,
                label=f"searched cutoff {searched['cutoff']:.0%}",
            )
        _chosen(axes, contacts, money["cost"]["value"])
        axes.set_xlim(0, 1)
        axes.set_xlabel("cutoff: contact everybody from this probability on")
        axes.set_ylabel("cost per customer")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.yaxis.set_major_formatter(lambda value, _: f"${value:,.0f}")
        _ends(axes, money)
        figure.legend(loc="outside lower center", ncols=2)

    return _drawn(draw, height=4.3)


def _chosen(axes: "Axes", contacts: Plain, cost: float | None) -> None:
    lowest, highest = contacts["cutoff_lowest"], contacts["cutoff_highest"]
    if lowest is None:
        return
    if lowest == highest:
        axes.axvline(lowest, color=_INK, linewidth=1.4, label=f"cutoff in use {lowest:.0%}")
        if cost is not None:
            axes.plot([lowest], [cost], "o", color=_INK, markersize=6)
        return
    axes.axvspan(
        lowest, 1.0 if highest is None else highest, color=_INK, alpha=0.07, linewidth=0, label="cutoffs in use"
    )
    if cost is not None:
        axes.axhline(cost, color=_INK, linewidth=1.4, label=f"a cutoff for each customer: {usd(cost)}")


def _ends(axes: "Axes", money: Plain) -> None:
    for place, name, side in ((0.015, "everybody", "left"), (0.985, "nobody", "right")):
        cost = money[f"cost_{name}"]
        if cost is not None:
            axes.annotate(
                f"contact {name}: {usd(cost)}",
                (place, cost),
                (0, 4),
                textcoords="offset points",
                ha=side,
                va="bottom",
                fontsize=9,
                bbox=_UNDER,
            )
    axes.margins(y=0.12)


def calibration(bins: Sequence[Plain]) -> bytes:
    """What was predicted against what came, bin by bin, with 90 % intervals, and how many customers are in each bin."""
    shown = [each for each in bins if each["rows"] and each["predicted"] is not None and each["observed"] is not None]
    predicted, observed, rows = (_numbers([each[name] for each in shown]) for name in ("predicted", "observed", "rows"))
    low, high = (_numbers([each[name] for each in shown]) for name in ("low", "high"))

    def draw(figure: "Figure") -> None:
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", linewidth=1.2, label="as predicted")
        reach = np.vstack([np.maximum(observed - low, 0), np.maximum(high - observed, 0)])
        axes.errorbar(
            predicted,
            observed,
            yerr=reach,
            fmt="o",
            color=_BLUE,
            ecolor=_BLUE,
            elinewidth=1.2,
            markersize=5,
            label="what came (90 % interval)",
        )
        axes.set_ylim(-0.03, 1.03)
        axes.set_ylabel("share that left")
        axes.legend(loc="upper left")
        below.bar(predicted, rows, width=0.07, color=_PALE)
        for x, count in zip(predicted, rows, strict=True):
            below.annotate(
                f"{count:,.0f}", (x, count), (0, 1), textcoords="offset points", ha="center", va="bottom", fontsize=8
            )
        below.margins(y=0.35)
        below.set_yticks([])
        below.set_ylabel("customers")
        below.set_xlim(-0.03, 1.03)
        below.set_xlabel("predicted probability of leaving")
        for axis in (axes.yaxis, below.xaxis):
            axis.set_major_formatter(lambda value, _: f"{value:.0%}")

    return _drawn(draw, height=4.6)


def reasons(summary: Plain) -> bytes:
    """Mean size of each reason's contribution, the largest on top."""
    names, sizes = summary["names"][:MOST_REASONS], _numbers(summary["mean_size"])[:MOST_REASONS]

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        places = np.arange(len(names))
        axes.barh(places, np.nan_to_num(sizes), color=_BLUE, height=0.66)
        for place, size in zip(places, sizes, strict=True):
            if np.isfinite(size):
                axes.annotate(f"{size:.2f}", (size, place), (3, 0), textcoords="offset points", va="center", fontsize=9)
        _named(axes, names)
        axes.margins(x=0.12)
        axes.set_xlabel("mean size of the contribution, in log odds")

    return _drawn(draw, height=_height(len(names)))


def contributions(summary: Plain) -> bytes:
    """A dot for each sampled customer and reason: how far it moves the risk, coloured by how large the customer's value is."""
    names = summary["names"][:MOST_REASONS]
    shape = (len(summary["contributions"]), len(summary["names"]))
    moved, values = (_numbers(summary[name]).reshape(shape)[:, : len(names)] for name in ("contributions", "values"))

    def draw(figure: "Figure") -> None:
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import LinearSegmentedColormap

        shades = LinearSegmentedColormap.from_list("value", [_BLUE, "#b9a7c9", _RED])
        axes = figure.add_subplot()
        axes.axvline(0, color=_GREY, linewidth=0.9, zorder=0)
        for place in range(len(names)):
            _swarm(axes, place, moved[:, place], values[:, place], shades)
        _named(axes, names)
        axes.set_xlabel("← lowers the risk      raises the risk →\ncontribution in log odds")
        bar = figure.colorbar(ScalarMappable(cmap=shades), ax=axes, aspect=40, pad=0.02, ticks=[0, 1])
        bar.ax.set_yticklabels(["low", "high"])
        bar.set_label("customer's value (grey: category or missing)", labelpad=-12)
        bar.outline.set_visible(False)

    return _drawn(draw, height=_height(len(names)) + 0.3)


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
    """How far above or below its line each dot is drawn, so that equal ones lie beside each other: -0.4 to 0.4, (m,)."""
    width = float(np.ptp(moved)) or 1.0
    bins = np.round(60 * (moved - moved.min()) / width).astype(np.int64)
    order = np.argsort(bins, kind="stable")
    starts = np.searchsorted(bins[order], np.arange(61))
    rank = np.empty(len(moved), dtype=np.int64)
    rank[order] = np.arange(len(moved)) - starts[bins[order]]
    offset = np.where(rank % 2 == 0, 1, -1) * ((rank + 1) // 2)
    return np.asarray(0.4 * offset / max(8, int(np.abs(offset).max())))


def confusion(cells: Plain) -> bytes:
    """Customers and money in each of the four cells."""
    grid = (("true_positives", "false_negatives"), ("false_positives", "true_negatives"))
    good = {"true_positives", "true_negatives"}

    def draw(figure: "Figure") -> None:
        from matplotlib.patches import Rectangle

        axes = figure.add_subplot()
        for row, names in enumerate(grid):
            for column, name in enumerate(names):
                axes.add_patch(
                    Rectangle(
                        (column, row), 0.97, 0.95, color=_GREEN if name in good else _ORANGE, alpha=0.16, linewidth=0
                    )
                )
                cost = cells[f"{name}_cost"]
                axes.text(column + 0.485, row + 0.4, f"{cells[name]:,}", ha="center", va="center", fontsize=17)
                axes.text(column + 0.485, row + 0.7, usd(cost, cents=False), ha="center", va="center")
        axes.set_xlim(0, 2)
        axes.set_ylim(2, 0)
        axes.set_xticks([0.5, 1.5], ["contacted", "not contacted"])
        axes.set_yticks([0.5, 1.5], ["left", "stayed"])
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)

    return _drawn(draw, height=2.9)


def _named(axes: "Axes", names: Sequence[str]) -> None:
    """A line for each name, the first on top, numbered as in the page's own list."""
    labels = [f"{drawable(name)}  {number}" for number, name in enumerate(names, 1)]
    axes.set_yticks(range(len(names)), labels)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _height(lines: int) -> float:
    return 1.0 + 0.31 * max(2, lines)


def drawable(name: str) -> str:
    """A name on one line, shortened where it is long, with boxes for what the font cannot draw."""
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont(_FONT))
    return "".join(letter if font.get_char_index(ord(letter)) else "□" for letter in one_line(name, _LONGEST))


def _numbers(values: Any) -> FloatArray:
    """Plain values as an array, NaN for None."""
    return np.array(values, dtype=np.float64)


def load_libraries() -> None:
    """Import what drawing needs. It takes a second, which a thread may spend while a step's process works."""
    for name in ("matplotlib.backends.backend_agg", "matplotlib.figure", "matplotlib.font_manager", "PIL.Image"):
        importlib.import_module(name)


def _drawn(draw: Callable[["Figure"], None], *, height: float) -> bytes:
    """What `draw` puts on a figure, as a PNG of few colours without date or version."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    with _styled():
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
def _styled() -> Iterator[None]:
    """One look, whatever a user's own matplotlibrc says."""
    import matplotlib

    look: dict[Any, Any] = {**matplotlib.rcParamsDefault, **_STYLE, "backend": "agg"}
    with matplotlib.rc_context(look):
        yield
