"""What the real daemon says by itself: a line for each failed run and check, and that lists grow old before they are."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa
import pytest

from tests.harness.machine import waited
from tests.harness.ui import Ui

if TYPE_CHECKING:
    from tests.harness.home import Home

pytestmark = pytest.mark.prove

HOUR = 3600.0


def seem_made(home: "Home", asset: str, seconds_ago: float) -> None:
    """Add a materialization to Dagster's history, as a run that long ago would have."""
    event = dg.AssetMaterialization(dg.AssetKey(["shop", asset]), partition="monday")
    with dg.DagsterInstance.from_config(str(home.path / "dagster")) as instance:
        instance.report_runless_asset_event(event)
        (record,) = instance.fetch_materializations(dg.AssetKey(["shop", asset]), limit=1).records
        instance.store_event(record.event_log_entry._replace(timestamp=time.time() - seconds_ago))


def test_failed_runs_and_checks_are_said_and_lists_warn_before_they_are_old(
    retrained_home: "Home",
    copied: Callable[["Home"], "Home"],
    customers: Callable[..., pa.Table],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = copied(retrained_home)
    home.describe(
        (home.root / "datasets" / "shop.yaml").read_text().replace("{settle: 1s}", "{settle: 1s, recent: 1h}")
    )
    said = home.root / "said-to-the-team.txt"
    monkeypatch.setenv("CHURN_ALERT_COMMAND", f"tee -a {said}")
    for asset, age in (("batch_predictions", 1.1 * HOUR), ("retention_list", 0.8 * HOUR)):
        seem_made(home, asset, age)
    ui = Ui(home)
    twice = pa.concat_tables([customers(), customers()])  # half of it goes to quarantine
    home.land(twice, "b.csv", batch="tuesday")

    def lines() -> list[str] | None:
        found = said.read_text().split("shop batch")[1:] if said.exists() else []
        return found if len(found) >= 2 else None

    waited("a failed run and a failed check to be said", lines)
    (run,) = [run for run in home.runs() if run.job_name == "shop_score_batch"]
    log = (home.path / "alerts.log").read_text()
    for line in (
        f"shop batch tuesday: run {run.run_id} of shop_score_batch failed\n",
        f"shop batch tuesday: check landed_data_keeps_the_contract of raw_batch failed (ERROR, run {run.run_id})\n",
    ):
        assert log.count(line) == 1
    assert sum(line.count("tuesday") for line in lines() or ()) == log.count("tuesday")

    def freshness() -> dict[str, str]:
        answer = ui.asked("{ assetNodes { assetKey { path } freshnessStatusInfo { freshnessStatus } } }")
        return {
            node["assetKey"]["path"][-1]: (node["freshnessStatusInfo"] or {}).get("freshnessStatus", "")
            for node in answer["assetNodes"]
        }

    def warned() -> dict[str, str] | None:
        found = freshness()
        return found if found.get("retention_list") == "WARNING" else None

    found = waited("the freshness to be evaluated", warned)
    assert found["batch_predictions"] == "DEGRADED"
    assert found["champion_model"] == "HEALTHY"
