"""Two engines of the search on the same folds: one process with known-good settings and Optuna, and a tuner of jobs, for which Optuna stands in.

    python -m benchmarks.search_engines [--tables sample larose leads telco synthetic] [--folds 5] [--trials 20] [--workers 2]

The tuner is given what SageMaker is given: one range for each parameter, and each trial's figure. Its ten best trials are judged again beside the
known-good settings, as the training job does. Both train on four of five outer folds, each with another seed, and the tuner draws other random
numbers than the job. Compared is the log loss of the fifth fold, which neither has seen, with the standard error of the difference by customer.
The results are written after each fold, and a run that was ended goes on from there.
"""

import argparse
import datetime
import json
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pyarrow as pa

from benchmarks.cross_validation import VALIDATION, outer_folds
from benchmarks.machine import machine
from benchmarks.tables import sample_rows, shared_rows, spec_of
from churn_model.arrays import FloatArray
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.search import Search
from churn_model.spec.sections.split import Split
from churn_model.training.leak_detection import find_suspected_leaks
from churn_model.training.search import BEST_TRIALS
from churn_model.training.search_space import Proposal, Range
from churn_model.training.train import FOLDS, Candidate, run_trial, train
from churn_model.training.tuning import Tuned, TunedTrial, combine_ranges, read_values

RESULTS = Path(__file__).parent / "results" / "search_engines.md"
RAW = RESULTS.with_suffix(".json")
TABLES = ("sample", "larose", "leads", "telco", "synthetic")
SAMPLE_ROWS = 4_000
_OTHER_NUMBERS = 1_000_000  # added to the job's seed

Figures = dict[str, Any]


def compare(table: str, fold: int, trials: int) -> Figures:
    """Return the log loss of both engines on an outer fold, with the sum of squares by customer of their difference."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    dataset = replace(spec_of(table), split=Split(), search=Search(trials=trials))
    dataset = replace(dataset, split=replace(dataset.split, seed=dataset.split.seed + fold))
    rows = sample_rows(SAMPLE_ROWS, dataset)[0] if table == "sample" else shared_rows(table, dataset)
    hashes = rows["_hash"].to_numpy()
    folds = outer_folds(rows["_label"].to_numpy(), hashes if dataset.as_of else None, np.random.default_rng(1))
    inside, carved = folds != fold, hashes < np.uint64(int(VALIDATION * 2**64))
    fitted, held, test = (rows.filter(pa.array(each)) for each in (inside & ~carved, inside & carved, folds == fold))
    leaks = find_suspected_leaks(fitted, dataset, threads=1)
    dataset = replace(dataset, ignore=(*dataset.ignore, *(leak.column for leak in leaks)))
    job = find_losses(train(fitted, held, dataset), test)
    tuner = find_losses(train(fitted, held, dataset, tuned=tune(fitted, held, dataset, trials)), test)
    gaps = tuner - job
    _, customers = np.unique(test["_hash"].to_numpy(), return_inverse=True)
    squares = float(np.sum(np.bincount(customers, gaps - gaps.mean()) ** 2))
    found = {"rows": len(gaps), "job": float(job.mean()), "tuner": float(tuner.mean()), "squares": squares}
    return {"table": table, "fold": fold, "trials": trials, **found}


def tune(fitted: pa.Table, held: pa.Table, dataset: Dataset, trials: int) -> Tuned:
    """Return what a tuner finds, one trial after the other."""
    ranges = combine_ranges("boosted_trees")
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=dataset.split.seed + _OTHER_NUMBERS))
    found = []
    for number in range(trials):
        question = study.ask({name: as_distribution(each) for name, each in ranges.items()})
        texts = {name: str(value) for name, value in question.params.items()}
        trial = run_trial(fitted, held, dataset, Proposal(number, "boosted_trees", read_values("boosted_trees", texts)))
        study.tell(question, trial.metrics["log_loss"])
        found.append(
            (trial.metrics["log_loss"], number, TunedTrial(number=number, family="boosted_trees", values=texts))
        )
    return Tuned(
        trials=trials, best=tuple(trial for _, _, trial in sorted(found, key=lambda each: each[:2])[:BEST_TRIALS])
    )


def as_distribution(each: Range) -> Any:
    """Return a range as Optuna knows it."""
    if each.whole:
        return optuna.distributions.IntDistribution(int(each.low), int(each.high), log=each.log)
    return optuna.distributions.FloatDistribution(each.low, each.high, log=each.log)


def find_losses(candidate: Candidate, test: pa.Table) -> FloatArray:
    """Return the log loss of each row."""
    y, p = test["_label"].to_numpy(), candidate.probabilities(test)
    return np.asarray(-np.log(np.where(y == 1, p, 1 - p)))


def pool(found: Sequence[Figures]) -> Figures:
    """Return the figures of several outer folds as those of all their rows."""
    rows = sum(each["rows"] for each in found)
    job, tuner = (sum(each[name] * each["rows"] for each in found) / rows for name in ("job", "tuner"))
    gaps = [each["tuner"] - each["job"] for each in found]
    error = float(np.sqrt(sum(each["squares"] for each in found))) / rows
    return {"rows": rows, "job": job, "tuner": tuner, "gap": tuner - job, "error": error, "gaps": gaps}


def render(found: Sequence[Figures], trials: int) -> str:
    """Return the page of results."""
    pooled = {name: pool(part) for name in TABLES if (part := [each for each in found if each["table"] == name])}
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    lines = [
        "# Two engines of the search",
        "",
        f"{trials} trials of boosted trees each. Log loss of rows of outer folds that neither engine has seen, each fold with another seed; the tuner's minus",
        "the job's, that difference as a share, its standard error by customer, and the smallest and largest of the folds.",
        "",
        "| table | folds | rows | `job` | `tuner` | difference | share | standard error | of one fold |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {name} | {len(each['gaps'])} | {each['rows']:,} | {each['job']:.5f} | {each['tuner']:.5f} | {each['gap']:+.5f} | "
            f"{each['gap'] / each['job']:+.2%} | {each['error']:.5f} | {min(each['gaps']):+.5f} to {max(each['gaps']):+.5f} |"
            for name, each in pooled.items()
        ),
        "",
        f"Run: {date}, `python -m benchmarks.search_engines`, {machine()}, load {round(os.getloadavg()[0])}",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", default=list(TABLES))
    parser.add_argument("--folds", type=int, choices=range(1, FOLDS + 1), default=FOLDS)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    found = json.loads(RAW.read_text()) if RAW.exists() else []
    known = {(each["table"], each["fold"]) for each in found if each["trials"] == options.trials}
    with ProcessPoolExecutor(options.workers) as workers:
        running = [
            workers.submit(compare, table, fold, options.trials)
            for fold in range(options.folds)  # of each table: a run that is ended early has seen all
            for table in options.tables
            if (table, fold) not in known
        ]
        for done in as_completed(running):
            found = sorted([*found, done.result()], key=lambda each: (each["table"], each["fold"]))
            RAW.write_text(json.dumps(found, indent=1) + "\n")
            RESULTS.write_text(render(found, options.trials))


if __name__ == "__main__":
    main()
