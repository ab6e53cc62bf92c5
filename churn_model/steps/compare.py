"""Step `compare`: two models on the same test rows, each with its own preprocessing and calibration, at today's costs.

Inputs: `splits`, `first`, `second`. Result: report.json alone: nothing is decided here, and nobody is named.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from churn_model.decisions.policy import Policy
from churn_model.errors import InputError
from churn_model.evaluation.comparison import agreement, auc_difference, compare
from churn_model.evaluation.metrics import Evaluation, Scores, evaluate
from churn_model.evaluation.scored_rows import rows_unseen_by, score_rows
from churn_model.models.bundle import Bundle, read_bundle
from churn_model.models.bundle_file import BUNDLE
from churn_model.reports.compare import CompareCounts, CompareReport, ModelFigures
from churn_model.reports.preprocess import PreprocessReport
from churn_model.reports.step_report import Report
from churn_model.steps.contract import Layout
from churn_model.tables import open_table


def step(layout: Layout) -> Report:
    """Score with both, leave out the rows that may have trained either, judge and compare."""
    dataset, threads = layout.dataset, int(layout.request["threads"])
    shares = layout.read_report("splits", PreprocessReport).shares
    today = shares.split if shares else dataset.split
    test = open_table(layout.required("splits") / "test").read()
    bundles = [_bundle(layout.required(name), threads) for name in ("first", "second")]
    policy = Policy(dataset.costs)
    first, second = (_scores(test, bundle, policy) for bundle in bundles)
    unseen = rows_unseen_by(test, bundles[0], today) & rows_unseen_by(test, bundles[1], today)
    comparison = compare(second, first, policy, unseen=unseen)
    counts = CompareCounts(rows=comparison.rows, left_out=comparison.left_out, leavers=comparison.leavers)
    content = CompareReport(
        counts=counts,
        metrics={"log_loss_difference": comparison.log_loss.mean, "cost_difference": comparison.cost.mean},
        first_version=bundles[0].version,
        second_version=bundles[1].version,
        customers=int(np.unique(first.customers[unseen]).size),
        same_probabilities=comparison.same_probabilities,
        log_loss_difference=comparison.log_loss.spread,
        cost_difference=comparison.cost.spread,
    )
    if comparison.rows:
        content = _add_figures(content, first.keep(unseen), second.keep(unseen), policy)
    return Report(content=content)


def _bundle(folder: Path, threads: int) -> Bundle:
    return read_bundle(folder / BUNDLE, threads=threads)


def _scores(test: pa.Table, bundle: Bundle, policy: Policy) -> Scores:
    try:
        return score_rows(test, bundle, policy)
    except InputError as error:
        raise InputError(f"model {bundle.version} cannot score today's test rows:\n{error}") from error


def _add_figures(content: CompareReport, first: Scores, second: Scores, policy: Policy) -> CompareReport:
    """Add the figures that exist only if rows are left."""
    evaluation = evaluate(first, policy)
    return replace(
        content,
        first=_figures(evaluation),
        second=_figures(evaluate(second, policy)),
        auc_difference=auc_difference(first, second),
        decisions=agreement(first, second, policy),
        better_without_model=evaluation.money.better_without_model,
        assumed_success=evaluation.money.assumed_success,
    )


def _figures(evaluation: Evaluation) -> ModelFigures:
    return ModelFigures(
        log_loss=evaluation.log_loss,
        auc=evaluation.auc,
        cost=evaluation.money.cost,
        saving=evaluation.money.saving_better,
        calibration_slope=evaluation.calibration_slope,
        contacted=evaluation.contacts.contacted,
        leavers_reached=evaluation.contacts.leavers_reached,
    )
