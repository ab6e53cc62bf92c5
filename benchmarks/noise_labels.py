"""Noise labels: real features with the label shuffled, through split, search, calibration, evaluation and gate. None should be promoted.

    python -m benchmarks.noise_labels [--tables larose telco sample] [--labels 10] [--small-labels 50] [--leavers 60 100 150 250]

Whole tables are judged on their test split. For small tables, rows are drawn from the same tables until so many customers left; what the spec
leaves open is chosen by size, so below 200 leavers five outer folds are the judge. Each draw is judged twice: with its labels shuffled, and as it
is, which shows how often a real signal is let through. The result is written after each table, and a run that was ended goes on from there.
"""

import argparse
import datetime
import json
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.tables import sample_rows, shared_rows, spec_of
from churn_model.column_types.number import as_numbers
from churn_model.decisions.policy import Policy
from churn_model.errors import InputError
from churn_model.evaluation.metrics import Scores, evaluate
from churn_model.evaluation.promotion import Decision, decide
from churn_model.evaluation.promotion_facts import Evidence
from churn_model.features.schema import column_named
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.search import Search
from churn_model.spec.sections.split import Split
from churn_model.training.leak_detection import find_suspected_leaks
from churn_model.training.outer_folds import judge_by_outer_folds
from churn_model.training.shares import OUTER_FOLDS
from churn_model.training.split_shares import choose_shares
from churn_model.training.splits import TEST, TRAIN, VALIDATION, make_split_rule
from churn_model.training.train import train

RESULTS = Path(__file__).parent / "results" / "noise_labels.json"
TRIALS = 5  # more trials look harder for what is not there; the search sees folds alone, so the gate's question stays the same


def judge(rows: pa.Table, dataset: Dataset) -> Decision:
    """Return the gate's decision on a first candidate."""
    shares = choose_shares(dataset.split, rows.to_batches())
    dataset = replace(dataset, split=shares.split)
    assigned = make_split_rule([rows], dataset)(rows)
    parts = {split: rows.filter(pa.array(assigned == split)) for split in (TRAIN, VALIDATION, TEST)}
    leaks = find_suspected_leaks(parts[TRAIN], dataset, threads=1)
    dataset = replace(dataset, ignore=(*dataset.ignore, *(leak.column for leak in leaks)))
    candidate = train(parts[TRAIN], parts[VALIDATION], dataset, threads=1)
    name, folds = dataset.costs.value_column, 0
    if shares.judged_on == "outer_folds":
        folds, found = OUTER_FOLDS, judge_by_outer_folds(candidate, parts, dataset, threads=1)
        # Every row is there once, in the order of the hashes, as in `rows`.
        judged, p = rows, found.p
    else:
        judged, p = parts[TEST], candidate.probabilities(parts[TEST])
    worth = as_numbers(column_named(judged, name), name) if name else None
    scores = Scores(ids=judged["_hash"].to_numpy(), y=judged["_label"].to_numpy(), p=p, worth=worth)
    y = candidate.out_of_fold.y
    evidence = Evidence(
        candidate=evaluate(scores, Policy(dataset.costs), outer_folds=folds),
        validation_leavers=int(y.sum()),
        validation_stayers=int(len(y) - y.sum()),
        leaks=leaks,
        shares=shares,
        gate=dataset.gate,
    )
    return decide(evidence)


def shuffle_labels(rows: pa.Table, seed: int) -> pa.Table:
    """Return the rows with their labels in another order."""
    shuffled = np.random.default_rng(seed).permutation(rows["_label"].to_numpy())
    return rows.set_column(rows.column_names.index("_label"), "_label", pa.array(shuffled))


def draw_customers(rows: pa.Table, leavers: int, seed: int) -> pa.Table:
    """Return the rows of customers drawn until about so many rows are of the rarer class; in the order of the hashes."""
    y, hashes = rows["_label"].to_numpy(), rows["_hash"].to_numpy()
    share = leavers / min(int(y.sum()), int(len(y) - y.sum()))
    customers, codes = np.unique(hashes, return_inverse=True)
    return rows.filter(pa.array((np.random.default_rng(seed).random(len(customers)) < share)[codes]))


def summarise(outcomes: Sequence[Decision]) -> dict[str, Any]:
    """Return how many were promoted, and why each was or was not."""
    return {
        "labels": len(outcomes),
        "promoted": sum(outcome.moves_pointer for outcome in outcomes),
        "reasons": [outcome.reason for outcome in outcomes],
    }


def judge_whole(rows: pa.Table, dataset: Dataset, labels: int) -> dict[str, Any]:
    """Judge a whole table with its labels shuffled."""
    return summarise([judge(shuffle_labels(rows, seed), dataset) for seed in range(labels)])


def judge_small(rows: pa.Table, dataset: Dataset, leavers: int, labels: int) -> dict[str, Any]:
    """Judge draws of a table with their labels shuffled, and a fifth as many as they are."""
    draws = [draw_customers(rows, leavers, seed) for seed in range(labels)]
    noise = [judge(shuffle_labels(draw, seed), dataset) for seed, draw in enumerate(draws)]
    real = [judge(draw, dataset) for draw in draws[: max(1, labels // 5)]]
    return {
        "rows": int(np.median([draw.num_rows for draw in draws])),
        **summarise(noise),
        "real": {"draws": len(real), "promoted": sum(outcome.moves_pointer for outcome in real)},
    }


def experiments(parsed: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """Yield a name for each experiment and what runs it."""
    for name in parsed.tables:
        dataset = replace(spec_of(name), split=Split(), search=Search(trials=TRIALS))
        try:
            rows = sample_rows(10_000, dataset)[0] if name == "sample" else shared_rows(name, dataset)
        except InputError as error:
            print(error)
            continue
        if parsed.labels:
            yield name, lambda rows=rows, dataset=dataset: judge_whole(rows, dataset, parsed.labels)
        for leavers in parsed.leavers if parsed.small_labels else ():
            yield (
                f"{name}, {leavers} leavers",
                lambda rows=rows, dataset=dataset, leavers=leavers: judge_small(
                    rows, dataset, leavers, parsed.small_labels
                ),
            )


def markdown(result: dict[str, Any]) -> str:
    """Return the result as a table."""
    lines = [
        "# Noise labels",
        "",
        f"`{result['command']}`: {result['date']}, {result['machine']}.",
        "",
        "| table | rows | noise labels | promoted | real labels | promoted |",
        "|---|---|---|---|---|---|",
    ]
    for name, found in result["tables"].items():
        real = found.get("real", {"draws": "", "promoted": ""})
        lines.append(
            f"| {name} | {found.get('rows', 'all')} | {found['labels']} | {found['promoted']} | {real['draws']} | {real['promoted']} |"
        )
    small = [found for found in result["tables"].values() if "rows" in found]
    if small:
        labels, promoted = (sum(found[key] for found in small) for key in ("labels", "promoted"))
        lines += ["", f"Small tables together: {promoted} of {labels} noise labels promoted ({promoted / labels:.1%})."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Judge each table's noise labels, print and keep what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", default=["larose", "telco", "sample"])
    parser.add_argument("--labels", type=int, default=10)
    parser.add_argument("--small-labels", type=int, default=50)
    parser.add_argument("--leavers", type=int, nargs="+", default=[60, 100, 150, 250])
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--note", default="", help="what else the machine was doing")
    parsed = parser.parse_args()
    found: dict[str, Any] = json.loads(parsed.out.read_text("utf-8"))["tables"] if parsed.out.exists() else {}
    for name, run in experiments(parsed):
        if name in found:
            continue
        found[name] = run()
        print(f"{name}: {found[name]['promoted']} of {found[name]['labels']} noise labels promoted", flush=True)
        result = {
            "command": "python -m benchmarks.noise_labels",
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "machine": f"{os.cpu_count()} cores, {platform.machine()}, python {platform.python_version()}{parsed.note and ', ' + parsed.note}",
            "tables": found,
        }
        parsed.out.parent.mkdir(exist_ok=True)
        parsed.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
        parsed.out.with_suffix(".md").write_text(markdown(result), "utf-8")


if __name__ == "__main__":
    main()
