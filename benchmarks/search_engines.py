"""Two engines of the search on the same folds: one process with known-good settings and Optuna, and a tuner of jobs, for which Optuna stands in.

    python -m benchmarks.search_engines [--tables larose leads telco synthetic sample] [--trials 20]

The tuner is given what SageMaker is given: one range for each parameter, and each trial's figure. Its ten best trials are judged again beside the
known-good settings, as the training job does. Compared is the log loss of held-out rows, with the standard error of the difference by customer.
The table of results is written after each table, and a run that was ended goes on from there.
"""

import argparse
import json
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pyarrow as pa

from benchmarks.tables import sample_rows, shared_rows, spec_of
from churn_model.arrays import FloatArray
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.search import Search
from churn_model.spec.sections.split import Split
from churn_model.training.leak_detection import find_suspected_leaks
from churn_model.training.search import BEST_TRIALS
from churn_model.training.search_space import Proposal, Range
from churn_model.training.split_shares import choose_shares
from churn_model.training.splits import TRAIN, VALIDATION, make_split_rule
from churn_model.training.train import Candidate, run_trial, train
from churn_model.training.tuning import Tuned, TunedTrial, combine_ranges, read_values

RESULTS = Path(__file__).parent / "results" / "search_engines.md"
RAW = RESULTS.with_suffix(".json")
TABLES = ("larose", "leads", "telco", "synthetic", "sample")


def compare(rows: pa.Table, dataset: Dataset, trials: int) -> dict[str, Any]:
    """Return what both engines find on a table."""
    dataset = replace(
        dataset, split=choose_shares(dataset.split, rows.to_batches()).split, search=Search(trials=trials)
    )
    assigned = make_split_rule([rows], dataset)(rows)
    fitted, held = (rows.filter(pa.array(assigned == split)) for split in (TRAIN, VALIDATION))
    leaks = find_suspected_leaks(fitted, dataset, threads=1)
    dataset = replace(dataset, ignore=(*dataset.ignore, *(leak.column for leak in leaks)))
    job = train(fitted, held, dataset)
    tuner = train(fitted, held, dataset, tuned=tune(fitted, held, dataset, trials))
    one, other = losses(tuner), losses(job)
    gaps = one - other
    _, customers = np.unique(job.out_of_fold.customers, return_inverse=True)
    error = np.sqrt(np.sum(np.bincount(customers, gaps - gaps.mean()) ** 2)) / len(gaps)
    return {
        "rows": len(gaps),
        "job": float(other.mean()),
        "tuner": float(one.mean()),
        "gap": float(gaps.mean()),
        "error": float(error),
    }


def tune(fitted: pa.Table, held: pa.Table, dataset: Dataset, trials: int) -> Tuned:
    """Return what a tuner finds, one trial after the other."""
    ranges = combine_ranges("boosted_trees")
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=dataset.split.seed))
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
        return optuna.distributions.IntDistribution(int(each.low), int(each.high))
    return optuna.distributions.FloatDistribution(each.low, each.high, log=each.log)


def losses(candidate: Candidate) -> FloatArray:
    """Return the log loss of each held-out row, by a model that had not seen its customer."""
    y, p = candidate.out_of_fold.y, candidate.out_of_fold.p
    return np.asarray(-np.where(y == 1, np.log(p), np.log1p(-p)))


def render(found: dict[str, dict[str, Any]], trials: int) -> str:
    """Return the page of results."""
    lines = [
        "# Two engines of the search",
        "",
        f"Written by `python -m benchmarks.search_engines` on {platform.system()} {platform.machine()}, {trials} trials of boosted trees each. Log loss",
        "of held-out rows after calibration; the tuner's minus the job's, and the standard error of that difference by customer.",
        "",
        "| table | rows | `job` | `tuner` | difference | standard error |",
        "|---|---|---|---|---|---|",
        *(
            f"| {name} | {each['rows']:,} | {each['job']:.5f} | {each['tuner']:.5f} | {each['gap']:+.5f} | {each['error']:.5f} |"
            for name, each in found.items()
        ),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", default=list(TABLES))
    parser.add_argument("--trials", type=int, default=20)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    found = json.loads(RAW.read_text()) if RAW.exists() else {}
    for name in options.tables:
        if name not in found:
            dataset = replace(spec_of(name), split=Split())
            rows = sample_rows(4_000, dataset)[0] if name == "sample" else shared_rows(name, dataset)
            found[name] = compare(rows, dataset, options.trials)
            RAW.write_text(json.dumps(found, indent=1) + "\n")
            RESULTS.write_text(render(found, options.trials))


if __name__ == "__main__":
    main()
