"""The main job as its users run it: the command line, Dagster, steps as processes, a lake on disk."""

import errno
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow import csv

from churn_assets.cli import app as cli
from churn_assets.cli.workspace import open_instance
from churn_assets.sample.generator import Generator
from churn_assets.sample.population import Switches
from resources.catalog.pointers import Champion, read_batch, read_champion, read_current
from resources.catalog.published_tables import open_published_table
from resources.ports.lake import MANIFEST, Lake
from resources.settings import read_settings
from resources.wiring import wire

SPEC = """\
id: customer_id
as_of: as_of
label: {column: churned, positive: ["yes"], means: cancelled}
derived: {total_charge: day_charge + evening_charge + night_charge + international_charge}
costs: {contact: {cost: 40, success: 0.6, value: {column: annual_value}}}
list: {opt_out: do_not_call, capacity: 20}
search: {trials: 2}
"""


@dataclass
class Project:
    """A working folder of its own, driven by `churn`."""

    root: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    said: str = ""
    runs: dict[str, str] = field(default_factory=dict)

    def describe(self, name: str, spec: str) -> None:
        (self.root / "datasets").mkdir(exist_ok=True)
        (self.root / "datasets" / f"{name}.yaml").write_text(spec)

    def churn(self, *arguments: str) -> int:
        self.monkeypatch.setenv("CHURN_HOME", str(self.root / "home"))
        self.monkeypatch.setenv("CHURN_DATASETS", str(self.root / "datasets"))
        self.capsys.readouterr()
        code = cli.main(list(arguments))
        captured = self.capsys.readouterr()
        self.said = captured.out + captured.err
        print(self.said)  # noqa: T201  # shown where a test fails
        return code

    def land(
        self, table: pa.Table, dataset: str = "shop", name: str = "customers.csv", batch: str | None = None
    ) -> None:
        path = self.root / name
        csv.write_csv(table, path)
        assert self.churn("land", dataset, str(path), *(["--batch", batch] if batch else [])) == cli.DONE

    @property
    def lake(self) -> Lake:
        self.monkeypatch.setenv("CHURN_HOME", str(self.root / "home"))
        return wire(read_settings()).lake

    @property
    def champion(self) -> Champion | None:
        return read_champion(self.lake, "shop")

    def steps_started(self) -> int:
        return len(list((self.root / "home" / "runs").glob("*/log.txt")))

    def table(self, prefix: str) -> pa.Table:
        return open_published_table(self.lake, prefix).read()

    def list_of(self, batch: str) -> pa.Table:
        shown = read_current(self.lake, "shop", f"retention_list/{batch}")
        assert shown is not None
        return self.table(shown.prefix + "assignments/")


def sample(rows: int, switches: Switches | None = None, seed: int = 1729) -> pa.Table:
    generator = Generator(seed=seed, switches=switches or Switches())
    return pa.concat_tables(piece.landed for piece in generator.training(rows))


def batch(rows: int, number: int = 1) -> pa.Table:
    return pa.concat_tables(piece.landed for piece in Generator().batch(number, rows))


@pytest.fixture(scope="module")
def prepared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with Dagster's databases made once: each test takes a copy, for making them takes seconds."""
    home = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHURN_HOME", str(home))
        open_instance(read_settings()).dispose()
        for name in ("DAGSTER_HOME", "CHURN_DATASETS", "DAGSTER_DISABLE_TELEMETRY"):
            patch.delenv(name, raising=False)
    return home


@pytest.fixture
def project(
    tmp_path: Path, prepared_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Project:
    shutil.copytree(prepared_home, tmp_path / "home")
    made = Project(tmp_path, monkeypatch, capsys)
    made.describe("shop", SPEC)
    return made


def column(table: pa.Table, name: str, values: Sequence[object]) -> pa.Table:
    return table.append_column(name, pa.array(values))


def test_from_landed_files_to_a_promoted_model_scored_customers_and_back(project: Project) -> None:
    project.land(sample(4000))
    assert project.churn("retrain", "shop") == cli.DONE
    first = project.champion
    assert first is not None
    assert first.outcome == "first"
    assert "First champion: judged on" in project.said
    assert "if 60% of contacted leavers stay" in project.said

    # Unchanged data: every version is found again, nothing is started, the champion stays.
    before = project.steps_started()
    assert project.churn("retrain", "shop") == cli.DONE
    assert "Nothing has changed since the last retrain: no step was started." in project.said
    assert (project.steps_started(), project.champion) == (before, first)

    # A batch: every landed customer has a prediction under the same id; the list keeps to capacity and opt-outs.
    landed = batch(300)
    project.land(landed, name="b.csv", batch="monday")
    assert project.churn("score", "shop", "monday") == cli.DONE
    assert "contact 20 of 300 customers" in project.said
    rows = project.list_of("monday")
    assert sorted(rows["id"].to_pylist()) == sorted(landed["customer_id"].to_pylist())
    opted_out = set(landed.filter(pc.equal(landed["do_not_call"], "yes"))["customer_id"].to_pylist())
    contacted = set(rows.filter(rows["contacted"])["id"].to_pylist())
    assert len(contacted) == 20
    assert not contacted & opted_out
    record = read_batch(project.lake, "shop", "monday")
    assert record is not None
    assert record.champion.version == first.version

    # The same batch again, landed again under the same name: the same bytes, no step.
    keys = [
        entry.key for entry in project.lake.entries("shop/batch_predictions/monday/") if entry.key.endswith(".parquet")
    ]
    bytes_before, before = [project.lake.read(key) for key in keys], project.steps_started()
    project.land(landed, name="b.csv", batch="monday")
    assert project.churn("score", "shop", "monday") == cli.DONE
    assert project.steps_started() == before
    assert [project.lake.read(key) for key in keys] == bytes_before

    # Who was listed on Monday is left alone on Tuesday.
    project.land(landed, name="c.csv", batch="tuesday")
    assert project.churn("score", "shop", "tuesday") == cli.DONE
    tuesday = project.list_of("tuesday")
    assert not contacted & set(tuesday.filter(tuesday["contacted"])["id"].to_pylist())

    # Dearer contacts: the very next score reads them, and with fewer worth it.
    project.describe("shop", SPEC.replace("cost: 40", "cost: 60"))
    assert project.churn("score", "shop", "tuesday") == cli.DONE
    dearer = project.list_of("tuesday")
    assert set(dearer.filter(dearer["will_churn"])["id"].to_pylist()) < set(
        tuesday.filter(tuesday["will_churn"])["id"].to_pylist()
    )

    # So dear that none is: no sum of nothing is told, and then the costs of before stand again.
    project.describe("shop", SPEC.replace("cost: 40", "cost: 1000000"))
    assert project.churn("score", "shop", "tuesday") == cli.DONE
    assert "contact 0 of 300 customers" in project.said
    assert (
        "Nobody is worth contacting: for each customer a contact is expected to cost more than it saves."
        in project.said
    )
    assert "The contacts cost" not in project.said
    project.describe("shop", SPEC.replace("cost: 40", "cost: 60"))

    # Retrained: the same model is promoted with today's costs, and the way back is one command.
    assert project.churn("retrain", "shop") == cli.DONE
    second = project.champion
    assert second is not None
    assert second.version != first.version
    assert "the same model, today's costs" in second.reason
    assert project.churn("rollback", "shop") == cli.DONE
    back = project.champion
    assert back is not None
    assert (back.version, back.barred) == (first.version, (second.version,))
    assert project.churn("retrain", "shop") == cli.DONE
    assert "rolled back by hand" in project.said
    assert project.champion == back
    assert project.churn("rollback", "shop", "no-such-version") == cli.FAILED
    assert f"found no-such-version; the earlier champions of shop: {second.version}" in project.said

    # What lies in the lake is whole: every version has a manifest whose files are there.
    manifests = [entry.key for entry in project.lake.entries("shop/") if entry.key.endswith(MANIFEST)]
    assert len(manifests) >= 10
    for key in manifests:
        files = json.loads(project.lake.read(key))["files"]
        for name, file in files.items():
            (entry,) = project.lake.list(key.removesuffix(MANIFEST) + name, limit=1)
            assert entry.size == file["size"]


def test_a_column_that_gives_the_label_away_stops_the_run_and_is_named(project: Project) -> None:
    project.land(sample(1500, Switches(leak=1.0)))
    assert project.churn("retrain", "shop") == cli.FAILED
    assert "no_column_gives_the_label_away does not hold" in project.said
    assert "retention_call_minutes" in project.said
    assert project.champion is None
    assert read_current(project.lake, "shop", "preprocessed_splits") is None


def test_a_suspected_leak_is_not_promoted_until_the_spec_vouches_for_it(project: Project) -> None:
    project.land(sample(4000, Switches(leak=0.6)))
    assert project.churn("retrain", "shop") == cli.NOTHING_PROMOTED
    assert "retention_call_minutes may be known only after a customer has left" in project.said
    assert project.champion is None
    project.describe("shop", SPEC + "ignore: [retention_call_minutes]\n")
    assert project.churn("retrain", "shop") == cli.DONE
    assert project.champion is not None


def test_noise_is_never_promoted(project: Project) -> None:
    project.land(sample(4000, Switches(signal=0.0)))
    assert project.churn("retrain", "shop") == cli.NOTHING_PROMOTED
    assert "Nothing is promoted: no signal" in project.said
    assert project.champion is None


def test_a_table_of_one_class_is_refused_with_the_way_out(project: Project) -> None:
    table = sample(500)
    stayed = table.filter(pc.equal(table["churned"], "no"))
    project.land(stayed)
    assert project.churn("retrain", "shop") == cli.FAILED
    assert "both_classes_are_present does not hold" in project.said
    assert "see to label.positive in the spec" in project.said


def test_a_table_too_small_to_judge_promotes_nothing(project: Project) -> None:
    project.land(sample(700))
    assert project.churn("retrain", "shop") == cli.NOTHING_PROMOTED
    assert "too small to judge" in project.said


def test_many_bad_records_stop_the_run_and_are_counted_by_reason(project: Project) -> None:
    table = sample(1000)
    broken = np.array(table["customer_id"].to_pylist(), dtype=object)
    broken[::5] = ""
    project.land(table.set_column(0, "customer_id", pa.array(broken)))
    assert project.churn("retrain", "shop") == cli.FAILED
    assert "landed_data_keeps_the_contract does not hold" in project.said
    assert "200 in quarantine" in project.said


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            ("retrain", "nosuch"),
            cli.MISUSED,
            "found no nosuch.yaml (there are: shop); write one: `churn new nosuch FILE`",
        ),
        (("retrain", "shop"), cli.FAILED, "found none; land one: `churn land shop FILE`"),
        (("score", "shop", "monday"), cli.FAILED, "churn land shop FILE --batch monday"),
        (("score", "shop", "no/slash"), cli.MISUSED, "expected a batch name of letters, digits"),
        (("report", "shop"), cli.FAILED, "run `churn retrain shop` first"),
        (("rollback", "shop"), cli.FAILED, "expected a champion of shop to roll back from"),
        (("land", "shop", "missing.csv"), cli.MISUSED, "found nothing at missing.csv"),
        (("land", "shop", __file__), cli.MISUSED, "a name ending in .csv, .csv.gz, .parquet"),
        (("land", "shop", "CUSTOMERS", "--batch", "a b"), cli.MISUSED, "expected a batch name of letters, digits"),
        (("new", "EN2", "CUSTOMERS"), cli.MISUSED, "found 'EN2'; name it en2"),
        (("new", "en2", "missing.csv"), cli.MISUSED, "expected a file missing.csv; found none; correct the path"),
        (("new", "en2", "CUSTOMERS", "--label", "nosuch"), cli.MISUSED, "expected a column 'nosuch'"),
        (("new", "en2", "CUSTOMERS", "--id", "nosuch"), cli.MISUSED, "expected a column 'nosuch'"),
    ],
)
def test_a_command_that_cannot_work_says_what_to_do(
    project: Project, arguments: tuple[str, ...], code: int, said: str
) -> None:
    customers = project.root / "customers.csv"
    csv.write_csv(sample(100), customers)
    assert project.churn(*(str(customers) if word == "CUSTOMERS" else word for word in arguments)) == code
    assert said in project.said
    assert "Traceback" not in project.said


def test_a_wrong_setting_is_a_wrong_command(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_THREADS", "abc")
    assert project.churn("retrain", "shop") == cli.MISUSED
    assert "CHURN_THREADS: expected a whole number from 1 to 1024, found 'abc'" in project.said


@pytest.mark.parametrize("command", [("land", "shop", "FILE"), ("retrain", "shop"), ("report", "shop"), ("sample",)])
@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_working_folder_that_is_a_file_is_refused_in_words(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: tuple[str, ...],
    below: str,
) -> None:
    file = project.root / "f.csv"
    file.write_text("a,b\n1,2\n")
    monkeypatch.setenv("CHURN_DATASETS", str(project.root / "datasets"))
    monkeypatch.setenv("CHURN_HOME", str(file / below))
    assert cli.main([str(file) if word == "FILE" else word for word in command]) != cli.DONE
    assert f"CHURN_HOME: expected a folder, found a file at {file}; name another folder" in capsys.readouterr().err
    monkeypatch.setenv("CHURN_HOME", str(project.root / "home"))
    monkeypatch.setenv("CHURN_DATASETS", str(file))
    assert cli.main(["new", "other", str(file)]) != cli.DONE
    assert f"CHURN_DATASETS: expected a folder, found a file at {file}" in capsys.readouterr().err


def refuses(monkeypatch: pytest.MonkeyPatch, folder: Path, error: int) -> None:
    """Nothing can be made below a folder, as on a disk that is read only or in /proc; root may write anywhere else."""
    mkdir, write = Path.mkdir, Path.write_text

    def refused(path: Path) -> None:
        if path.is_relative_to(folder):
            raise OSError(error, os.strerror(error), str(path))

    def make(path: Path, *given: Any, **named: Any) -> None:
        refused(path)
        mkdir(path, *given, **named)

    def put(path: Path, *given: Any, **named: Any) -> int:
        refused(path)
        return write(path, *given, **named)

    monkeypatch.setattr(Path, "mkdir", make)
    monkeypatch.setattr(Path, "write_text", put)


def test_a_working_folder_that_cannot_be_made_is_refused_in_words(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = project.root / "nowhere"
    refuses(monkeypatch, nowhere, errno.ENOENT)
    monkeypatch.setenv("CHURN_DATASETS", str(project.root / "datasets"))
    monkeypatch.setenv("CHURN_HOME", str(nowhere))
    assert cli.main(["retrain", "shop"]) != cli.DONE
    said = capsys.readouterr().err
    assert (
        f"expected to make the working folder {nowhere}; found No such file or directory; set CHURN_HOME to a folder that can"
        in said
    )


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (errno.EROFS, "found Read-only file system; make it writable for this user, or"),
        (errno.ENOENT, "found No such file or directory;"),
    ],
)
def test_a_folder_of_specs_that_cannot_be_written_is_not_taken_for_the_working_folder(
    project: Project, monkeypatch: pytest.MonkeyPatch, error: int, found: str
) -> None:
    csv.write_csv(sample(200), project.root / "new.csv")
    refuses(monkeypatch, project.root / "datasets", error)
    assert project.churn("new", "other", str(project.root / "new.csv")) == cli.FAILED
    assert f"{found} set CHURN_DATASETS to another folder" in project.said
    assert "CHURN_HOME" not in project.said


def test_a_folder_of_specs_that_cannot_be_read_is_said_to_be_so(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path) -> Iterator[Path]:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refused)
    assert project.churn("report", "shop") == cli.MISUSED
    assert "found Permission denied; see to its permissions, or set CHURN_DATASETS to another folder" in project.said


def test_landing_says_what_is_new_what_is_replaced_and_how_many_files_there_are(project: Project) -> None:
    table, train = batch(50), project.root / "home" / "lake" / "landing" / "shop" / "train"
    project.land(table, name="a.csv")
    assert f"Landed {train / 'a.csv'} (a new file)" in project.said
    assert f"The training data of shop is now 1 file. To take a file back, remove it from {train}." in project.said
    project.land(table, name="z.csv")
    assert "The training data of shop is now 2 files, which add up." in project.said
    project.land(table, name="a.csv")
    assert f"Landed {train / 'a.csv'} (in place of the file of that name)" in project.said
    assert "The training data of shop is now 2 files" in project.said
    project.land(table, name="b.csv", batch="monday")
    assert "(a new file)" in project.said
    assert "Batch monday of shop is now 1 file. To take a file back, remove it from" in project.said


def test_a_table_landed_twice_is_told_how_to_take_one_back(project: Project) -> None:
    table = sample(300)
    project.land(table, name="old.csv")
    project.land(table, name="new.csv")
    assert project.churn("retrain", "shop") == cli.FAILED
    assert "land the newer file under the older one's name, or remove the older one from its folder" in project.said
    assert "land it again" not in project.said


def test_a_table_with_too_few_rows_is_told_once(project: Project) -> None:
    project.land(sample(30))
    assert project.churn("retrain", "shop") == cli.FAILED
    assert "no_customer_in_two_splits does not hold: expected at least 30 rows in train" in project.said
    assert "found expected" not in project.said


def test_a_spec_names_its_schema_only_where_that_lies(project: Project) -> None:
    csv.write_csv(sample(300), project.root / "new.csv")
    assert project.churn("new", "other", str(project.root / "new.csv")) == cli.DONE
    assert "yaml-language-server" not in project.said
    (project.root / "docs").mkdir()
    (project.root / "docs" / "dataset.schema.json").write_text("{}")
    assert project.churn("new", "third", str(project.root / "new.csv")) == cli.DONE
    assert "# yaml-language-server: $schema=../docs/dataset.schema.json" in project.said


def test_a_batch_without_a_champion_is_refused(project: Project) -> None:
    project.land(batch(50), name="b.csv", batch="monday")
    assert project.churn("score", "shop", "monday") == cli.FAILED
    assert "expected a champion of shop to score with" in project.said


def test_a_bad_spec_stops_nobody_else(project: Project) -> None:
    project.describe("bad", "label: {column: x}\ncosts: {false_positive: -1}\n")
    assert project.churn("retrain", "bad") == cli.MISUSED
    assert "bad.yaml:1" in project.said
    project.land(batch(50), name="b.csv", batch="monday")


def test_the_working_folder_holds_dagsters_own_settings_once(project: Project) -> None:
    assert project.churn("retrain", "shop") == cli.FAILED
    config = project.root / "home" / "dagster" / "dagster.yaml"
    config.write_text(config.read_text() + "# mine\n")
    assert project.churn("retrain", "shop") == cli.FAILED
    assert config.read_text().endswith("# mine\n")


@pytest.fixture
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*_: Any, **__: Any) -> None:
        pytest.fail("a process was started")

    monkeypatch.setattr(subprocess, "Popen", started)


@pytest.mark.usefixtures("nothing_starts")
def test_a_busy_port_is_refused_before_anything_starts(project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert project.churn("ui", "--port", str(port)) == cli.MISUSED
    assert f"expected port {port} of 127.0.0.1 to be free; found it taken" in project.said
    assert "name another with --port" in project.said
    assert "The UI will be at" not in project.said


@pytest.mark.usefixtures("nothing_starts")
@pytest.mark.parametrize("port", ["0", "65536", "99999", "-1", "x"])
def test_what_is_no_port_is_a_wrong_command(project: Project, capsys: pytest.CaptureFixture[str], port: str) -> None:
    with pytest.raises(SystemExit) as ended:
        project.churn("ui", f"--port={port}")
    assert ended.value.code == cli.MISUSED
    assert f"expected a port from 1 to 65535, found '{port}'" in capsys.readouterr().err


def test_every_run_is_in_dagsters_history(project: Project) -> None:
    assert project.churn("retrain", "shop") == cli.FAILED
    with dg.DagsterInstance.from_config(str(project.root / "home" / "dagster")) as instance:
        (run,) = instance.get_runs()
    assert (run.job_name, run.status) == ("shop_retrain", dg.DagsterRunStatus.FAILURE)
