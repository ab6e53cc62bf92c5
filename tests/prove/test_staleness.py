"""What Dagster shows as unsynced is what a change of costs, code or data made old, and nothing else."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from churn_assets.cli.command import ExitCode
from churn_assets.definitions import build_definitions
from churn_assets.sample.generator import Generator
from churn_model.spec.sections.costs import Contact, Costs
from jobs.landing_sensor import landing_sensor
from resources.settings import read_settings
from resources.specs.loader import Specs, load_specs

if TYPE_CHECKING:
    from tests.conftest import Workspace

pytestmark = pytest.mark.prove

SPEC = """\
id: customer_id
as_of: as_of
label: {column: churned, positive: ["yes"], means: cancelled}
costs: {contact: {cost: 40, success: 0.6, value: 500}}
search: {trials: 1}
"""
RETRAINED = ("raw_customers", "preprocessed_splits", "tuned_model", "evaluation_report", "champion_model")


@pytest.fixture(scope="module")
def retrained(tmp_path_factory: pytest.TempPathFactory, new_workspace: Callable[[Path], "Workspace"]) -> "Workspace":
    workspace = new_workspace(tmp_path_factory.mktemp("retrained"))
    workspace.write_spec("shop", SPEC)
    workspace.land(next(Generator().training(1500)).landed)
    assert workspace.churn("retrain", "shop") in (ExitCode.DONE, ExitCode.NOTHING_PROMOTED)
    return workspace


def unsynced(workspace: "Workspace", specs: Specs, instance: dg.DagsterInstance) -> set[str]:
    settings = read_settings({**workspace.settings})
    graph = build_definitions(specs, settings).resolve_asset_graph()
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    return {name for name in RETRAINED if resolver.get_status(dg.AssetKey(["shop", name])) is not StaleStatus.FRESH}


def test_only_what_a_change_made_old_is_unsynced(retrained: "Workspace") -> None:
    specs = load_specs(retrained.root / "datasets")
    shop = specs.datasets["shop"]
    with dg.DagsterInstance.from_config(str(retrained.root / "home" / "dagster")) as instance:
        assert unsynced(retrained, specs, instance) == set()
        dearer = replace(shop, costs=Costs(contact=Contact(cost=25, success=0.6, value=500)))
        assert unsynced(retrained, Specs({"shop": dearer}, {}), instance) == {"evaluation_report"}
        searched = replace(shop, search=replace(shop.search, trials=2))
        assert "tuned_model" in unsynced(retrained, Specs({"shop": searched}, {}), instance)

        def tick(cursor: str | None = None) -> dg.SensorResult | dg.SkipReason:
            for entry in retrained.lake.entries("landing/shop/train/"):
                os.utime(retrained.lake.uri(entry.key), (0, 0))  # it has settled long ago
            with dg.build_sensor_context(
                instance=instance, cursor=cursor, resources={"lake": retrained.lake}
            ) as context:
                found = landing_sensor(shop)(context)
                assert isinstance(found, dg.SensorResult | dg.SkipReason)
                return found

        def observe(found: dg.SensorResult | dg.SkipReason) -> str:
            assert isinstance(found, dg.SensorResult)
            for event in found.asset_events:
                instance.report_runless_asset_event(event)
            return str(found.cursor)

        cursor = observe(tick())
        assert unsynced(retrained, specs, instance) == set(), "the sensor saw what was ingested"
        assert isinstance(tick(cursor), dg.SkipReason)
        retrained.lake.put("landing/shop/train/more.csv", b"customer_id\n")
        observe(tick(cursor))
        assert unsynced(retrained, specs, instance) == {"raw_customers"}
