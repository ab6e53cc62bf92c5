"""Step `compare`: two models on the same test rows, each with its own preprocessing and calibration, at today's costs.

Inputs: `splits`, `first`, `second`. Result: report.json alone: nothing is decided here, and nobody is named.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from churn_model.decisions.policy import Policy
from churn_model.errors import InputError
from churn_model.evaluation.comparison import agreement, auc_difference, compare
from churn_model.evaluation.metrics import Evaluation, Scores, evaluate
from churn_model.evaluation.scored_rows import rows_unseen_by, score_rows
from churn_model.models.bundle import Bundle, read_bundle
from churn_model.records import finite, to_plain
from churn_model.steps.contract import Layout, Report, run_step
from churn_model.tables import open_table


def step(layout: Layout) -> Report:
    """Score with both, leave out the rows that may have trained either, judge and compare."""
    dataset, threads = layout.dataset, int(layout.request["threads"])
    test = open_table(layout.required("splits") / "test").read()
    bundles = [_bundle(layout.required(name), threads) for name in ("first", "second")]
    policy = Policy(dataset.costs)
    first, second = (_scores(test, bundle, policy) for bundle in bundles)
    unseen = rows_unseen_by(test, bundles[0], dataset.split) & rows_unseen_by(test, bundles[1], dataset.split)
    comparison = compare(second, first, policy, unseen=unseen)
    versions = {"first_version": bundles[0].version, "second_version": bundles[1].version}
    judged = _judged(first.keep(unseen), second.keep(unseen), policy) if comparison.rows else {}
    return Report(
        counts={"rows": comparison.rows, "left_out": comparison.left_out, "leavers": comparison.leavers},
        metrics={
            "log_loss_difference": finite(comparison.log_loss.mean),
            "cost_difference": finite(comparison.cost.mean),
        },
        detail={
            **versions,
            "customers": int(np.unique(first.customers[unseen]).size),
            "same_probabilities": comparison.same_probabilities,
            "log_loss_difference": to_plain(comparison.log_loss.spread),
            "cost_difference": to_plain(comparison.cost.spread),
            **judged,
        },
    )


def _bundle(folder: Path, threads: int) -> Bundle:
    return read_bundle(folder / "model.tar.gz", threads=threads)


def _scores(test: pa.Table, bundle: Bundle, policy: Policy) -> Scores:
    try:
        return score_rows(test, bundle, policy)
    except InputError as error:
        raise InputError(f"model {bundle.version} cannot score today's test rows:\n{error}") from error


def _judged(first: Scores, second: Scores, policy: Policy) -> dict[str, Any]:
    """What there is to say where rows are left."""
    evaluations = {"first": evaluate(first, policy), "second": evaluate(second, policy)}
    return {
        **{name: _told(found) for name, found in evaluations.items()},
        "better_without_model": evaluations["first"].money.better_without_model,
        "assumed_success": evaluations["first"].money.assumed_success,
        "auc_difference": to_plain(auc_difference(first, second)),
        "decisions": to_plain(agreement(first, second, policy)),
    }


def _told(found: Evaluation) -> dict[str, Any]:
    """The figures of one model, each with its range."""
    figures = {
        "log_loss": found.log_loss,
        "auc": found.auc,
        "cost": found.money.cost,
        "saving": found.money.saving_better,
        "calibration_slope": found.calibration_slope,
    }
    contacts = {"contacted": found.contacts.contacted, "leavers_reached": found.contacts.leavers_reached}
    return {**{name: to_plain(value) for name, value in figures.items()}, **contacts}


if __name__ == "__main__":
    run_step("compare", step)
