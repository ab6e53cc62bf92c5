"""Step `train`: train and validation to a bundle. The test split is not among its inputs' files that it opens.

Input: `splits` (published `preprocessed_splits`). Result: `model.tar.gz`.
"""

from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import xgboost

import churn_model
from churn_model.evaluation.cost_curve import cost_curve
from churn_model.models.bundle import make_bundle, write_bundle
from churn_model.records import finite, to_plain
from churn_model.spec.dataset import Dataset
from churn_model.stats.bootstrap import Resamples, number_customers
from churn_model.steps.contract import Layout, Report, run_step
from churn_model.tables import open_table
from churn_model.training.search import Trial
from churn_model.training.train import SAMPLE, SAMPLED_ABOVE, AllRows, Candidate, train


def step(layout: Layout) -> Report:
    """Search, calibrate, fit, bundle."""
    dataset, request = layout.dataset, layout.request
    splits = layout.required("splits")
    tables = [open_table(splits / name) for name in ("train", "validation")]
    count = sum(table.rows for table in tables)
    share = SAMPLE / count if count > SAMPLED_ABOVE else 1.0
    train_rows, validation_rows = (table.first(round(share * table.rows)) for table in tables)
    all_rows = (
        AllRows(lambda: chain.from_iterable(table.blocks() for table in tables), layout.root) if share < 1 else None
    )
    candidate = train(train_rows, validation_rows, dataset, threads=int(request["threads"]), all_rows=all_rows)
    about = _about(candidate, dataset, str(request["version"]))
    bundle = make_bundle(
        candidate.model, candidate.schema, candidate.calibration, dataset, about=about, rows=train_rows
    )
    write_bundle(bundle, layout.result / "model.tar.gz", code=Path(churn_model.__file__).parent)
    best = candidate.leaderboard[0].metrics
    labels = tables[1].read(["_label"])["_label"].to_numpy()
    return Report(
        counts={
            "trials": len(candidate.leaderboard),
            "features": len(candidate.schema.features),
            "fitted_rows": candidate.rows,
            "searched_rows": train_rows.num_rows + validation_rows.num_rows,
        },
        metrics={
            **{f"held_out_{name}": finite(value) for name, value in best.items()},
            "log_loss_uncalibrated": finite(candidate.log_loss_uncalibrated),
            "log_loss_calibrated": finite(candidate.log_loss_calibrated),
        },
        detail={
            "leaderboard": [_told(trial) for trial in candidate.leaderboard],
            "searched_on": candidate.searched_on,
            "calibration": to_plain(candidate.calibration),
            "left_out": dict(candidate.schema.left_out),
            "validation": {"leavers": int(labels.sum()), "stayers": int(len(labels) - labels.sum())},
            **_cutoffs(candidate, dataset),
        },
    )


def _about(candidate: Candidate, dataset: Dataset, version: str) -> dict[str, Any]:
    """Where the model comes from. No clock: the same inputs give the same bytes."""
    return {
        "version": version,
        "dataset": dataset.name,
        "label": asdict(dataset.label),
        "split": asdict(dataset.split),
        "rows": candidate.rows,
        "positives": candidate.positives,
        "hyperparameters": to_plain(candidate.hyperparameters),
        "searched_on": candidate.searched_on,
        "held_out": {name: to_plain(value) for name, value in candidate.leaderboard[0].metrics.items()},
        "libraries": {
            "numpy": np.__version__.split(".")[0],
            "scikit-learn": sklearn.__version__,
            "xgboost": xgboost.__version__,
        },
    }


def _told(trial: Trial) -> dict[str, Any]:
    hyper = trial.hyperparameters
    values = {name: to_plain(value) for name, value in hyper.values.items()}
    return {
        "number": trial.number,
        "family": hyper.family,
        "rounds": hyper.rounds,
        "values": values,
        **to_plain(dict(trial.metrics)),
    }


def _cutoffs(candidate: Candidate, dataset: Dataset) -> dict[str, Any]:
    """The cost curve and the cutoff that a search would choose, from rows that the model had not seen; never from test."""
    known = candidate.out_of_fold
    curve, searched = cost_curve(known.y, known.p, known.cells(dataset), Resamples(number_customers(known.customers)))
    return {"cost_curve": to_plain(curve), "searched_cutoff": to_plain(searched)}


if __name__ == "__main__":
    run_step("train", step)
