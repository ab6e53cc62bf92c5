"""What several tests share: a lake in a temporary folder, and small datasets."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from churn_model.spec.dataset import Dataset, Label
from resources.local.lake import LocalLake
from resources.local.run_locks import LocalRunLocks

SHARED_DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


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


@pytest.fixture
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip("needs the real files in ../shared/data")
    return SHARED_DATA
