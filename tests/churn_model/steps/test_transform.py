"""A batch that is scored part by part over HTTP has the predictions and the report of the step, and what cannot be scored says why."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn_model.models.bundle import write_bundle
from churn_model.models.bundle_file import BUNDLE
from churn_model.reports.scored_part import ScoredPart
from churn_model.reports.step_report import ReportError, StepReport
from churn_model.steps import score
from churn_model.steps.contract import digest_file
from churn_model.steps.score_report import report_parts
from churn_model.steps.transform import PartServer, read_body
from churn_model.steps.transform_variables import from_variables, to_variables
from churn_model.tables import open_table, write_table
from tests.churn_model.serving.shop import SHOP, landed, made_bundle, rows_of
from tests.steps import run_in_folder

REQUEST = {"version": "v1", "threads": 2, "xgboost": ""}
ROWS = 300


@dataclass
class Batch:
    """A landed batch in parts, the folder of a model, and the step's result for them."""

    parts: list[Path]
    model: Path
    scored: Path


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    home = tmp_path_factory.mktemp("batch")
    bundle = made_bundle("boosted_trees")
    (home / "model").mkdir()
    write_bundle(bundle, home / "model" / BUNDLE)
    rows = rows_of(landed(ROWS, seed=1), SHOP, bundle.schema.required)
    write_table(home / "whole" / "rows", rows)
    scored = run_in_folder(score.step, home / "score", SHOP, rows=home / "whole", bundle=home / "model")
    parts = []
    for number, (start, length) in enumerate([(0, 120), (120, 100), (220, 80)]):
        parts.append(home / f"part-{number:05d}.parquet")
        pq.write_table(rows.slice(start, length), parts[-1])
    return Batch(parts, home / "model", scored)


def ask(server: PartServer, body: bytes = b"", path: str = "/invocations", method: str = "POST") -> tuple[str, bytes]:
    """Send a request, and return status and body of the response."""
    answered: list[str] = []
    request = {"REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.input": io.BytesIO(body)}
    found = server(request, lambda status, headers: answered.append(status))
    return answered[0], b"".join(found)


def serve(model: Path, **changes: object) -> PartServer:
    return PartServer(to_variables(SHOP, REQUEST | changes) | {"CHURN_MODEL": str(model)})


def test_parts_have_the_predictions_and_the_report_of_the_step(batch: Batch) -> None:
    server = serve(batch.model)
    tables, facts = [], []
    for part in batch.parts:
        status, body = ask(server, part.read_bytes())
        assert status == "200 OK"
        tables.append(pq.read_table(io.BytesIO(body)))
        facts.append(ScoredPart.from_footer(pq.read_metadata(io.BytesIO(body)).metadata))
        assert facts[-1].source == digest_file(part)
    whole = open_table(batch.scored / "predictions").read()
    assert pa.concat_tables(tables).replace_schema_metadata().equals(whole)
    assert whole["will_churn"].to_pylist().count(True) > 10
    theirs = StepReport.from_json((batch.scored / "report.json").read_bytes())
    ours = StepReport.of("score", report_parts(facts), {})
    assert ours.metrics == pytest.approx(theirs.metrics, rel=1e-12)
    assert (ours.counts, ours.checks, ours.detail) == (theirs.counts, theirs.checks, theirs.detail)


def test_a_model_that_the_gate_refused_is_marked_in_each_part(batch: Batch) -> None:
    _, body = ask(serve(batch.model, provisional="yes"), batch.parts[0].read_bytes())
    assert set(pq.read_table(io.BytesIO(body))["model_version"].to_pylist()) == {"provisional-v-boosted_trees"}


def test_what_sagemaker_asks_beside_the_parts_is_answered(batch: Batch) -> None:
    server = serve(batch.model)
    assert ask(server, path="/ping", method="GET") == ("200 OK", b"")
    limits = json.loads(ask(server, path="/execution-parameters", method="GET")[1])
    assert limits == {"MaxConcurrentTransforms": 1, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 100}
    assert ask(server, path="/models", method="GET")[0] == "404 Not Found"


def test_a_part_that_cannot_be_scored_is_refused_with_words(batch: Batch) -> None:
    server = serve(batch.model)
    status, words = ask(server, b"id,plan\n1,basic\n")
    assert status == "400 Bad Request"
    assert b"Expected a Parquet file" in words
    narrow = io.BytesIO()
    pq.write_table(pq.read_table(batch.parts[0]).drop(["minutes"]), narrow)
    status, words = ask(server, narrow.getvalue())
    assert status == "400 Bad Request"
    assert b"minutes" in words


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda model: (model / BUNDLE).write_bytes(b"nothing"), b"Expected a tar.gz file"),
        (lambda model: None, b"Expected an image with XGBoost 1.0.0; found "),
    ],
)
def test_a_server_that_cannot_score_answers_with_why(
    tmp_path: Path, batch: Batch, spoil: Callable[[Path], object], words: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / BUNDLE).write_bytes((batch.model / BUNDLE).read_bytes())
    spoil(tmp_path)
    server = serve(tmp_path, xgboost="" if b"tar" in words else "1.0.0")
    # Or the job would be waited for, and fail without words.
    assert ask(server, path="/ping", method="GET")[0] == "200 OK"
    status, found = ask(server, batch.parts[0].read_bytes())
    assert status == "400 Bad Request"
    assert words in found
    assert words.decode() in capsys.readouterr().err


def test_a_server_whose_variables_are_not_those_of_a_job_answers_with_why(capsys: pytest.CaptureFixture[str]) -> None:
    server = PartServer({"CHURN_REQUEST": "{", "CHURN_SPEC_0": SHOP.to_json()})
    assert ask(server, path="/ping", method="GET")[0] == "200 OK"
    status, found = ask(server, b"rows")
    assert status == "400 Bad Request"
    assert b"JSONDecodeError" in found
    assert "JSONDecodeError" in capsys.readouterr().err


def test_a_request_beyond_the_limit_is_not_read() -> None:
    with pytest.raises(Exception, match=r"a part of at most 3 bytes; found more"):
        read_body(io.BytesIO(b"four"), 3)


def test_a_spec_of_any_length_arrives_in_variables() -> None:
    long = replace(SHOP, words={f"column {n}": "{value} calls, as ever" for n in range(500)})
    variables = to_variables(long, REQUEST)
    assert 1 < len(variables) <= 16
    assert all(len(value) <= 10_240 for value in variables.values())
    assert from_variables(variables) == (long, REQUEST)


def test_a_footer_without_facts_is_an_error() -> None:
    with pytest.raises(ReportError, match="the facts of a scored part in a Parquet footer"):
        ScoredPart.from_footer(None)
