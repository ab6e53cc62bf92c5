"""How good the model is, beside the workshop's, where everything is chosen inside the outer fold.

    python -m benchmarks.cross_validation [--seeds 0 1 2 3 4] [--jobs 2] [--tables larose telco sample bank ecommerce hotel]

Outer folds: 5, stratified, twice for each seed on larose and telco; the others once, for the first seed; the sample's by customer.
Inside an outer fold's training
rows a hash carves out the validation; search, rounds, calibration and cutoff see nothing else. The workshop's model has the same rows.
Cost: FN 500, FP 100, TP 100, TN 0 a customer, so the Bayes cutoff is 0.2; the searched cutoffs come from out-of-fold training rows.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks import other_boosters
from benchmarks.cross_validation_results import compare_with_targets, describe_machine, markdown, summarise
from benchmarks.tables import sample_rows, shared_rows, spec_of
from benchmarks.workshop import fit_workshop, one_hot
from churn_model.arrays import FloatArray
from churn_model.decisions.costs import actual_cost, outcome_costs
from churn_model.errors import InputError
from churn_model.evaluation.cost_curve import cost_curve
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.costs import Costs
from churn_model.stats.bootstrap import Resamples, auc
from churn_model.stats.logistic import log_loss
from churn_model.training.train import FOLDS, train

RESULTS = Path(__file__).parent / "results"
COSTS = Costs()
CELLS = outcome_costs(COSTS)
BAYES = 0.2
REPEATS = 2
VALIDATION = 0.25  # of the training rows of an outer fold
SAMPLE_ROWS = 20_000
FEW_DRAWS = 2  # the benchmark needs the searched cutoff, not its interval

Figures = dict[str, float]


@dataclass(frozen=True)
class Table:
    """Rows of one dataset; `oracle` where the truth is known."""

    rows: pa.Table
    dataset: Dataset
    y: np.ndarray
    matrix: FloatArray
    oracle: FloatArray | None


@dataclass(frozen=True)
class Task:
    """One repeat: all five outer folds of a table."""

    table: str
    seed: int
    repeat: int


@cache
def table(name: str) -> Table:
    """The table of that name, read once a process."""
    dataset = spec_of(name)
    rows, oracle = sample_rows(SAMPLE_ROWS, dataset) if name == "sample" else (shared_rows(name, dataset), None)
    return Table(rows, dataset, rows["_label"].to_numpy(), one_hot(rows), oracle)


def outer_folds(y: np.ndarray, customers: np.ndarray | None, random: np.random.Generator) -> np.ndarray:
    """The outer fold of each row: stratified, or by customer where customers have several rows."""
    fold = np.empty(len(y), dtype=np.int64)
    if customers is not None:
        _, codes = np.unique(customers, return_inverse=True)
        return random.integers(0, FOLDS, size=int(codes.max()) + 1)[codes]
    for label in (0, 1):
        mixed = random.permutation(np.flatnonzero(y == label))
        fold[mixed] = np.arange(len(mixed)) % FOLDS
    return fold


def run(task: Task) -> Figures:
    """The figures of one repeat, over its pooled test rows; costs are the mean over them."""
    found, started = table(task.table), time.perf_counter()
    y, hashes = found.y, found.rows["_hash"].to_numpy()
    random = np.random.default_rng([task.seed, task.repeat])
    fold = outer_folds(y, hashes if found.dataset.as_of else None, random)
    ours, theirs = np.empty(len(y)), np.empty(len(y))
    others = {name: np.empty(len(y)) for name in other_boosters.available()}
    our_choice, their_choice = np.zeros(len(y), dtype=bool), np.zeros(len(y), dtype=bool)
    trained = 0.0
    for number in range(FOLDS):
        inside, test = fold != number, fold == number
        carved = hashes < np.uint64(int(VALIDATION * 2**64))
        fitted, held, test_rows = (
            found.rows.filter(pa.array(each)) for each in (inside & ~carved, inside & carved, test)
        )
        began = time.perf_counter()
        candidate = train(fitted, held, found.dataset, threads=1)
        trained += time.perf_counter() - began
        ours[test] = candidate.probabilities(test_rows)
        frame = other_boosters.frames(fitted, found.dataset)
        for name, p in others.items():
            fit = other_boosters.FITS[name]
            p[test] = fit(frame(fitted), y[inside & ~carved], frame(held), y[inside & carved])(frame(test_rows))
        our_choice[test] = ours[test] >= searched_cutoff(candidate.out_of_fold.y, candidate.out_of_fold.p)
        theirs[test] = fit_workshop(found.matrix[inside], y[inside], seed=task.seed).probabilities(found.matrix[test])
        their_choice[test] = theirs[test] >= searched_cutoff(
            y[inside], out_of_fold(found.matrix[inside], y[inside], hashes[inside], task.seed)
        )
    figures = {
        **judged("ours", y, ours, our_choice),
        **judged("workshop", y, theirs, their_choice),
        **{
            f"{name} {key}": value
            for name, p in others.items()
            for key, value in (("cost", cost(y, p >= BAYES)), ("log loss", log_loss(y, p)))
        },
        "training_seconds": trained / FOLDS,
        "seconds": time.perf_counter() - started,
    }
    if found.oracle is not None:
        figures["oracle log loss"] = log_loss(y, found.oracle)
        figures["log loss over oracle"] = figures["ours log loss"] / figures["oracle log loss"] - 1
    return figures


def judged(who: str, y: np.ndarray, p: FloatArray, chosen: np.ndarray) -> Figures:
    """Cost at 0.2 and at the searched cutoffs, log loss, AUC, ECE and calibration slope."""
    return {
        f"{who} cost": cost(y, p >= BAYES),
        f"{who} cost searched": cost(y, chosen),
        f"{who} log loss": log_loss(y, p),
        f"{who} auc": auc(y, p),
        f"{who} ece": expected_calibration_error(y, p),
        f"{who} slope": calibration_slope(y, p),
    }


def cost(y: np.ndarray, chosen: np.ndarray) -> float:
    return float(np.mean(actual_cost(y, chosen, CELLS)))


def searched_cutoff(y: np.ndarray, p: FloatArray) -> float:
    """The cheapest cutoff on these rows."""
    return cost_curve(y, p, CELLS, Resamples(np.arange(len(y)), draws=FEW_DRAWS))[1].cutoff


def out_of_fold(matrix: FloatArray, y: np.ndarray, hashes: np.ndarray, seed: int) -> FloatArray:
    """The workshop's probabilities of its training rows, each from a model without them."""
    p, fold = np.empty(len(y)), (hashes % np.uint64(FOLDS)).astype(np.int64)
    for number in range(FOLDS):
        p[fold == number] = fit_workshop(matrix[fold != number], y[fold != number], seed=seed).probabilities(
            matrix[fold == number]
        )
    return p


def expected_calibration_error(y: np.ndarray, p: FloatArray) -> float:
    """Ten bins of equal width, over all rows of a repeat."""
    bins = np.minimum((p * 10).astype(np.int64), 9)
    gaps = np.abs(np.bincount(bins, weights=p - y, minlength=10))
    return float(gaps.sum() / len(y))


def calibration_slope(y: np.ndarray, p: FloatArray) -> float:
    """Slope of the logistic regression of y on the log odds of p: 1 for probabilities that mean what they say."""
    clipped = np.clip(p, 1e-6, 1 - 1e-6)
    design = np.column_stack([np.log(clipped / (1 - clipped)), np.ones(len(y))])
    weights = np.array([1.0, 0.0])
    for _ in range(50):
        fitted = 1 / (1 + np.exp(-design @ weights))
        hessian = (design * (fitted * (1 - fitted))[:, None]).T @ design
        weights = weights + np.linalg.solve(hessian, design.T @ (y - fitted))
    return float(weights[0])


def own_split(seeds: Sequence[int]) -> Figures:
    """The workshop's own table on its own split: what it reported, and what stands beside it honestly."""
    found = table("larose")
    split = np.array(found.rows["split"].to_pylist())
    y, inside, validation, test = found.y, split == "train", split == "validation", split == "test"
    candidate = train(
        found.rows.filter(pa.array(inside)), found.rows.filter(pa.array(validation)), found.dataset, threads=1
    )
    ours = candidate.probabilities(found.rows.filter(pa.array(test)))
    theirs = [fit_workshop(found.matrix[inside], y[inside], seed=seed) for seed in seeds]
    p_test = [model.probabilities(found.matrix[test]) for model in theirs]
    p_validation = [model.probabilities(found.matrix[validation]) for model in theirs]
    return {
        "no model, all rows": cost(y, np.zeros(len(y), dtype=bool)),
        "no model, test": cost(y[test], np.zeros(int(test.sum()), dtype=bool)),
        "everybody, test": cost(y[test], np.ones(int(test.sum()), dtype=bool)),
        "oracle, test": cost(y[test], y[test] > 0),
        "workshop, cutoff chosen on test": mean(cost(y[test], p >= searched_cutoff(y[test], p)) for p in p_test),
        "workshop, cutoff from validation": mean(
            cost(y[test], p >= searched_cutoff(y[validation], v)) for p, v in zip(p_test, p_validation, strict=True)
        ),
        "workshop, 0.2": mean(cost(y[test], p >= BAYES) for p in p_test),
        "workshop, 0.5": mean(cost(y[test], p >= 0.5) for p in p_test),
        "ours, cutoff chosen on test": cost(y[test], ours >= searched_cutoff(y[test], ours)),
        "ours, 0.2": cost(y[test], ours >= BAYES),
        "ours, searched out of fold": cost(
            y[test], ours >= searched_cutoff(candidate.out_of_fold.y, candidate.out_of_fold.p)
        ),
        "ours, log loss": log_loss(y[test], ours),
    }


def mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--tables", nargs="+", default=["larose", "telco", "sample", "bank", "ecommerce", "hotel"])
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS / "cross_validation.json")
    chosen = parser.parse_args(arguments)
    started = time.perf_counter()
    try:
        for name in chosen.tables:
            table(name)
    except InputError as error:
        print(error)
        return 2
    repeats = run_all(plan_tasks(chosen.tables, chosen.seeds, chosen.repeats), chosen.jobs)
    tables = summarise(repeats)
    result = {
        "command": " ".join(["python -m benchmarks.cross_validation", *arguments]),
        "machine": describe_machine(),
        "minutes": (time.perf_counter() - started) / 60,
        "targets": compare_with_targets(tables),
        "tables": tables,
        "own_split": own_split(range(10)) if "larose" in chosen.tables else {},
        "repeats": repeats,
    }
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=1) + "\n")
    text = markdown(result)
    chosen.out.with_suffix(".md").write_text(text)
    print(text)
    return 0


def plan_tasks(tables: Sequence[str], seeds: Sequence[int], repeats: int) -> list[Task]:
    """Return the repeats of each table: all of larose's and telco's, one of the others'."""
    everything = [Task(name, seed, repeat) for name in tables for seed in seeds for repeat in range(repeats)]
    return [
        task for task in everything if task.table in ("larose", "telco") or (task.seed, task.repeat) == (seeds[0], 0)
    ]


def run_all(tasks: Sequence[Task], jobs: int) -> list[dict[str, Any]]:
    """Return each repeat's figures, with its table, seed and number."""
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    found: list[dict[str, Any]] = []
    with ProcessPoolExecutor(max_workers=jobs, mp_context=get_context("spawn")) as pool:
        for task, values in zip(tasks, pool.map(run, tasks), strict=True):
            found.append({"table": task.table, "seed": task.seed, "repeat": task.repeat, **values})
            shown = ", ".join(
                f"{key} {values[key]:.4f}"
                for key in ("ours cost", "workshop cost", "ours log loss", "ours ece", "seconds")
            )
            print(f"{task.table} seed {task.seed} repeat {task.repeat}: {shown}", file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
