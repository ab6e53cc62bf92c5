"""What every runner promises, with steps that are real processes."""

import fcntl
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from churn_model.reports.step_report import StepReport
from churn_model.spec.dataset import Dataset
from resources.errors import StepFailed
from resources.local.lake import LocalLake
from resources.local.runner import LocalRunner
from resources.ports.lake import Lake
from resources.ports.runner import Runner, StepRequest
from tests.harness.machine import is_alive
from tests.steps import write_stand_in

# Stands in for `churn_model.steps evaluate`: reads its input, counts its starts beside the lake, and does what the input says.
STEP = """
import hashlib, json, os, pathlib, sys, time
root = pathlib.Path(os.environ["CHURN_ROOT"])
config = root / "processing" / "input" / "config"
request = json.loads((config / "request.json").read_text())
what = (root / "processing" / "input" / "rows" / "what.txt").read_text()
result = root / "processing" / "output" / "result"
with open(pathlib.Path(os.environ["HOME"]) / "starts", "a") as starts:
    starts.write(f"{os.getpid()}\\n")
if what == "refuse":
    (root / "output").mkdir(exist_ok=True); (root / "output" / "failure").write_text("Expected rows; found none. Land some")
    sys.exit(2)
if what == "full":
    (root / "output").mkdir(exist_ok=True); (root / "output" / "failure").write_text("ArrowError: x\\nOSError: [Errno 28] No space left: '/lake/x'")
    sys.exit(1)
if what == "crash":
    print("the log's last line"); raise RuntimeError("boom")
if what == "die":
    os.kill(os.getpid(), 9)
if what == "warn":
    print("what a step prints")
if what == "slow":
    time.sleep(1.5)
if what == "forever":
    (result / "half").write_text("half"); time.sleep(60)
(result / "out.txt").write_text(json.loads((config / "dataset.json").read_text())["name"])
report = {"schema": 1, "step": "evaluate", "counts": {"rows": 3}, "metrics": {}, "checks": [], "detail": {"secret": os.environ.get("SECRET")},
          "files": {"out.txt": {"size": 5, "digest": hashlib.blake2b(b"telco", digest_size=16).hexdigest(), "rows": None}}}
(result / ".r").write_text(json.dumps(report)); (result / ".r").rename(result / "report.json")
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """Return a folder with a package `churn_model` whose one step is STEP."""
    return write_stand_in(tmp_path / "code", STEP)


@pytest.fixture
def runner(lake: LocalLake, code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalRunner:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SECRET", "a key of the user's")
    return LocalRunner(lake=lake, runs=str(tmp_path / "runs"), python=sys.executable, code=str(code))


@pytest.fixture(params=["local", "aws"])
def each(
    request: pytest.FixtureRequest, code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Runner, Lake]]:
    """Yield each adapter with its lake: processes of this machine, and SageMaker's jobs."""
    if request.param == "local":
        yield request.getfixturevalue("runner"), request.getfixturevalue("lake")
        return
    from tests.aws.sagemaker.running import runner_on, running_jobs

    lake = request.getfixturevalue("aws_lake")
    monkeypatch.setenv("SECRET", "a key of the user's")
    with running_jobs(lake, tmp_path / "jobs", environment={"HOME": str(tmp_path)}):
        yield runner_on(lake, code=code), lake


def request(lake: Lake, dataset: Dataset, what: str) -> StepRequest:
    lake.put("telco/raw/v0/what.txt", what.encode())
    return StepRequest(
        step="evaluate",
        version="v1",
        dataset=dataset,
        inputs={"rows": ["telco/raw/v0/"]},
        output="telco/evaluation_report/v1/",
        threads=1,
    )


def test_a_full_disk_is_explained(runner: Runner, lake: LocalLake, dataset: Dataset) -> None:
    with pytest.raises(
        StepFailed, match=r"^Expected to write /lake/x; found No space left on device\. Free some space"
    ):
        runner.run(request(lake, dataset, "full"))


def starts(tmp_path: Path) -> list[int]:
    path = tmp_path / "starts"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def test_a_step_reads_its_inputs_and_its_files_lie_below_the_output(
    each: tuple[Runner, Lake], dataset: Dataset
) -> None:
    runner, lake = each
    report = runner.run(request(lake, dataset, "work"))
    assert report.counts == {"rows": 3}
    assert lake.read("telco/evaluation_report/v1/out.txt") == b"telco"


def test_nothing_of_the_users_environment_reaches_a_step(each: tuple[Runner, Lake], dataset: Dataset) -> None:
    runner, lake = each
    assert runner.run(request(lake, dataset, "work")).detail == {"secret": None}


def test_a_step_that_has_ended_well_is_not_started_again(
    each: tuple[Runner, Lake], dataset: Dataset, tmp_path: Path
) -> None:
    runner, lake = each
    first = runner.run(request(lake, dataset, "work"))
    assert runner.run(request(lake, dataset, "work")) == first
    assert len(starts(tmp_path)) == 1


@pytest.mark.parametrize("content", [b"", b"tel", b"\0\0\0\0\0", None])
@pytest.mark.parametrize("name", ["out.txt", "report.json"])
def test_a_step_whose_files_were_lost_before_they_were_published_is_started_again(
    runner: Runner, lake: LocalLake, dataset: Dataset, tmp_path: Path, name: str, content: bytes | None
) -> None:
    first = runner.run(request(lake, dataset, "work"))
    path = Path(lake.uri(f"telco/evaluation_report/v1/{name}"))
    path.unlink() if content is None else path.write_bytes(content)
    assert runner.run(request(lake, dataset, "work")) == first
    assert lake.read("telco/evaluation_report/v1/out.txt") == b"telco"
    assert len(starts(tmp_path)) == 2


def test_two_who_ask_for_the_same_at_once_start_it_once(
    each: tuple[Runner, Lake], dataset: Dataset, tmp_path: Path
) -> None:
    runner, lake = each
    wanted = request(lake, dataset, "slow")
    reports: list[StepReport] = []
    threads = [threading.Thread(target=lambda: reports.append(runner.run(wanted))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reports) == 3
    assert len(starts(tmp_path)) == 1


def test_a_step_that_refuses_is_reported_in_its_own_words(each: tuple[Runner, Lake], dataset: Dataset) -> None:
    runner, lake = each
    with pytest.raises(StepFailed, match=r"^Expected rows; found none. Land some$"):
        runner.run(request(lake, dataset, "refuse"))


def test_a_step_that_crashes_is_reported_with_the_end_of_its_log(each: tuple[Runner, Lake], dataset: Dataset) -> None:
    runner, lake = each
    with pytest.raises(StepFailed, match=r"(?s)found .*exit code 1.*the log's last line.*boom"):
        runner.run(request(lake, dataset, "crash"))


def test_what_a_step_prints_is_in_the_log_of_its_run(
    each: tuple[Runner, Lake], dataset: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    runner, lake = each
    with caplog.at_level("DEBUG", logger="dagster"):
        runner.run(request(lake, dataset, "warn"))
    assert "what a step prints" in caplog.text


def test_a_step_that_is_killed_is_reported_with_the_signal(each: tuple[Runner, Lake], dataset: Dataset) -> None:
    runner, lake = each
    with pytest.raises(StepFailed, match="killed by signal 9"):
        runner.run(request(lake, dataset, "die"))


def test_what_a_failed_step_left_is_cleared_before_the_next_try(each: tuple[Runner, Lake], dataset: Dataset) -> None:
    runner, lake = each
    lake.put("telco/evaluation_report/v1/left.over", b"half a file")
    runner.run(request(lake, dataset, "work"))
    assert [entry.key for entry in lake.entries("telco/evaluation_report/v1/")] == [
        "telco/evaluation_report/v1/out.txt",
        "telco/evaluation_report/v1/report.json",
    ]


DRIVER = """
import sys
sys.path.insert(0, {project!r})
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.label import Label
from resources.local.lake import LocalLake
from resources.local.runner import LocalRunner
from resources.ports.lake import Lake
from resources.ports.runner import StepRequest
lake = LocalLake(root={lake!r})
runner = LocalRunner(lake=lake, runs={runs!r}, python=sys.executable, code={code!r})
dataset = Dataset(name="telco", id="customer", label=Label(column="left", positive=("yes",), means="cancelled"))
runner.run(StepRequest(step="evaluate", version="v1", dataset=dataset, inputs={{"rows": ["telco/raw/v0/"]}}, output="telco/evaluation_report/v1/", threads=1))
"""


def test_a_killed_run_leaves_no_step_behind_that_writes_beside_the_next(
    runner: LocalRunner, lake: LocalLake, dataset: Dataset, tmp_path: Path
) -> None:
    wanted = request(lake, dataset, "forever")
    project = str(Path(__file__).resolve().parents[3])
    driver = DRIVER.format(project=project, lake=lake.root, runs=runner.runs, code=runner.code)
    process = subprocess.Popen([sys.executable, "-c", driver])
    while not starts(tmp_path):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (orphan,) = starts(tmp_path)
    assert is_alive(orphan)  # it outlived its run
    lake.put("telco/raw/v0/what.txt", b"work")
    runner.run(wanted)
    assert not is_alive(orphan)
    assert lake.read("telco/evaluation_report/v1/out.txt") == b"telco"
    assert "telco/evaluation_report/v1/half" not in [entry.key for entry in lake.entries("telco/evaluation_report/v1/")]


def test_the_number_of_a_step_that_has_ended_never_ends_another_process(
    runner: LocalRunner, lake: LocalLake, dataset: Dataset, tmp_path: Path
) -> None:
    """The last step's number belongs to another process by now, and the next step was started by a run that was killed before it wrote its own."""
    locks = Path(runner.runs) / "locks"
    locks.mkdir(parents=True)
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    stale = locks / "telco-evaluate-v1-step"
    stale.write_text(str(other.pid))
    killed_before_it_wrote = LocalRunner(lake=lake, runs=runner.runs, python="/no/such/python", code=runner.code)
    with pytest.raises(FileNotFoundError):
        killed_before_it_wrote.run(request(lake, dataset, "work"))
    with stale.open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = threading.Thread(target=runner.run, args=[request(lake, dataset, "work")])
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
    waiting.join()
    assert other.poll() is None
    other.kill()
    other.wait()
    assert len(starts(tmp_path)) == 1


def test_a_report_is_read_whole(tmp_path: Path) -> None:
    said = {
        "schema": 1,
        "step": "s",
        "counts": {},
        "metrics": {"a": None},
        "checks": [],
        "detail": {},
        "files": {"f": {"size": 1, "digest": "d"}},
    }
    assert StepReport.from_json(json.dumps(said).encode()).files["f"].rows is None
