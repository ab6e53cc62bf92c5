"""What several tests share: a lake in a temporary folder, small datasets, and the command line in this process."""

import gc
import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dagster as dg
import pyarrow as pa
import pytest
from hypothesis import settings
from pyarrow import csv
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.label import Label
from resources.local.lake import LocalLake
from resources.local.run_locks import LocalRunLocks

if TYPE_CHECKING:
    from resources.aws.lake import S3Lake
    from resources.catalog.pointers import Champion
    from tests.aws.services import Services

pytest.register_assert_rewrite("tests.harness", "tests.prove")  # their helpers' assertions say what they compared
ONE_WORKER = ("test_buttons.py", "test_pages.py", "test_life_of_a_champion.py", "test_docs.py", "test_spot.py")
"""Files of proofs whose tests share what takes long to prepare: a browser, a working folder."""
LONGEST = (
    "test_memory_and_open_files_are_flat",
    "test_a_batch_whose_step_is_killed_each_time",
    "prove/test_docs.py",
    "prove/test_aws_datasets.py",
    "prove/test_buttons.py",
    "prove/test_daemon.py",
    "prove/test_join.py",
    "prove/test_aws",
    "prove/test_ecs.py",
    "prove/test_pages.py",
    "test_life_of_a_champion.py",
)
"""Proofs, or files of them, that take more than a minute: begun last, one of them would be waited for by itself."""
settings.register_profile("unhurried", deadline=None)  # how long an example takes is the machine's matter
settings.load_profile("unhurried")
SHARED_DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


@dataclass
class Workspace:
    """A working folder and its specs, driven by `churn` in this process.

    `settings` are environment variables for the commands; `output` is what the last one printed, stdout and stderr in order.
    """

    root: Path
    settings: dict[str, str] = field(default_factory=dict)
    output: str = ""

    def __post_init__(self) -> None:
        (self.root / "datasets").mkdir(exist_ok=True)
        ours = {
            "CHURN_HOME": str(self.root / "home"),
            "CHURN_DATASETS": str(self.root / "datasets"),
            "DAGSTER_HOME": "",
        }
        self.settings = ours | self.settings

    def churn(self, *arguments: str | Path) -> int:
        """Run a command and return its exit code, as a shell would. The environment is as before when it ends."""
        from churn_assets.cli.app import main

        before, printed = dict(os.environ), io.StringIO()
        os.environ.update(self.settings)
        try:
            with redirect_stdout(printed), redirect_stderr(printed):
                code = main([str(argument) for argument in arguments])
        except SystemExit as ended:  # argparse refused the arguments
            code = int(ended.code or 0)
        finally:
            os.environ.clear()
            os.environ.update(before)
            self.output = printed.getvalue()
            print(self.output)  # noqa: T201  # shown if the test fails
        return code

    def write_spec(self, name: str, text: str) -> None:
        (self.root / "datasets" / f"{name}.yaml").write_text(text)

    def land(
        self, table: pa.Table, dataset: str = "shop", name: str = "customers.csv", batch: str | None = None
    ) -> None:
        csv.write_csv(table, self.root / name)
        assert self.churn("land", dataset, self.root / name, *(["--batch", batch] if batch else [])) == 0

    @property
    def lake(self) -> LocalLake:
        return LocalLake(root=str(self.root / "home" / "lake"))

    def champion(self, dataset: str = "shop") -> "Champion | None":
        from resources.catalog.pointers import read_champion

        return read_champion(self.lake, dataset)

    def runs(self) -> list[dg.DagsterRun]:
        with dg.DagsterInstance.from_config(str(self.root / "home" / "dagster")) as instance:
            return list(instance.get_runs())


@pytest.fixture(scope="session")
def new_workspace(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Workspace]:
    """Return a function that makes a workspace in a folder. Dagster's databases take seconds to make: each gets a copy of one set."""
    from churn_assets.cli.workspace import open_instance
    from resources.settings import read_settings

    prepared = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CHURN_HOME", "CHURN_DATASETS", "DAGSTER_DISABLE_TELEMETRY"):
            patch.setenv(name, str(prepared))  # what opening it puts into the environment is undone with the patch
        patch.setenv("DAGSTER_HOME", "")
        open_instance(read_settings()).dispose()

    def make(root: Path) -> Workspace:
        shutil.copytree(prepared, root / "home")
        return Workspace(root)

    return make


@pytest.fixture
def workspace(tmp_path: Path, new_workspace: Callable[[Path], Workspace]) -> Workspace:
    return new_workspace(tmp_path)


@pytest.fixture
def lake(tmp_path: Path) -> LocalLake:
    return LocalLake(root=str(tmp_path / "lake"))


@pytest.fixture
def run_locks(tmp_path: Path) -> LocalRunLocks:
    return LocalRunLocks(folder=str(tmp_path / "locks"))


@pytest.fixture
def dataset() -> Dataset:
    return Dataset(name="telco", id="customer", label=Label(column="left", positive=("yes",), means="cancelled"))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture(scope="session")
def aws_services() -> Iterator["Services"]:
    from tests.aws.services import running_services  # moto takes seconds to import

    with running_services() as services:
        yield services


@pytest.fixture
def aws_lake(aws_services: "Services", monkeypatch: pytest.MonkeyPatch) -> Iterator["S3Lake"]:
    """Return a lake in a bucket of its own, below a prefix. AWS's libraries are pointed at the stand-ins for the test."""
    from resources.aws.lake import S3Lake
    from resources.aws.session import AwsSession, forget_clients

    for name, value in aws_services.environment.items():
        monkeypatch.setenv(name, value)
    forget_clients()
    session, bucket = AwsSession(), f"bucket-{uuid4().hex[:12]}"
    location = {"LocationConstraint": os.environ["AWS_REGION"]}
    session.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=location)
    yield S3Lake(session=session, bucket=bucket, prefix="some/prefix/")
    forget_clients()


@pytest.fixture
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip("needs the real files in ../shared/data")
    return SHARED_DATA


def pytest_unconfigure() -> None:
    """Take Hypothesis's callback out of the garbage collector: it keeps modules alive to the interpreter's end, which DuckDB reports as leaks."""
    gc.callbacks[:] = [each for each in gc.callbacks if not each.__module__.startswith("hypothesis.")]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the longest proofs first."""

    def rank(item: pytest.Item) -> int:
        return next((place for place, name in enumerate(LONGEST) if name in item.nodeid), len(LONGEST))

    if config.getoption("loadgroup", default=False):  # as pytest-xdist's workers know it
        items.sort(key=rank)


class _FilesTogether(LoadScopeScheduling):  # type: ignore[misc]
    """Sends each test to whoever is free, but all tests of a file in ONE_WORKER to one.

    `xdist_group` would do it, but its groups are lost with pytest 9.2: pytest-xdist 3.8 writes them where pytest no longer looks.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if Path(file).name in ONE_WORKER else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    """Distribute the proofs."""
    return _FilesTogether(config, log) if config.getvalue("dist") == "loadgroup" else None
