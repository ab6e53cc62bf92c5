"""The whole path with its steps in the managed image's versions: Python 3.12 and nothing of ours but the travelling code."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from churn_assets.sample.generator import Generator
from resources.catalog.pointers import read_current
from resources.catalog.published_tables import open_published_table
from resources.ports.lake import Lake
from resources.settings import PROJECT
from tests.conftest import Workspace

pytestmark = pytest.mark.prove

IMAGE = PROJECT / ".venv-image" / "bin" / "python"
SPEC = """\
id: customer_id
as_of: as_of
label: {column: churned, positive: ["yes"], means: cancelled}
derived: {total_charge: day_charge + evening_charge + night_charge + international_charge}
costs: {contact: {cost: 40, success: 0.6, value: {column: annual_value}}}
list: {opt_out: do_not_call}
search: {trials: 4, families: [boosted_trees, random_forest, linear]}
"""


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


@pytest.mark.parametrize("step", ["ingest", "preprocess", "train", "evaluate", "compare", "score", "retention_list"])
def test_every_step_is_imported_there(travelling_code: Path, step: str) -> None:
    subprocess.check_call([IMAGE, "-W", "error", "-c", f"import churn_model.steps.{step}"], cwd=travelling_code)


def test_the_whole_path_gives_the_same_numbers_there(tmp_path: Path) -> None:
    ours = _run(tmp_path / "ours", None)
    theirs = _run(tmp_path / "theirs", IMAGE)
    for name in ("train", "validation", "test"):
        mine, other = (_current_table(lake, "preprocessed_splits", f"{name}/") for lake in (ours, theirs))
        assert mine.equals(other), name
    scores = [_current_table(lake, "evaluation_report", "scores/") for lake in (ours, theirs)]
    assert scores[0]["id"].equals(scores[1]["id"])
    assert np.abs(scores[0]["candidate"].to_numpy() - scores[1]["candidate"].to_numpy()).max() <= 1e-6
    predictions = [_current_table(lake, "batch_predictions/monday", "predictions/") for lake in (ours, theirs)]
    assert predictions[0]["id"].equals(predictions[1]["id"])
    p = [table["churn_probability"].to_numpy() for table in predictions]
    assert np.abs(p[0] - p[1]).max() <= 1e-6
    assert predictions[0]["will_churn"].equals(predictions[1]["will_churn"])
    assert predictions[0]["reason_1"].equals(predictions[1]["reason_1"])


def _run(folder: Path, python: Path | None) -> Lake:
    """Retrain and score in a working folder of its own, with the steps in that interpreter."""
    folder.mkdir()
    workspace = Workspace(folder, {"CHURN_STEP_PYTHON": str(python)} if python else {})
    workspace.write_spec("shop", SPEC)
    workspace.land(pa.concat_tables(piece.landed for piece in Generator().training(4000)))
    assert workspace.churn("retrain", "shop") == 0
    workspace.land(pa.concat_tables(piece.landed for piece in Generator().batch(1, 500)), batch="monday")
    assert workspace.churn("score", "shop", "monday") == 0
    assert workspace.champion() is not None
    return workspace.lake


def _current_table(lake: Lake, asset: str, name: str) -> pa.Table:
    current = read_current(lake, "shop", asset)
    assert current is not None
    return open_published_table(lake, current.prefix + name).read()
