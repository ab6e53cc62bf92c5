"""The whole path with its steps in the managed image's versions: Python 3.12 and nothing of ours but the travelling code."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from resources.settings import PROJECT
from tests.prove.parity import assert_same_results, retrain_and_score

pytestmark = pytest.mark.prove

IMAGE = PROJECT / ".venv-image" / "bin" / "python"
STEPS = sorted(
    path.stem for path in (PROJECT / "churn_model" / "steps").glob("*.py") if "\ndef step(" in path.read_text("utf-8")
)


@pytest.fixture
def travelling_code(tmp_path: Path) -> Path:
    """`churn_model` alone, as it travels into the container."""
    code = tmp_path / "code"
    shutil.copytree(PROJECT / "churn_model", code / "churn_model", ignore=shutil.ignore_patterns("__pycache__"))
    return code


def test_the_image_has_its_versions_and_nothing_of_ours() -> None:
    asked = "import importlib.metadata as m, json; print(json.dumps({d.name.lower(): d.version for d in m.distributions()}))"
    found = json.loads(subprocess.check_output([IMAGE, "-c", asked], cwd="/"))
    wanted = {"numpy": "2.1.0", "pyarrow": "22.0.0", "scikit-learn": "1.8.0", "xgboost-cpu": "3.2.0", "pandas": "2.2.3"}
    assert {name: found.get(name) for name in wanted} == wanted
    assert not {"dagster", "pydantic", "shap", "duckdb", "boto3"} & set(found)


@pytest.mark.parametrize("step", STEPS)
def test_every_step_is_imported_there(travelling_code: Path, step: str) -> None:
    subprocess.check_call([IMAGE, "-W", "error", "-c", f"import churn_model.steps.{step}"], cwd=travelling_code)


def test_the_whole_path_gives_the_same_numbers_there(tmp_path: Path) -> None:
    ours = retrain_and_score(tmp_path / "ours", {})
    theirs = retrain_and_score(tmp_path / "theirs", {"CHURN_STEP_PYTHON": str(IMAGE)})
    assert_same_results(ours.lake, theirs.lake)
