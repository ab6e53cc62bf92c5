"""Step `evaluate`: candidate and champion on the untouched test rows, and the gate's decision.

A table too small for a test split is judged by outer folds: the candidate's figures are then those of every row, by repetitions of the
recipe. Candidate and champion are compared on the test rows all the same, which neither has seen.

Inputs: `splits`, `candidate`, and `champion` if there is one. Result: table `scores` (id, label, both probabilities).
"""

from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from churn_model.decisions.policy import Policy
from churn_model.errors import InputError
from churn_model.evaluation.comparison import Comparison, compare
from churn_model.evaluation.metrics import Estimate, Evaluation, Scores, evaluate
from churn_model.evaluation.out_of_fold import out_of_fold_curve, outer_fold_scores
from churn_model.evaluation.promotion import Decision, decide
from churn_model.evaluation.promotion_facts import ComparedChampion, Evidence
from churn_model.evaluation.scored_rows import rows_unseen_by, score_rows
from churn_model.evaluation.segments import weak_segments
from churn_model.features.encoding import encode
from churn_model.models.bundle import Bundle, read_bundle
from churn_model.models.bundle_file import BUNDLE
from churn_model.models.reason_summary import ReasonSummary
from churn_model.models.reasons import make_explainer, summarise
from churn_model.reports.evaluate import EvaluateCounts, EvaluateReport
from churn_model.reports.preprocess import PreprocessReport
from churn_model.reports.step_report import Report
from churn_model.reports.train import TrainReport
from churn_model.spec.dataset import Dataset
from churn_model.steps.contract import Layout
from churn_model.tables import open_table, write_table
from churn_model.training.out_of_fold import OUT_OF_FOLD, OUTER_FOLDS_TABLE
from churn_model.training.shares import OUTER_FOLDS
from churn_model.training.splits import NAMES

_SUMMARY_ROWS = 2000


@dataclass(frozen=True)
class _Judged:
    """The champion's scores of the same rows, or why it cannot score them."""

    version: str
    scores: Scores | None = None
    comparison: Comparison | None = None
    problem: str | None = None


def step(layout: Layout) -> Report:
    """Judge, compare, decide."""
    dataset, threads = layout.dataset, int(layout.request["threads"])
    splits = layout.read_report("splits", PreprocessReport)
    if splits.shares:
        dataset = replace(dataset, split=splits.shares.split)
    test = open_table(layout.required("splits") / "test").read()
    candidate = read_bundle(layout.required("candidate") / BUNDLE, threads=threads)
    policy = Policy(dataset.costs)
    tables = {split: layout.required("splits") / name for split, name in enumerate(NAMES)}
    curve, searched = out_of_fold_curve(layout.required("candidate") / OUT_OF_FOLD, tables, policy)
    scores = score_rows(test, candidate, policy)
    if splits.shares and splits.shares.judged_on == "outer_folds":
        every_row = outer_fold_scores(layout.required("candidate") / OUTER_FOLDS_TABLE, tables, policy)
        evaluation = evaluate(every_row, policy, outer_folds=OUTER_FOLDS)
    else:
        evaluation = evaluate(scores, policy)
    champion = _champion(layout.input("champion"), test, scores, dataset, threads)
    _write_scores(layout.result / "scores", test, scores, champion)
    decision, decision_when_old = _decide(layout, dataset, evaluation, champion, splits)
    return Report(
        content=EvaluateReport(
            counts=EvaluateCounts(
                rows=evaluation.rows,
                leavers=evaluation.leavers,
                customers=evaluation.customers,
                contacted=evaluation.contacts.contacted,
            ),
            metrics=_metrics(evaluation, champion),
            candidate_version=candidate.version,
            champion_version=champion.version if champion else None,
            champion_problem=champion.problem if champion else None,
            evaluation=evaluation,
            out_of_fold_curve=curve,
            searched_cutoff=searched,
            decision=decision,
            decision_when_old=decision_when_old,
            comparison=champion.comparison if champion else None,
            segments=weak_segments(test, scores, without=(*dataset.ignore, *(leak.column for leak in splits.suspects))),
            reasons=_summarise_reasons(test, candidate, dataset),
        )
    )


def _champion(folder: Path | None, test: pa.Table, candidate: Scores, dataset: Dataset, threads: int) -> _Judged | None:
    """Score with the champion, its own schema and calibration, at today's costs; without a column that it needs, report why it cannot be compared."""
    if folder is None:
        return None
    bundle = read_bundle(folder / BUNDLE, threads=threads)
    try:
        policy = Policy(dataset.costs)
        scores = score_rows(test, bundle, policy)
    except InputError as error:
        return _Judged(bundle.version, problem=str(error))
    comparison = compare(candidate, scores, policy, unseen=rows_unseen_by(test, bundle, dataset.split))
    return _Judged(bundle.version, scores, comparison)


def _decide(
    layout: Layout, dataset: Dataset, evaluation: Evaluation, champion: _Judged | None, splits: PreprocessReport
) -> tuple[Decision, Decision]:
    """Return what the gate decides while the champion is young, and once it is older than `gate.max_age`: a step has no clock."""
    validation = layout.read_report("candidate", TrainReport).validation

    def decide_at(*, is_old: bool) -> Decision:
        known = None
        if champion and champion.comparison:
            known = ComparedChampion(comparison=champion.comparison, is_old=is_old)
        evidence = Evidence(
            candidate=evaluation,
            validation_leavers=validation.leavers,
            validation_stayers=validation.stayers,
            leaks=splits.suspects,
            worth=splits.worth,
            names=splits.names,
            has_key=dataset.id is not None,
            shares=splits.shares,
            champion=known,
            gate=dataset.gate,
        )
        return decide(evidence)

    return decide_at(is_old=False), decide_at(is_old=True)


def _write_scores(folder: Path, test: pa.Table, candidate: Scores, champion: _Judged | None) -> None:
    """Write the scores that the decision rests on, row by row."""
    columns = {"id": test["_id"], "label": test["_label"], "candidate": pa.array(candidate.p)}
    if champion and champion.scores:
        columns["champion"] = pa.array(champion.scores.p)
    if candidate.worth is not None:
        columns["worth"] = pa.array(candidate.worth)
    write_table(folder, pa.table(columns), key="id")


def _metrics(evaluation: Evaluation, champion: _Judged | None) -> dict[str, float]:
    """Return the figures that Dagster plots over time, by name."""
    money, contacts = evaluation.money, evaluation.contacts
    metrics = {
        **{name: figure.value for name, figure in vars(evaluation).items() if isinstance(figure, Estimate)},
        "auc_lower_99": evaluation.auc_lower_99,
        "cost": money.cost.value,
        "cost_of_contacting_nobody": money.cost_nobody,
        "cost_of_contacting_everybody": money.cost_everybody,
        "saving": money.saving_better.median,
        "saving_low": money.saving_better.low,
        "saving_high": money.saving_better.high,
        "cutoff": contacts.cutoff,
        "precision": contacts.precision.value,
        "recall": contacts.recall.value,
        "f1": contacts.f1.value,
        "calls_per_leaver": contacts.calls_per_leaver,
    }
    if champion and champion.comparison:
        metrics |= {
            "champion_log_loss": champion.comparison.log_loss.champion,
            "champion_cost": champion.comparison.cost.champion,
        }
    return metrics


def _summarise_reasons(test: pa.Table, bundle: Bundle, dataset: Dataset) -> ReasonSummary:
    rows = test.slice(0, _SUMMARY_ROWS)
    encoded = encode(rows, bundle.schema, bundle.model.family)
    explainer = make_explainer(bundle.schema, bundle.model.family, words=dataset.words, groups=dataset.groups)
    return summarise(rows, encoded, bundle.model, explainer, most_rows=500)
