"""What a run would start is known before it starts."""

import sys
from pathlib import Path

import pytest

from churn_model.errors import InputError
from churn_model.reports.step_report import PublishedFile
from churn_model.spec.dataset import Dataset
from resources.catalog.digests import digest_object
from resources.catalog.names import EVALUATION_REPORT, PREPROCESSED_SPLITS, TUNED_MODEL, current_key
from resources.catalog.planning import plan_retrain
from resources.catalog.pointers import Current, point_to
from resources.catalog.versions import step_maker, version_of
from resources.local.lake import LocalLake
from resources.local.runner import LocalRunner
from resources.local.tables import LocalTables
from resources.ports.lake import Manifest


def plan(lake: LocalLake, dataset: Dataset) -> dict[str, bool]:
    return {step.step: step.is_published for step in plan_retrain(lake, *adapters(lake), dataset)}


def adapters(lake: LocalLake) -> tuple[LocalTables, LocalRunner]:
    runner = LocalRunner(lake=lake, runs=f"{lake.root}-runs", python=sys.executable)
    return LocalTables(lake=lake, database=f"{lake.root}.duckdb"), runner


def publish_next(lake: LocalLake, dataset: Dataset) -> None:
    """Publish what the first step that would start makes."""
    step = next(each for each in plan_retrain(lake, *adapters(lake), dataset) if not each.is_published)
    publish(lake, step.prefix)


def publish(lake: LocalLake, prefix: str, **upstream: str) -> None:
    lake.put(f"{prefix}report.json", b"{}")
    file = PublishedFile(2, digest_object(lake, f"{prefix}report.json"))
    lake.publish(prefix, Manifest(Path(prefix).name, {"report.json": file}, upstream))


def test_each_result_that_is_there_is_found_and_what_follows_from_a_change_is_started(
    lake: LocalLake, dataset: Dataset
) -> None:
    lake.put("landing/telco/train/a.csv", b"customer,left\n1,yes\n")
    nothing = {"ingest": False, "preprocess": False, "train": False, "evaluate": False}
    assert plan(lake, dataset) == nothing
    publish_next(lake, dataset)
    publish_next(lake, dataset)
    assert plan(lake, dataset) == nothing | {"ingest": True, "preprocess": True}
    lake.put("landing/telco/train/b.csv", b"customer,left\n2,no\n")
    assert plan(lake, dataset) == nothing


def test_the_size_of_what_a_step_reads_is_known_once_it_is_there(lake: LocalLake, dataset: Dataset) -> None:
    def sizes() -> dict[str, int | None]:
        return {step.step: step.input_bytes for step in plan_retrain(lake, *adapters(lake), dataset)}

    lake.put("landing/telco/train/a.csv", b"customer,left\n1,yes\n")
    assert sizes() == {"ingest": 20, "preprocess": None, "train": None, "evaluate": None}
    publish_next(lake, dataset)
    publish_next(lake, dataset)
    assert sizes() == {"ingest": 20, "preprocess": 2, "train": 2, "evaluate": None}
    publish_next(lake, dataset)
    assert sizes()["evaluate"] == 4  # the splits, and the model


def test_an_evaluation_is_found_if_it_would_be_made_the_same(lake: LocalLake, dataset: Dataset) -> None:
    lake.put("landing/telco/train/a.csv", b"customer,left\n1,yes\n")
    for _ in range(3):
        publish_next(lake, dataset)
    *_, model, evaluation = plan_retrain(lake, *adapters(lake), dataset)
    assert (model.is_published, evaluation.is_published) == (True, False)
    upstream = {PREPROCESSED_SPLITS: "s", TUNED_MODEL: Path(model.prefix).name, "champion": "none"}
    maker, runner = step_maker("evaluate"), adapters(lake)[1]
    version = version_of(maker, dataset, upstream, libraries=runner.libraries(maker.source().libraries))
    prefix = f"telco/{EVALUATION_REPORT}/{version}/"
    publish(lake, prefix, **upstream)
    point_to(lake, current_key("telco", EVALUATION_REPORT), Current(version, prefix))
    assert plan(lake, dataset)["evaluate"]


def test_without_data_there_is_nothing_to_plan(lake: LocalLake, dataset: Dataset) -> None:
    with pytest.raises(InputError, match="at least one file"):
        plan(lake, dataset)
