"""The main job as its users run it: the command line, Dagster, steps as processes, a lake on disk."""

import errno
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow import csv

from churn_assets.cli.command import ExitCode
from churn_assets.sample.generator import Generator
from churn_assets.sample.population import Switches
from churn_model.models.bundle import read_bundle
from churn_model.reports.evaluate import EvaluateReport
from churn_model.reports.train import TrainReport
from resources.catalog.names import EVALUATION_PAGE, EVALUATION_REPORT, REPORT_HTML
from resources.catalog.pointers import read_current
from resources.catalog.publish import require_published
from tests.conftest import Workspace

SPEC = """\
id: customer_id
as_of: as_of
label: {column: churned, positive: ["yes"], means: cancelled}
derived: {total_charge: day_charge + evening_charge + night_charge + international_charge}
costs: {contact: {cost: 40, success: 0.6, value: {column: annual_value}}}
list: {opt_out: do_not_call, capacity: 20}
search: {trials: 2}
"""


def sample(rows: int, switches: Switches | None = None, seed: int = 1729) -> pa.Table:
    generator = Generator(seed=seed, switches=switches or Switches())
    return pa.concat_tables(piece.landed for piece in generator.training(rows))


def batch(rows: int, number: int = 1) -> pa.Table:
    return pa.concat_tables(piece.landed for piece in Generator().batch(number, rows))


@pytest.fixture
def project(workspace: Workspace) -> Workspace:
    workspace.write_spec("shop", SPEC)
    return workspace


def column(table: pa.Table, name: str, values: Sequence[object]) -> pa.Table:
    return table.append_column(name, pa.array(values))


def test_a_column_that_gives_the_label_away_stops_the_run_and_is_named(project: Workspace) -> None:
    project.land(sample(1500, Switches(leak=1.0)))
    assert project.churn("retrain", "shop") == ExitCode.FAILED
    assert "no_column_gives_the_label_away does not hold" in project.output
    assert "retention_call_minutes" in project.output
    assert project.champion() is None
    assert read_current(project.lake, "shop", "preprocessed_splits") is None


@pytest.mark.prove
def test_a_suspected_leak_is_left_out_of_the_model_that_is_promoted(project: Workspace) -> None:
    project.land(sample(4000, Switches(leak=0.6)))
    project.write_spec("shop", SPEC.replace("derived: {", "derived: {long_call: retention_call_minutes * 2, "))
    assert project.churn("retrain", "shop") == ExitCode.DONE
    assert (
        "retention_call_minutes may be known only after a customer has left; without, a small model has an AUC of 0."
        in project.output
    )
    champion = project.champion()
    assert champion is not None
    left_out = require_published(project.lake, champion.prefix).read(TrainReport).left_out
    assert left_out is not None
    assert "may be known only after" in left_out["retention_call_minutes"]
    path = project.root / "model.tar.gz"
    path.write_bytes(project.lake.read(f"{champion.prefix}model.tar.gz"))
    assert not {"retention_call_minutes", "long_call"} & set(read_bundle(path).schema.names)


@pytest.mark.prove
def test_noise_is_never_promoted(project: Workspace) -> None:
    project.land(sample(4000, Switches(signal=0.0)))
    assert project.churn("retrain", "shop") == ExitCode.NOTHING_PROMOTED
    assert "Nothing is promoted: no signal" in project.output
    assert project.champion() is None


def test_a_table_of_one_class_is_refused_with_the_way_out(project: Workspace) -> None:
    table = sample(500)
    stayed = table.filter(pc.equal(table["churned"], "no"))
    project.land(stayed)
    assert project.churn("retrain", "shop") == ExitCode.FAILED
    assert "both_classes_are_present does not hold" in project.output
    assert "Check label.positive in the spec" in project.output


@pytest.mark.prove
def test_a_small_table_is_judged_by_outer_folds_and_then_compared_on_rows_that_no_model_saw(project: Workspace) -> None:
    project.write_spec("shop", SPEC.replace("success: 0.6", "success: 0.9"))
    project.land(sample(1_100))
    assert project.churn("retrain", "shop") == ExitCode.DONE, project.output
    assert "First champion: judged by 5 outer folds on 1,100 rows" in project.output
    assert "each by a model that never saw that customer" in project.output
    assert "too few for a test split: the recipe is judged by 5 outer folds" in project.output
    first = project.champion()
    assert first is not None
    current = read_current(project.lake, "shop", EVALUATION_PAGE)
    assert current is not None
    page = project.lake.read(current.prefix + REPORT_HTML).decode()
    assert "by 5 outer folds: the table is small" in page
    assert "The recipe in outer folds" in page

    # Larger, the table has a test split of its own: what the champion may have been trained on is left out of the comparison.
    project.land(sample(1_700))
    assert project.churn("retrain", "shop") in (ExitCode.DONE, ExitCode.NOTHING_PROMOTED), project.output
    evaluation = read_current(project.lake, "shop", EVALUATION_REPORT)
    assert evaluation is not None
    found = require_published(project.lake, evaluation.prefix).read(EvaluateReport)
    assert found.comparison is not None
    assert found.evaluation.outer_folds == 0
    assert found.comparison.rows + found.comparison.left_out == found.evaluation.rows
    assert found.comparison.left_out > 0


@pytest.mark.prove
def test_a_table_too_small_to_judge_promotes_nothing(project: Workspace) -> None:
    project.write_spec("shop", SPEC + "split: {test: 0.1}\n")
    project.land(sample(700))
    assert project.churn("retrain", "shop") == ExitCode.NOTHING_PROMOTED
    assert "too small to judge" in project.output
    assert "  split: {by: hash}  # the shares left open: " in project.output
    assert "marked as provisional:\n  churn score shop BATCH --provisional\n" in project.output

    # The model scores all the same by one explicit word, and whatever comes of it says so.
    project.land(sample(300, seed=2).drop_columns(["churned"]), name="today.csv", batch="today")
    assert project.churn("score", "shop", "today") == ExitCode.FAILED
    assert "the gate refused the last model. Nothing is promoted: too small to judge" in project.output
    assert "add --provisional to `churn score`" in project.output
    assert project.churn("score", "shop", "today", "--provisional") == ExitCode.DONE
    assert "PROVISIONAL: the gate refused this model. Nothing is promoted: too small to judge" in project.output
    assert project.champion() is None
    listed = (project.root / "home" / "out" / "shop" / "lists" / "today.csv").read_text("utf-8").splitlines()
    assert listed[0].endswith('"model_version"')
    assert len(listed) > 1
    assert all('"provisional-' in line for line in listed[1:])
    project.land(sample(300, seed=2).drop_columns(["churned"]), name="again.csv", batch="again")
    assert project.churn("score", "shop", "again", "--provisional") == ExitCode.DONE
    assert f"{len(listed) - 1:,} listed not long ago" in project.output


def test_many_bad_records_stop_the_run_and_are_counted_by_reason(project: Workspace) -> None:
    table = sample(1000)
    broken = np.array(table["customer_id"].to_pylist(), dtype=object)
    broken[::5] = ""
    project.land(table.set_column(0, "customer_id", pa.array(broken)))
    assert project.churn("retrain", "shop") == ExitCode.FAILED
    assert "landed_data_keeps_the_contract does not hold" in project.output
    assert "200 in quarantine" in project.output


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ("retrain", "nosuch"),
            ExitCode.MISUSED,
            "found no nosuch.yaml (there are: shop). Write one: `churn new nosuch FILE`",
        ),
        (("retrain", "shop"), ExitCode.FAILED, "found none. Land one: `churn land shop FILE`"),
        (("score", "shop", "monday"), ExitCode.FAILED, "churn land shop FILE --batch monday"),
        (("score", "shop", "no/slash"), ExitCode.MISUSED, "Expected a batch name of letters, digits"),
        (("report", "shop"), ExitCode.FAILED, "Run `churn retrain shop` first"),
        (("rollback", "shop"), ExitCode.FAILED, "Expected a champion of shop to roll back from"),
        (("land", "shop", "missing.csv"), ExitCode.MISUSED, "found none at missing.csv"),
        (("land", "shop", __file__), ExitCode.MISUSED, "a name ending in .csv, .csv.gz, .parquet"),
        (("land", "shop", "CUSTOMERS", "--batch", "a b"), ExitCode.MISUSED, "Expected a batch name of letters, digits"),
        (("new", "EN2", "CUSTOMERS"), ExitCode.MISUSED, "found 'EN2'. Name it en2"),
        (("new", "en2", "missing.csv"), ExitCode.MISUSED, "Expected a file missing.csv; found none. Correct the path"),
        (("new", "en2", "CUSTOMERS", "--label", "nosuch"), ExitCode.MISUSED, "Expected a column 'nosuch'"),
        (("new", "en2", "CUSTOMERS", "--id", "nosuch"), ExitCode.MISUSED, "Expected a column 'nosuch'"),
    ],
)
def test_a_command_that_cannot_work_says_what_to_do(
    project: Workspace, arguments: tuple[str, ...], code: int, message: str
) -> None:
    customers = project.root / "customers.csv"
    csv.write_csv(sample(100), customers)
    assert project.churn(*(str(customers) if word == "CUSTOMERS" else word for word in arguments)) == code
    assert message in project.output
    assert "Traceback" not in project.output


def test_a_wrong_setting_is_a_wrong_command(project: Workspace) -> None:
    project.settings["CHURN_THREADS"] = "abc"
    assert project.churn("retrain", "shop") == ExitCode.MISUSED
    assert "CHURN_THREADS: expected a whole number from 1 to 1024, found 'abc'" in project.output


@pytest.mark.parametrize("command", [("land", "shop", "FILE"), ("retrain", "shop"), ("report", "shop"), ("sample",)])
@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_working_folder_that_is_a_file_is_refused(project: Workspace, command: tuple[str, ...], below: str) -> None:
    file = project.root / "f.csv"
    file.write_text("a,b\n1,2\n")
    project.settings["CHURN_HOME"] = str(file / below)
    assert project.churn(*(str(file) if word == "FILE" else word for word in command)) == ExitCode.MISUSED
    assert f"CHURN_HOME: expected a folder, found a file at {file}; name another folder" in project.output


def test_a_folder_of_specs_that_is_a_file_is_refused(project: Workspace) -> None:
    file = project.root / "f.csv"
    file.write_text("a,b\n1,2\n")
    project.settings["CHURN_DATASETS"] = str(file)
    assert project.churn("new", "other", file) == ExitCode.MISUSED
    assert f"CHURN_DATASETS: expected a folder, found a file at {file}" in project.output


def refuses(monkeypatch: pytest.MonkeyPatch, folder: Path, error: int) -> None:
    """Nothing can be made below a folder, as on a disk that is read only or in /proc; root may write anywhere else."""
    mkdir, make_file = Path.mkdir, tempfile.mkstemp

    def refused(path: Path) -> None:
        if path.is_relative_to(folder):
            raise OSError(error, os.strerror(error), str(path))

    def make(path: Path, *given: Any, **named: Any) -> None:
        refused(path)
        mkdir(path, *given, **named)

    def put(*, prefix: str, **named: Any) -> tuple[int, str]:
        refused(Path(named["dir"]))
        return make_file(prefix=prefix, **named)

    monkeypatch.setattr(Path, "mkdir", make)
    monkeypatch.setattr(tempfile, "mkstemp", put)


def test_a_working_folder_that_cannot_be_made_is_refused(project: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = project.root / "nowhere"
    refuses(monkeypatch, nowhere, errno.ENOENT)
    project.settings["CHURN_HOME"] = str(nowhere)
    assert project.churn("retrain", "shop") == ExitCode.MISUSED
    for part in (f"to make the working folder {nowhere}", "No such file or directory", "Set CHURN_HOME to a folder"):
        assert part in project.output


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (errno.EROFS, "found Read-only file system. Make it writable for this user, or set"),
        (errno.ENOENT, "found No such file or directory. Set"),
    ],
)
def test_a_folder_of_specs_that_cannot_be_written_is_not_taken_for_the_working_folder(
    project: Workspace, monkeypatch: pytest.MonkeyPatch, error: int, found: str
) -> None:
    csv.write_csv(sample(200), project.root / "new.csv")
    refuses(monkeypatch, project.root / "datasets", error)
    assert project.churn("new", "other", str(project.root / "new.csv")) == ExitCode.FAILED
    assert f"{found} CHURN_DATASETS to another folder" in project.output
    assert "CHURN_HOME" not in project.output


def test_a_folder_of_specs_that_cannot_be_read_is_said_to_be_so(
    project: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path) -> Iterator[Path]:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refused)
    assert project.churn("report", "shop") == ExitCode.MISUSED
    assert "found Permission denied. Check its permissions, or set CHURN_DATASETS to another folder" in project.output


def test_landing_says_what_is_new_what_is_replaced_and_how_many_files_there_are(project: Workspace) -> None:
    table, train = batch(50), project.root / "home" / "lake" / "landing" / "shop" / "train"
    project.land(table, name="a.csv")
    assert f"Landed {train / 'a.csv'} (new)" in project.output
    assert f"The training data of shop is now 1 file. To withdraw a file, remove it from {train}." in project.output
    project.land(table, name="z.csv")
    assert "The training data of shop is now 2 files, read together." in project.output
    project.land(table, name="a.csv")
    assert f"Landed {train / 'a.csv'} (replaces a file of that name)" in project.output
    assert "The training data of shop is now 2 files" in project.output
    project.land(table, name="b.csv", batch="monday")
    assert "(new)" in project.output
    assert "Batch monday of shop is now 1 file. To withdraw a file, remove it from" in project.output


def test_a_table_landed_twice_is_told_how_to_take_one_back(project: Workspace) -> None:
    table = sample(300)
    project.land(table, name="old.csv")
    project.land(table, name="new.csv")
    assert project.churn("retrain", "shop") == ExitCode.FAILED
    assert "land the newer file under the older one's name, or remove the older one from its folder" in project.output
    assert "land it again" not in project.output


def test_a_table_with_too_few_rows_is_told_once(project: Workspace) -> None:
    project.land(sample(30))
    assert project.churn("retrain", "shop") == ExitCode.FAILED
    assert "no_customer_in_two_splits does not hold: Expected at least 30 rows in train" in project.output
    assert "found expected" not in project.output


def test_a_spec_names_its_schema_only_where_that_lies(project: Workspace) -> None:
    csv.write_csv(sample(300), project.root / "new.csv")
    assert project.churn("new", "other", str(project.root / "new.csv")) == ExitCode.DONE
    assert "yaml-language-server" not in project.output
    (project.root / "docs").mkdir()
    (project.root / "docs" / "dataset.schema.json").write_text("{}")
    assert project.churn("new", "third", str(project.root / "new.csv")) == ExitCode.DONE
    assert "# yaml-language-server: $schema=../docs/dataset.schema.json" in project.output


def test_a_batch_without_a_champion_is_refused(project: Workspace) -> None:
    project.land(batch(50), name="b.csv", batch="monday")
    assert project.churn("score", "shop", "monday") == ExitCode.FAILED
    assert "Expected a champion of shop to score with" in project.output


def test_a_bad_spec_stops_nobody_else(project: Workspace) -> None:
    project.write_spec("bad", "label: {column: x}\ncosts: {false_positive: -1}\n")
    assert project.churn("retrain", "bad") == ExitCode.MISUSED
    assert "bad.yaml:1" in project.output
    project.land(batch(50), name="b.csv", batch="monday")


def test_the_working_folder_holds_dagsters_own_settings_once(project: Workspace) -> None:
    assert project.churn("retrain", "shop") == ExitCode.FAILED
    config = project.root / "home" / "dagster" / "dagster.yaml"
    config.write_text(config.read_text() + "# mine\n")
    assert project.churn("retrain", "shop") == ExitCode.FAILED
    assert config.read_text().endswith("# mine\n")


@pytest.fixture
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refused(subprocess.Popen[Any]):
        def __init__(self, *_: Any, **__: Any) -> None:
            pytest.fail("a process was started")

    monkeypatch.setattr(subprocess, "Popen", Refused)


@pytest.mark.usefixtures("nothing_starts")
def test_a_busy_port_is_refused_before_anything_starts(project: Workspace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert project.churn("ui", "--port", str(port)) == ExitCode.MISUSED
    assert f"Port {port} on 127.0.0.1 is already in use" in project.output
    assert "Choose another with --port" in project.output
    assert "The UI will be at" not in project.output


@pytest.mark.usefixtures("nothing_starts")
@pytest.mark.parametrize("port", ["0", "65536", "99999", "-1", "x"])
def test_what_is_no_port_is_a_wrong_command(project: Workspace, port: str) -> None:
    assert project.churn("ui", f"--port={port}") == ExitCode.MISUSED
    assert f"expected a port from 1 to 65535, found '{port}'" in project.output


def test_every_run_is_in_dagsters_history(project: Workspace) -> None:
    assert project.churn("retrain", "shop") == ExitCode.FAILED
    (run,) = project.runs()
    assert (run.job_name, run.status) == ("shop_retrain", dg.DagsterRunStatus.FAILURE)
