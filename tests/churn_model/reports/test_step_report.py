"""report.json: what a step writes comes back typed; a newer schema is refused, an older one is read."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from churn_model.checks import Check
from churn_model.models.calibration import Calibration
from churn_model.reports.ingest import IngestCounts, IngestReport
from churn_model.reports.preprocess import PreprocessReport
from churn_model.reports.step_report import (
    OLDEST_SCHEMA,
    REPORT_SCHEMA,
    PublishedFile,
    Report,
    ReportError,
    StepReport,
)
from churn_model.reports.train import ClassCounts, TrainCounts, TrainReport, TrialSummary

INGESTED = IngestReport(
    counts=IngestCounts(records=5, rows=4, quarantined=1, files=1),
    columns={"_id": "string"},
    kinds={"a": "number"},
    ignored_columns=("b",),
    reasons={"a blank id": 1},
)
CHECK = Check("every_record_is_accounted_for", True, "5 records", "5 records")
REPORT = StepReport.of(
    "ingest", Report(content=INGESTED, checks=[CHECK]), {"rows/part-0.parquet": PublishedFile(9, "d", 4)}
)


def changed(**changes: Any) -> bytes:
    return json.dumps({**json.loads(REPORT.to_json()), **changes}).encode()


def test_a_report_comes_back_as_it_was_written() -> None:
    read = StepReport.from_json(REPORT.to_json())
    assert read == REPORT
    assert read.read(IngestReport) == INGESTED


def test_single_numbers_are_counts_and_metrics_and_the_rest_is_detail() -> None:
    trained = TrainReport(
        counts=TrainCounts(trials=1, features=2, fitted_rows=3, searched_rows=3),
        metrics={"log_loss_calibrated": 0.5, "log_loss_uncalibrated": math.inf},
        leaderboard=(TrialSummary(number=0, family="linear", rounds=3, values={"eta": 0.5}, log_loss=0.5),),
        searched_on="folds",
        calibration=Calibration(kind="beta"),
        validation=ClassCounts(leavers=1, stayers=2),
    )
    raw = json.loads(StepReport.of("train", Report(content=trained), {}).to_json())
    assert raw["counts"] == {"trials": 1, "features": 2, "fitted_rows": 3, "searched_rows": 3}
    assert raw["metrics"] == {"log_loss_calibrated": 0.5, "log_loss_uncalibrated": None}
    assert raw["detail"].keys() == {
        "leaderboard", "searched_on", "calibration", "validation", "left_out", "averaged", "engine", "more_would_help",
    }  # fmt: skip
    assert raw["schema"] == REPORT_SCHEMA


def test_a_count_that_does_not_apply_is_left_out() -> None:
    assert "positives" not in REPORT.counts
    assert REPORT.read(IngestReport).counts.positives is None


def test_a_newer_schema_is_refused_with_what_to_do() -> None:
    with pytest.raises(
        ReportError,
        match=rf"(?is)schema {OLDEST_SCHEMA} to {REPORT_SCHEMA}.+schema 99 in that of step ingest.+install the version",
    ):
        StepReport.from_json(changed(schema=99))


@pytest.mark.parametrize("schema", range(OLDEST_SCHEMA, REPORT_SCHEMA + 1))
def test_every_readable_schema_is_read_whatever_it_does_not_have(schema: int) -> None:
    old = StepReport.from_json(changed(schema=schema, detail={"columns": {"_id": "string"}}))
    assert old.read(IngestReport) == replace(INGESTED, kinds=None, ignored_columns=None, reasons=None)


def test_a_schema_that_is_no_longer_read_is_refused_with_what_to_do() -> None:
    with pytest.raises(ReportError, match=r"(?i)found schema 0.+run the step again"):
        StepReport.from_json(changed(schema=OLDEST_SCHEMA - 1))


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b"\xff", changed(schema="2"), changed(files=[]), changed(checks=[{}])]
)
def test_what_is_no_report_is_refused(data: bytes) -> None:
    with pytest.raises(ReportError, match=r"(?i)Expected a report\.json"):
        StepReport.from_json(data)


def test_a_report_of_another_step_is_refused_with_the_path_to_what_is_missing() -> None:
    with pytest.raises(ReportError, match=r"(?is)report\.json of step ingest cannot be read.+leaks to be present"):
        REPORT.read(PreprocessReport)
