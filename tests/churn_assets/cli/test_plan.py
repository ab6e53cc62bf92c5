"""What `churn plan` says: what would be started, and of time and money no more than is known."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from churn_assets.cli.commands.plan import Estimate, Estimator
from resources.catalog.planning import PlannedStep
from resources.ports.prices import Price
from resources.settings import Settings, read_settings
from tests.conftest import Workspace

TRAIN = PlannedStep("train", "tuned_model", is_published=False)
SPEC = """\
id: customer
label: {column: left, positive: ["yes"], means: left}
costs: {false_negative: 5, false_positive: 1, true_positive: 1, true_negative: 0}
"""
MACHINE = "training on ml.m5.large"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "stand-in")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # nobody answers there
    return read_settings(
        {
            "CHURN_HOME": str(tmp_path),
            "CHURN_TARGET": "aws",
            "CHURN_LAKE": "s3://lake",
            "CHURN_ROLE": "arn:aws:iam::123456789012:role/jobs",
            "CHURN_JOBS": '{"training_instances": ["ml.m5.large", "ml.m5.xlarge"]}',
            "AWS_REGION": "eu-west-1",
        }
    )


def ran(instance: dg.DagsterInstance, *seconds: float) -> None:
    for each in seconds:
        key = dg.AssetKey(["telco", "tuned_model"])
        instance.report_runless_asset_event(dg.AssetMaterialization(key, metadata={"train_billed_seconds": each}))


def keep_price(settings: Settings, dollars: float) -> str:
    """Keep a price as of today, and return the day."""
    name, today = "eu-west-1 Training ml.m5.large", datetime.now(UTC).date().isoformat()
    (settings.home / "prices.json").write_text(json.dumps({name: {"dollars": dollars, "day": today}}))
    return today


def test_a_search_of_many_jobs_costs_its_trials_too(settings: Settings, instance: dg.DagsterInstance) -> None:
    ran(instance, 60)  # of engine: job
    key, metadata = dg.AssetKey(["telco", "tuned_model"]), {"train_billed_seconds": 100, "trial_billed_seconds": 2000.5}
    instance.report_runless_asset_event(dg.AssetMaterialization(key, metadata=metadata))
    estimate = Estimator(settings, "telco", instance, engine="tuner").estimate(TRAIN)
    assert (estimate.seconds, estimate.jobs) == (2100.5, 1)


def test_time_is_the_median_of_earlier_jobs_and_money_that_time_at_the_price(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    ran(instance, 60, 900, 90)
    today = keep_price(settings, 0.2)
    estimator = Estimator(settings, "telco", instance)
    estimate = estimator.estimate(TRAIN)
    assert estimate == Estimate("train", MACHINE, 90, 3, Price(0.2, today))
    assert estimate.dollars == pytest.approx(0.005)
    assert any(f"of {today}" in note for note in estimator.notes())


@pytest.mark.parametrize(
    ("options", "note"),
    [
        ({"keep_alive_minutes": 30}, "is kept for 30 minutes more, which is billed too: at most $0.1000 a job."),
        ({"keep_alive_minutes": 30, "spot": True}, ""),
        ({}, ""),
    ],
)
def test_instances_that_are_kept_warm_are_said_with_what_that_costs_at_most(
    settings: Settings, instance: dg.DagsterInstance, options: dict[str, object], note: str
) -> None:
    assert settings.aws is not None
    ran(instance, 90)
    keep_price(settings, 0.2)
    aws = replace(settings.aws, job_options={**settings.aws.job_options, **options})
    estimator = Estimator(replace(settings, aws=aws), "telco", instance)
    assert estimator.estimate(TRAIN).dollars == pytest.approx(0.005)
    said = [each for each in estimator.notes() if "kept" in each]
    assert said == ([f"The instance of train {note}"] if note else [])


def test_without_a_job_that_ended_nothing_is_said_of_time_or_money(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    keep_price(settings, 0.2)
    estimate = Estimator(settings, "telco", instance).estimate(TRAIN)
    assert estimate == Estimate("train", MACHINE, None, 0, None)
    assert estimate.dollars is None


@pytest.mark.parametrize(
    ("size", "machine"),
    [
        (1_999_999, "the run's own process"),
        (2_000_000, MACHINE),
        (None, f"{MACHINE}, or the run's own process if its inputs are less than 2 MB"),
    ],
)
def test_a_step_on_little_data_has_no_instance(
    settings: Settings, instance: dg.DagsterInstance, size: int | None, machine: str
) -> None:
    assert settings.aws is not None
    options = {**settings.aws.job_options, "small_megabytes": 2}
    small = replace(settings, aws=replace(settings.aws, job_options=options))
    estimate = Estimator(small, "telco", instance).estimate(replace(TRAIN, input_bytes=size))
    assert estimate.machine == machine


def test_a_laptop_is_told_its_steps_and_no_dollars(workspace: Workspace) -> None:
    workspace.write_spec("shop", SPEC)
    workspace.land(pa.table({"customer": ["1", "2"], "left": ["yes", "no"]}))
    assert workspace.churn("plan", "shop") == 0
    assert "A retrain of shop would start 4 steps:" in workspace.output
    assert "  train: this machine" in workspace.output
    assert "Each new batch of shop starts 4 steps:" in workspace.output
    assert "cost nothing" in workspace.output
    assert "$" not in workspace.output
