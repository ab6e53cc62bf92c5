"""What the cross-validation's figures are held against, and how they are shown."""

import datetime
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost

from benchmarks import other_boosters
from benchmarks.machine import machine

Means = Mapping[str, float]
Tables = Mapping[str, Mapping[str, Mapping[str, float]]]


@dataclass(frozen=True)
class Target:
    """What a figure of a table has to be: from `least` to `most`."""

    table: str
    what: str
    wanted: str
    measure: Callable[[Means], float]
    least: float = -float("inf")
    most: float = float("inf")


TARGETS = (
    Target("larose", "cost at 0.2, $", "at most 22.4", lambda means: means["ours cost"], most=22.4),
    Target("larose", "log loss", "at most 0.107", lambda means: means["ours log loss"], most=0.107),
    Target(
        "larose",
        "below the workshop's at 0.2, $",
        "at least 5.0",
        lambda means: means["workshop cost"] - means["ours cost"],
        least=5.0,
    ),
    Target(
        "larose",
        "below the workshop's cheaper cutoff, $",
        "at least 5.0",
        lambda means: min(means["workshop cost"], means["workshop cost searched"]) - means["ours cost"],
        least=5.0,
    ),
    Target("telco", "log loss", "at most 0.412", lambda means: means["ours log loss"], most=0.412),
    Target("telco", "cost at 0.2, $", "at most 65.2", lambda means: means["ours cost"], most=65.2),
    Target(
        "telco",
        "cost at 0.2 above the workshop's, $",
        "at most 0.2",
        lambda means: means["ours cost"] - means["workshop cost"],
        most=0.2,
    ),
    Target("telco", "ECE", "at most 0.016", lambda means: means["ours ece"], most=0.016),
    Target("telco", "calibration slope", "0.9 to 1.1", lambda means: means["ours slope"], least=0.9, most=1.1),
    Target(
        "sample", "log loss over the oracle's", "at most 0.03", lambda means: means["log loss over oracle"], most=0.03
    ),
)


def summarise(repeats: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """Return for each table and figure the mean over its repeats and their standard deviation."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name in dict.fromkeys(str(each["table"]) for each in repeats):
        mine = [each for each in repeats if each["table"] == name]
        values = {key: [each[key] for each in mine] for key in mine[0] if key not in ("table", "seed", "repeat")}
        found[name] = {key: {"mean": float(np.mean(each)), "sd": float(np.std(each))} for key, each in values.items()}
    return found


def describe_machine() -> dict[str, str]:
    """Return what it ran on."""
    today = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    return {"date": today, "machine": machine(), "xgboost": xgboost.__version__, "load": f"{os.getloadavg()[0]:.0f}"}


def compare_with_targets(tables: Tables) -> list[tuple[str, float, str, bool]]:
    """Return for each target what is measured, the figure, what is wanted, and whether it is reached."""
    rows = []
    for name, figures in tables.items():
        means = {key: value["mean"] for key, value in figures.items()}
        for target in (*(each for each in TARGETS if each.table == name), *_other_boosters(name, means)):
            measured = target.measure(means)
            rows.append((f"{name}: {target.what}", measured, target.wanted, target.least <= measured <= target.most))
    return rows


def _other_boosters(name: str, means: Means) -> Iterator[Target]:
    for other in other_boosters.FITS:
        if (theirs := means.get(f"{other} log loss")) is not None:
            yield Target(
                name, f"log loss against {other}'s", f"at most {theirs:.4f}", lambda m: m["ours log loss"], most=theirs
            )


def markdown(result: Mapping[str, Any]) -> str:
    """Return the result as tables."""
    about = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
    lines = [f"# Cross-validation\n\n`{result['command']}`: {about}; {result['minutes']:.1f} minutes.\n"]
    lines += ["| target | measured | wanted | |", "|---|---|---|---|"]
    lines += [
        f"| {what} | {measured:.4f} | {wanted} | {'reached' if ok else '**missed**'} |"
        for what, measured, wanted, ok in result["targets"]
    ]
    for name, figures in result["tables"].items():
        lines += [f"\n## {name}\n", "| mean over repeats ± sd | ours | workshop's |", "|---|---|---|"]
        for key in ("cost", "cost searched", "log loss", "auc", "ece", "slope"):
            cells = [
                f"{figures[f'{who} {key}']['mean']:.4f} ± {figures[f'{who} {key}']['sd']:.4f}"
                for who in ("ours", "workshop")
            ]
            lines.append(f"| {key} | {' | '.join(cells)} |")
        for other in other_boosters.FITS:
            if f"{other} cost" in figures:
                cost_of, loss = figures[f"{other} cost"], figures[f"{other} log loss"]
                lines.append(f"\n{other}: cost {cost_of['mean']:.4f}, log loss {loss['mean']:.4f}.")
        lines.append(f"\nOne training: {figures['training_seconds']['mean']:.1f} s on one core.")
    if result["own_split"]:
        lines += ["\n## The workshop's table on its own split\n", "| | $ a customer |", "|---|---|"]
        lines += [f"| {key} | {value:.2f} |" for key, value in result["own_split"].items() if key != "ours, log loss"]
        lines.append(f"\nOur log loss there: {result['own_split']['ours, log loss']:.4f}")
    return "\n".join(lines) + "\n"
