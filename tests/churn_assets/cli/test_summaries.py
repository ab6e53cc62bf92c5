"""What `churn` prints at the end of a command, also of reports that an older version of the code wrote."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from churn_assets.cli.summaries.compare import compare_summary
from churn_assets.cli.summaries.explore import explore_summary
from churn_assets.cli.summaries.report import report_summary
from churn_assets.cli.summaries.score import score_summary
from churn_assets.reporting.exploration import ExplorationCounts, ExplorationReport, Remark, Telling
from churn_model.decisions.holdout import holdout_power
from churn_model.decisions.policy import Policy
from churn_model.errors import ChurnError
from churn_model.evaluation.comparison import agreement, auc_difference
from churn_model.evaluation.metrics import Evaluation, Scores, evaluate
from churn_model.evaluation.promotion import Decision
from churn_model.reports.compare import CompareCounts, CompareReport, ModelFigures
from churn_model.reports.evaluate import EvaluateCounts, EvaluateReport
from churn_model.reports.ingest import IngestCounts, IngestReport
from churn_model.reports.retention_list import Holdout, ListCounts, ListMoney, ListReport, describe_holdout
from churn_model.reports.step_report import OLDEST_SCHEMA, REPORT, PublishedFile, Report, StepReport
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.costs import Costs
from churn_model.tables import part_name, write_table
from resources.catalog.digests import digest_of
from resources.catalog.ledger import Entry, Ledger
from resources.catalog.names import (
    CONTACTS,
    EVALUATION_REPORT,
    EXPLORATION_REPORT,
    MODEL_COMPARISON,
    RAW_BATCH,
    RETENTION_LIST,
    batch_key,
    current_key,
    ledger_key,
    version_prefix,
)
from resources.catalog.pointers import BatchRecord, Current, point_to
from resources.ports.lake import Manifest
from resources.settings import read_settings
from resources.wiring import Ports, wire

MISSING = "not evaluated by that version"


@pytest.fixture
def ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ports:
    monkeypatch.setenv("CHURN_HOME", str(tmp_path))
    return wire(read_settings())


def publish(
    ports: Ports,
    asset: str,
    content: Any,
    *,
    without: str = "",
    batch: str | None = None,
    part: tuple[str, bytes] | None = None,
) -> Current:
    """Publish a report for the asset; `without`: a part of it that an older version did not write."""
    report = StepReport.of(asset, Report(content=content), {})
    detail = {name: part for name, part in report.detail.items() if name != without}
    assert not without or len(detail) == len(report.detail) - 1
    older = replace(report, detail=detail, schema=OLDEST_SCHEMA if without else report.schema)
    prefix = version_prefix("telco", asset, "v1", batch)
    ports.lake.put(prefix + REPORT, older.to_json())
    files = {}
    if part:
        name, data = part
        ports.lake.put(prefix + name, data)
        files[name] = PublishedFile(len(data), digest_of(data))
    ports.lake.publish(prefix, Manifest("v1", files))
    current = Current("v1", prefix)
    point_to(ports.lake, current_key("telco", asset, batch), current)
    return current


def judge(shift: float = 0.0) -> tuple[Scores, Evaluation]:
    rng = np.random.default_rng(0)
    p = rng.random(300)
    y = (rng.random(300) < p).astype(np.int8)
    scores = Scores(ids=np.arange(300), y=y, p=np.clip(p + shift, 0, 1))
    return scores, evaluate(scores, Policy(Costs()), draws=50)


def evaluation_report() -> EvaluateReport:
    evaluation = judge()[1]
    decision = Decision(outcome="first", reason="First champion.", facts=())
    return EvaluateReport(
        counts=EvaluateCounts(rows=300, leavers=evaluation.leavers, customers=300, contacted=1),
        candidate_version="v1",
        champion_version=None,
        evaluation=evaluation,
        decision=decision,
        decision_when_old=decision,
    )


def compare_report() -> CompareReport:
    (first, one), (second, other) = judge(), judge(0.3)

    def figures(of: Evaluation) -> ModelFigures:
        return ModelFigures(
            log_loss=of.log_loss,
            auc=of.auc,
            cost=of.money.cost,
            saving=of.money.saving_better,
            calibration_slope=of.calibration_slope,
            contacted=of.contacts.contacted,
            leavers_reached=of.contacts.leavers_reached,
        )

    return CompareReport(
        counts=CompareCounts(rows=300, left_out=0, leavers=one.leavers),
        first_version="aaa",
        second_version="bbb",
        customers=300,
        same_probabilities=False,
        log_loss_difference=one.log_loss,
        cost_difference=one.money.cost,
        first=figures(one),
        second=figures(other),
        auc_difference=auc_difference(first, second, draws=20),
        decisions=agreement(first, second, Policy(Costs())),
        better_without_model=one.money.better_without_model,
        assumed_success=1.0,
    )


EXPLORED = ExplorationReport(
    counts=ExplorationCounts(rows=300, leavers=30, looked_at=200),
    odd=(Remark(column="ticket", why="a serial number"),),
    repeated=(Remark(column="total", why="says what sum says"),),
    apart=(Telling(column="minutes", apart=0.5, by_chance=0.1), Telling(column="noise", apart=0.1, by_chance=0.1)),
)


def publish_batch(
    ports: Ports, contacted: int, *, without: str = "", opted_out: int = 0, holdout: Holdout | None = None
) -> None:
    held_out = holdout.drawn_held_out if holdout else 0
    landed = IngestReport(
        counts=IngestCounts(records=9, rows=9, quarantined=0, files=1),
        columns={},
        ignored_columns=("colour", "size", "weight", "age"),
    )
    rows = publish(ports, RAW_BATCH, landed, without=without, batch="may")
    counts = ListCounts(
        rows=9,
        listed=contacted,
        held_out=held_out,
        to_contact=contacted - held_out,
        below_the_cutoff=9 - contacted - opted_out,
        another_row_of_this_customer=0,
        opted_out=opted_out,
        listed_not_long_ago=0,
        beyond_the_capacity=0,
        beyond_the_budget=0,
    )
    money = ListMoney(contact_cost=100.0 * contacted, expected_saving=250.0)
    contacts = pa.table(
        {"rank": [1], "id": ["007"], "churn_probability": [0.75], "expected_saving": [250.0], "reason_1": ["a call"]}
    )
    with tempfile.TemporaryDirectory() as folder:
        write_table(Path(folder), contacts)
        part = (CONTACTS + part_name(0), (Path(folder) / part_name(0)).read_bytes())
    listed = ListReport(counts=counts, metrics=money, holdout=holdout)
    shown = publish(ports, RETENTION_LIST, listed, batch="may", part=part)
    record = BatchRecord("may", "f", "l", "2026-05-01T00:00:00+00:00", rows, Current("v1", "m/"), shown)
    point_to(ports.lake, batch_key("telco", "may"), record)
    entry = Entry("may", shown.version, shown.prefix, "inputs", "2026-05-01T00:00:00+00:00")
    ports.lake.swap(ledger_key("telco"), None, Ledger((entry,)).to_json())


def test_an_evaluation_reads_as_money_with_its_assumption(ports: Ports, dataset: Dataset) -> None:
    publish(ports, EVALUATION_REPORT, evaluation_report())
    text = report_summary(ports, dataset)
    money = evaluation_report().evaluation.money.saving_nobody
    for shown in (
        "telco predicts who cancelled. Judged on 300 customers that the model never saw.",
        f"saves ${money.low:.2f} to ${money.high:.2f} per customer (${money.value:.2f} on these rows), if every contacted leaver stays.",
        "with the same contacts, if 30% of contacted leavers stay: ",
        "The first tenth by probability holds ",
        "Exploration: `churn explore telco` makes it",
    ):
        assert shown in text


def test_an_exploration_names_odd_and_telling_columns(ports: Ports, dataset: Dataset) -> None:
    publish(ports, EXPLORATION_REPORT, EXPLORED)
    text = explore_summary(ports, dataset)
    for shown in (
        "300 rows landed for telco; 30 (10%) cancelled.",
        "Looked at: 200 rows",
        "  ticket: a serial number\n  total: says what sum says\n",
        "Leavers differ most in: minutes.",
    ):
        assert shown in text


def test_a_comparison_shows_each_figure_of_both_models_and_their_difference(ports: Ports, dataset: Dataset) -> None:
    report = compare_report()
    publish(ports, MODEL_COMPARISON, report)
    text = compare_summary(ports, dataset)
    assert report.first
    assert report.second
    cost = report.cost_difference
    for shown in (
        "  A: aaa\n  B: bbb\n",
        "Both on 300 customers, if every contacted leaver stays.",
        f"{report.first.auc.value:.4f}    {report.second.auc.value:.4f}   ",
        f"-${cost.value:.2f} (-${cost.high:.2f} to -${cost.low:.2f})",
        "Another decision for ",
    ):
        assert shown in text


def test_a_scored_batch_says_whom_to_contact_and_what_it_costs(ports: Ports, dataset: Dataset) -> None:
    publish_batch(ports, 1)
    text = score_summary(ports, dataset, "may")
    for shown in (
        "Batch may of telco: contact 1 of 9 customers.",
        "The contacts cost $100.00; after that they are expected to save $250.00, if every contacted leaver stays.",
        "Columns that the model does not know: 'colour', 'size', 'weight' and 1 more.",
        "    1. 007  75%  saves $250.00  a call",
    ):
        assert shown in text


def test_what_a_hold_out_can_show_is_said_before_the_list_is_sent(ports: Ports, dataset: Dataset) -> None:
    power = holdout_power([(4, 1)], 0.25)
    holdout = Holdout(drawn=5, drawn_held_out=1, ratio_p=None, phases=1, power=power)
    publish_batch(ports, 5, holdout=holdout)
    text = score_summary(ports, dataset, "may")
    assert f"  Hold-out:    {describe_holdout(holdout)}\n" in text
    assert "1 of 5 customers are held out: too few to say what contacting changes" in text


def test_columns_that_the_spec_ignores_are_no_surprise_in_a_batch(ports: Ports, dataset: Dataset) -> None:
    publish_batch(ports, 1)
    text = score_summary(ports, replace(dataset, ignore=("Colour", "weight")), "may")
    assert "Columns that the model does not know: 'size', " in text


@pytest.mark.parametrize(
    ("opted_out", "why"),
    [(0, "Nobody is worth contacting"), (2, "Nobody to contact: everyone worth contacting was ex")],
)
def test_an_empty_list_says_why_it_is_empty(ports: Ports, dataset: Dataset, opted_out: int, why: str) -> None:
    publish_batch(ports, 0, opted_out=opted_out)
    text = score_summary(ports, dataset, "may")
    assert why in text
    assert ("Not on the list: 2 opted out." in text) == bool(opted_out)


@pytest.mark.parametrize("without", ["odd", "repeated", "apart"])
def test_what_an_older_exploration_did_not_look_for_is_not_evaluated(
    ports: Ports, dataset: Dataset, without: str
) -> None:
    publish(ports, EXPLORATION_REPORT, EXPLORED, without=without)
    assert MISSING in explore_summary(ports, dataset)


@pytest.mark.parametrize("without", ["first", "second", "decisions", "auc_difference"])
def test_what_an_older_comparison_did_not_compute_is_not_evaluated(
    ports: Ports, dataset: Dataset, without: str
) -> None:
    publish(ports, MODEL_COMPARISON, compare_report(), without=without)
    assert MISSING in compare_summary(ports, dataset)


def test_what_an_older_ingest_did_not_list_is_not_evaluated(ports: Ports, dataset: Dataset) -> None:
    publish_batch(ports, 1, without="ignored_columns")
    assert f"Columns that the model does not know: {MISSING}." in score_summary(ports, dataset, "may")


def test_without_a_result_the_command_that_makes_it_is_named(ports: Ports, dataset: Dataset) -> None:
    with pytest.raises(ChurnError, match=r"(?is)an evaluation of telco.+`churn retrain telco`"):
        report_summary(ports, dataset)
    with pytest.raises(ChurnError, match=r"(?is)an exploration of telco.+`churn explore telco`"):
        explore_summary(ports, dataset)
    with pytest.raises(ChurnError, match=r"(?is)a comparison of telco.+`churn compare telco`"):
        compare_summary(ports, dataset)
    with pytest.raises(ChurnError, match=r"Batch may has not been scored yet\. Run `churn score telco may`\."):
        score_summary(ports, dataset, "may")
