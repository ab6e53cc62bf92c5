"""An endpoint that nobody asks is said once, and by setting deleted; one that is asked, or was changed lately, is not."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.endpoint import Endpoint as Section
from churn_model.spec.sections.endpoint import Idle
from jobs.deploy import undeploy_job
from jobs.idle_endpoint_sensor import idle_endpoint_sensor
from resources.local.alerts import LocalAlerts
from resources.local.endpoint import LocalEndpoint
from resources.local.lake import LocalLake

DAY = 86_400


@pytest.fixture
def ports(lake: LocalLake, tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "endpoints").mkdir()
    return {
        "endpoint": LocalEndpoint(lake=lake, folder=str(tmp_path / "endpoints")),
        "alerts": LocalAlerts(log=str(tmp_path / "alerts.log")),
    }


def deployed(folder: Path, days: float) -> None:
    """Leave what a deployment so many days ago has left."""
    record = {"version": "d1", "model": "m1", "bundle": "k", "spec": "{}", "since": time.time() - days * DAY}
    (folder / "endpoints" / "telco.json").write_text(json.dumps(record))


def asked(folder: Path, days: float) -> None:
    (folder / "endpoints" / "telco.asked").write_text(f"{time.time() - days * DAY}\n")


def alerts(folder: Path) -> list[str]:
    log = folder / "alerts.log"
    return [line.partition(" ")[2] for line in log.read_text().splitlines()] if log.exists() else []


def look(
    dataset: Dataset, ports: dict[str, Any], instance: dg.DagsterInstance, cursor: str | None = None
) -> tuple[Any, str | None]:
    """Return what a tick gives, and the cursor after it."""
    sensor = idle_endpoint_sensor(dataset, undeploy_job(dataset))
    with dg.build_sensor_context(instance=instance, resources=ports, cursor=cursor) as context:
        return sensor(context), context.cursor


def of(dataset: Dataset, **idle: Any) -> Dataset:
    return replace(dataset, endpoint=Section(idle=Idle(**idle)))


def test_nobody_is_told_of_an_endpoint_that_is_asked_or_new_or_not_there(
    dataset: Dataset, ports: dict[str, Any], instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    dataset = of(dataset, after="7d", delete=True)
    found, _ = look(dataset, ports, instance)
    assert found.skip_message == "There is no endpoint of telco."
    deployed(tmp_path, days=6)
    assert "was changed 144.0 hours ago" in look(dataset, ports, instance)[0].skip_message
    deployed(tmp_path, days=8)
    asked(tmp_path, days=6)
    assert "was asked 1 times" in look(dataset, ports, instance)[0].skip_message
    assert alerts(tmp_path) == []


def test_an_idle_endpoint_is_said_once_and_again_after_somebody_has_asked(
    dataset: Dataset, ports: dict[str, Any], instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    dataset = of(dataset, after="7d")
    deployed(tmp_path, days=30)
    asked(tmp_path, days=8)
    line = "telco: nobody has asked the endpoint telco for 7d; `churn endpoint telco delete` removes it"
    found, cursor = look(dataset, ports, instance)
    assert isinstance(found, dg.SkipReason)
    assert alerts(tmp_path) == [line]
    _, cursor = look(dataset, ports, instance, cursor)
    assert alerts(tmp_path) == [line]
    asked(tmp_path, days=1)
    _, cursor = look(dataset, ports, instance, cursor)
    asked(tmp_path, days=8)
    look(dataset, ports, instance, cursor)
    assert alerts(tmp_path) == [line, line]


def test_by_setting_it_is_deleted_by_a_run_and_by_another_if_that_fails(
    dataset: Dataset, ports: dict[str, Any], instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    dataset = of(dataset, after="7d", delete=True)
    deployed(tmp_path, days=8)
    request, cursor = look(dataset, ports, instance)
    assert isinstance(request, dg.RunRequest)
    config = request.run_config["ops"]["telco__endpoint"]["config"]
    assert config == {"delete": True, "unchanged_since": ports["endpoint"].find("telco").since}
    assert alerts(tmp_path) == ["telco: nobody has asked the endpoint telco for 7d; it is deleted now"]
    run = instance.create_run_for_job(
        dg.GraphDefinition("telco_undeploy").to_job(), tags=dict(request.tags), status=dg.DagsterRunStatus.STARTED
    )
    assert "1 runs were started" in look(dataset, ports, instance, cursor)[0].skip_message
    instance.report_run_failed(run)
    again, _ = look(dataset, ports, instance, cursor)
    assert isinstance(again, dg.RunRequest)
    assert again.run_key != request.run_key
    assert len(alerts(tmp_path)) == 1
