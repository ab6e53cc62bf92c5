"""Ten noise labels: real features with the label shuffled, through split, search, calibration, evaluation and gate. None may be promoted.

python -m benchmarks.noise_labels [--tables larose telco sample] [--labels 10]
"""

import argparse
import datetime
import json
import os
import platform
from dataclasses import replace
from pathlib import Path

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
from churn_model.spec.dataset import Dataset, Search, Split
from churn_model.training.leak_detection import suspected_leaks
from churn_model.training.splits import TEST, TRAIN, VALIDATION, make_split_rule
from churn_model.training.train import train

RESULTS = Path(__file__).parent / "results"
TRIALS = 5  # more trials look harder for what is not there; the search sees folds alone, so the gate's question stays the same


def judged(rows: pa.Table, dataset: Dataset, seed: int) -> Decision:
    """The gate's decision on rows whose label was shuffled by `seed`."""
    shuffled = np.random.default_rng(seed).permutation(rows["_label"].to_numpy())
    rows = rows.set_column(rows.column_names.index("_label"), "_label", pa.array(shuffled))
    assigned = make_split_rule([rows], dataset)(rows)
    parts = {split: rows.filter(pa.array(assigned == split)) for split in (TRAIN, VALIDATION, TEST)}
    candidate = train(parts[TRAIN], parts[VALIDATION], dataset, threads=2)
    test = parts[TEST]
    name = dataset.costs.value_column
    worth = as_numbers(column_named(test, name), name) if name else None
    scores = Scores(
        ids=test["_hash"].to_numpy(), y=test["_label"].to_numpy(), p=candidate.probabilities(test), worth=worth
    )
    leavers = int(parts[VALIDATION]["_label"].to_numpy().sum())
    evidence = Evidence(
        candidate=evaluate(scores, Policy(dataset.costs)),
        validation_leavers=leavers,
        validation_stayers=parts[VALIDATION].num_rows - leavers,
        leaks=suspected_leaks(parts[TRAIN], dataset, threads=1),
        gate=dataset.gate,
    )
    return decide(evidence)


def main() -> None:
    """Judge each table's noise labels, print and keep what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", default=["larose", "telco", "sample"])
    parser.add_argument("--labels", type=int, default=10)
    parsed = parser.parse_args()
    found = {}
    for name in parsed.tables:
        dataset = replace(spec_of(name), split=Split(), search=Search(trials=TRIALS))
        try:
            rows = sample_rows(10_000, dataset)[0] if name == "sample" else shared_rows(name, dataset)
        except InputError as error:
            print(error)
            continue
        outcomes = [judged(rows, dataset, seed) for seed in range(parsed.labels)]
        found[name] = {
            "labels": parsed.labels,
            "promoted": sum(outcome.moves_pointer for outcome in outcomes),
            "reasons": [outcome.reason for outcome in outcomes],
        }
        print(f"{name}: {found[name]['promoted']} of {parsed.labels} noise labels promoted")
    facts = {
        "command": "python -m benchmarks.noise_labels",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, python {platform.python_version()}",
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "noise_labels.json").write_text(json.dumps({**facts, "tables": found}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
