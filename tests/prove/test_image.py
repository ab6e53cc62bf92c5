"""The whole path with its steps in the managed image's versions: Python 3.12 and nothing of ours but the travelling code."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv

from churn_assets.cli import app as cli
from churn_assets.sample.generator import Generator
from resources.catalog.pointers import read_champion, read_current
from resources.catalog.published_tables import open_published_table
from resources.ports.lake import Lake
from resources.settings import PROJECT, read_settings
from resources.wiring import wire

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


@pytest.mark.parametrize("step", ["ingest", "preprocess", "train", "evaluate", "compare", "score"])
def test_every_step_is_imported_there(travelling_code: Path, step: str) -> None:
    subprocess.check_call([IMAGE, "-W", "error", "-c", f"import churn_model.steps.{step}"], cwd=travelling_code)


def test_the_whole_path_gives_the_same_numbers_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = _run(tmp_path / "ours", monkeypatch, None)
    theirs = _run(tmp_path / "theirs", monkeypatch, IMAGE)
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


def _run(folder: Path, monkeypatch: pytest.MonkeyPatch, python: Path | None) -> Lake:
    """Retrain and score in a working folder of its own, with the steps in that interpreter."""
    (folder / "datasets").mkdir(parents=True)
    (folder / "datasets" / "shop.yaml").write_text(SPEC)
    monkeypatch.setenv("CHURN_HOME", str(folder / "home"))
    monkeypatch.setenv("CHURN_DATASETS", str(folder / "datasets"))
    if python:
        monkeypatch.setenv("CHURN_STEP_PYTHON", str(python))
    tables = {"train.csv": Generator().training(4000), "monday.csv": Generator().batch(1, 500)}
    for name, pieces in tables.items():
        csv.write_csv(pa.concat_tables(piece.landed for piece in pieces), folder / name)
    assert cli.main(["land", "shop", str(folder / "train.csv")]) == cli.DONE
    assert cli.main(["retrain", "shop"]) == cli.DONE
    assert cli.main(["land", "shop", str(folder / "monday.csv"), "--batch", "monday"]) == cli.DONE
    assert cli.main(["score", "shop", "monday"]) == cli.DONE
    lake = wire(read_settings()).lake
    assert read_champion(lake, "shop") is not None
    return lake


def _current_table(lake: Lake, asset: str, name: str) -> pa.Table:
    current = read_current(lake, "shop", asset)
    assert current is not None
    return open_published_table(lake, current.prefix + name).read()
