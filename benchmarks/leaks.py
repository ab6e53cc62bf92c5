"""How often leak detection errs: honest columns that it suspects, and planted leaks that it misses.

    python -m benchmarks.leaks

On each table of shared/data every column counts as honest but those that are written after the fact (leads: Tags, Lead Quality). Then one
leak at a time is planted, in several strengths of each kind.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.tables import sample_rows, shared_rows, spec_of
from churn_model.errors import InputError
from churn_model.spec.dataset import Dataset
from churn_model.training.leak_detection import find_certain_leaks, find_suspected_leaks

RESULTS = Path(__file__).parent / "results"
ROWS = 6_000
TABLES = ("larose", "telco", "leads", "synthetic", "bank", "ecommerce", "hotel", "sample")
AFTER_THE_FACT = {"leads": frozenset({"Tags", "Lead Quality"})}

Plant = Callable[[np.ndarray, np.random.Generator], pa.Array]


def _texts(values: np.ndarray) -> pa.Array:
    return pa.array([str(value) for value in values]).dictionary_encode()


def _copied(wrong: float) -> Plant:
    return lambda y, random: pa.array(np.where(random.random(len(y)) < wrong, 1 - y, y).astype(np.float64))


def _noisy(shift: float) -> Plant:
    return lambda y, random: pa.array(shift * y + random.normal(size=len(y)))


def _late(leavers: float, stayers: float) -> Plant:
    """Minutes of a call that is made once a customer leaves."""
    return lambda y, random: pa.array(
        np.where(random.random(len(y)) < np.where(y == 1, leavers, stayers), 3 + 30 * random.random(len(y)), 0.0)
    )


def _category(leavers: float, stayers: float) -> Plant:
    return lambda y, random: _texts(
        np.where(
            random.random(len(y)) < np.where(y == 1, leavers, stayers),
            random.choice(["moved", "price", "rival"], len(y)),
            "none",
        )
    )


def _dated(leavers: float, stayers: float) -> Plant:
    """A day that is filled in for those who left."""
    return lambda y, random: pa.array(
        random.integers(19_000, 19_360, len(y)).astype(np.int32),
        mask=random.random(len(y)) >= np.where(y == 1, leavers, stayers),
    ).cast(pa.date32())


PLANTS: Mapping[str, Plant] = {
    "copied": _copied(0.0),
    "copied, 3% wrong": _copied(0.03),
    "copied, 10% wrong": _copied(0.10),
    "noisy, 1.5 sd apart": _noisy(1.5),
    "noisy, 2.5 sd apart": _noisy(2.5),
    "late, 60% of leavers, 1% of stayers": _late(0.6, 0.01),
    "late, 70% and 6%": _late(0.7, 0.06),
    "categorical, 80% and 2%": _category(0.8, 0.02),
    "dated, 85% and 5%": _dated(0.85, 0.05),
    "dated, 95% and 0%": _dated(0.95, 0.0),
}


def rows_of(name: str) -> tuple[pa.Table, Dataset]:
    """Return at most ROWS rows of a table, and its spec without anything that vouches for or sets aside a leak."""
    dataset = replace(spec_of(name), known=())
    if name == "leads":
        dataset = replace(dataset, ignore=("row_number", "Lead Number"))
    rows = sample_rows(ROWS, dataset)[0] if name == "sample" else shared_rows(name, dataset)
    return rows.slice(0, ROWS), dataset


def judge(rows: pa.Table, dataset: Dataset) -> dict[str, str]:
    """Return each noticed column, and whether it is certain or suspected."""
    certain = {leak.column: "certain" for leak in find_certain_leaks(rows, dataset)}
    rest = rows.drop_columns(list(certain))
    return certain | {leak.column: "suspected" for leak in find_suspected_leaks(rest, dataset, threads=1)}


def measure(name: str) -> dict[str, object]:
    """Return a table's false alarms and misses without a planted leak, and what becomes of each planted one."""
    rows, dataset = rows_of(name)
    y = rows["_label"].to_numpy()
    known = AFTER_THE_FACT.get(name, frozenset())
    found = judge(rows, dataset)
    planted = {}
    for plant, make in PLANTS.items():
        random = np.random.default_rng(1)
        planted[plant] = judge(rows.append_column("planted", make(y, random)), dataset).get("planted", "missed")
    return {
        "columns": sum(not name.startswith("_") for name in rows.column_names),
        "false_alarms": sorted(set(found) - known),
        "known_missed": sorted(known - set(found)),
        "planted": planted,
    }


def markdown(found: Mapping[str, dict[str, object]]) -> str:
    """Return the result as tables."""
    lines = ["# Leaks: false alarms and misses", "", "`python -m benchmarks.leaks`", ""]
    lines += ["| table | columns | honest columns noticed | known leaks missed |", "|---|---|---|---|"]
    for name, one in found.items():
        alarms, missed = (", ".join(map(str, one[key])) or "none" for key in ("false_alarms", "known_missed"))  # type: ignore[call-overload]
        lines.append(f"| {name} | {one['columns']} | {alarms} | {missed} |")
    lines += ["", f"| planted | {' | '.join(found)} |", f"|---|{'---|' * len(found)}"]
    for plant in PLANTS:
        lines.append(f"| {plant} | {' | '.join(one['planted'][plant] for one in found.values())} |")  # type: ignore[index]
    lines += [
        "",
        "*Certain* blocks the run; the model does without a *suspected* column. A missed leak is one whose values many stayers share, or that",
        "others stand in for: it cannot be told from an honest strong column by the data alone.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure all tables, print and keep what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", default=list(TABLES))
    found = {}
    for name in parser.parse_args().tables:
        try:
            found[name] = measure(name)
        except InputError as error:
            print(error)
    text = markdown(found)
    print(text)
    (RESULTS / "leaks.md").write_text(text, "utf-8")
    (RESULTS / "leaks.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
