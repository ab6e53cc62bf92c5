"""Step `train`: search, calibrate and fit on train and validation, and bundle the model. The candidate never sees the test split.

Input: `splits` (published `preprocessed_splits`). Result: `model.tar.gz`, and `out_of_fold/`: held-out rows with their probabilities,
from which the evaluation computes what follows from costs. If the table is too small for a test split, also `outer_folds/`: every row with
its probability by a repetition of the recipe that had not seen its customer. Only then is the test split opened.

If the request brings what a tuner has found, the search is over, and the step begins with its best trials. If there is a folder `checkpoints`, the
trials that have ended are kept in it: a step that was interrupted, and finds it again, gives the same bytes as one that was not.
"""

from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import xgboost

import churn_model
from churn_model.models.bundle import make_bundle, write_bundle
from churn_model.models.bundle_file import BUNDLE
from churn_model.records import from_plain, to_plain
from churn_model.reports.step_report import Report
from churn_model.reports.train import ClassCounts, TrainCounts, TrainReport, TrialSummary
from churn_model.spec.dataset import Dataset
from churn_model.steps.contract import Layout
from churn_model.steps.training_rows import read_training_rows
from churn_model.tables import TableReader, open_table
from churn_model.training.out_of_fold import OUT_OF_FOLD, OUTER_FOLDS_TABLE, write_out_of_fold
from churn_model.training.outer_folds import judge_by_outer_folds
from churn_model.training.search import find_signs_of_more
from churn_model.training.splits import TEST, TRAIN, VALIDATION
from churn_model.training.train import AllRows, Candidate, train
from churn_model.training.trials import KeptTrials, Trial
from churn_model.training.tuning import Tuned


def step(layout: Layout) -> Report:
    """Search, calibrate, fit, bundle."""
    request, rows = layout.request, read_training_rows(layout)
    dataset, shares = rows.dataset, rows.preprocessed.shares
    all_rows = (
        AllRows(lambda: chain.from_iterable(table.blocks() for table in rows.tables), layout.root)
        if rows.are_sampled
        else None
    )
    threads = int(request["threads"])
    tuned = from_plain(Tuned, request["tuned"]) if "tuned" in request else None
    version = str(request["version"])
    kept = KeptTrials(layout.checkpoints, version) if layout.checkpoints.is_dir() else None
    candidate = train(rows.train, rows.validation, dataset, threads=threads, all_rows=all_rows, tuned=tuned, kept=kept)
    about = _about(candidate, dataset, version)
    bundle = make_bundle(candidate.model, candidate.schema, candidate.calibration, about=about, rows=rows.train)
    write_bundle(bundle, layout.result / BUNDLE, package=Path(churn_model.__file__).parent)
    write_out_of_fold(candidate.out_of_fold, layout.result / OUT_OF_FOLD)
    if shares and shares.judged_on == "outer_folds":
        tables_by_split = {
            TRAIN: rows.train,
            VALIDATION: rows.validation,
            TEST: open_table(rows.splits / "test").read(),
        }
        judged = judge_by_outer_folds(candidate, tables_by_split, dataset, threads=threads)
        write_out_of_fold(judged, layout.result / OUTER_FOLDS_TABLE)
    best = candidate.leaderboard[0].metrics
    return Report(
        content=TrainReport(
            counts=TrainCounts(
                trials=candidate.trials,
                features=len(candidate.schema.features),
                fitted_rows=candidate.rows,
                searched_rows=rows.train.num_rows + rows.validation.num_rows,
            ),
            metrics={
                **{f"held_out_{name}": value for name, value in best.items()},
                "log_loss_uncalibrated": candidate.log_loss_uncalibrated,
                "log_loss_calibrated": candidate.log_loss_calibrated,
            },
            leaderboard=tuple(_summarise(trial) for trial in candidate.leaderboard),
            searched_on=candidate.searched_on,
            calibration=candidate.calibration,
            validation=_count_judged(candidate, rows.tables[1]),
            left_out={**candidate.schema.left_out, **rows.left_out},
            averaged=_weights(candidate),
            engine="job" if tuned is None else "tuner",
            more_would_help=find_signs_of_more(candidate.leaderboard, candidate.trials),
        )
    )


def _count_judged(candidate: Candidate, validation: TableReader) -> ClassCounts:
    """Return the classes of the rows that the trials were judged on: in folds all of train and validation."""
    y = (
        candidate.out_of_fold.y
        if candidate.searched_on == "folds"
        else validation.read(["_label"])["_label"].to_numpy()
    )
    return ClassCounts(leavers=int(y.sum()), stayers=int(len(y) - y.sum()))


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
        "averaged": _weights(candidate),
        "searched_on": candidate.searched_on,
        "held_out": to_plain(candidate.leaderboard[0].metrics),
        "libraries": {
            "numpy": np.__version__.split(".")[0],
            "xgboost": xgboost.__version__,
        },
    }


def _weights(candidate: Candidate) -> dict[str, float]:
    return {str(member.trial.number): member.weight for member in candidate.members}


def _summarise(trial: Trial) -> TrialSummary:
    hyper = trial.hyperparameters
    return TrialSummary(
        number=trial.number,
        family=hyper.family,
        rounds=hyper.rounds,
        values=hyper.values,
        **{name: float(value) for name, value in trial.metrics.items()},
    )
