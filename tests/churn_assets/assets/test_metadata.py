"""What the UI shows of a run: links that open, plots in view, columns with meanings, numbers over time."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from churn_assets.cli.command import ExitCode
from churn_assets.sample.generator import Generator
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.costs import Contact, Costs
from jobs.old_batches_sensor import old_batches_sensor
from resources.catalog.old_batches import check_batches
from resources.local.outputs import LocalOutputs
from resources.settings import read_settings
from resources.specs.loader import load_specs
from resources.wiring import wire

if TYPE_CHECKING:
    from tests.conftest import Workspace

SPEC = """\
id: customer_id
as_of: as_of
label: {column: churned, positive: ["yes"], means: cancelled}
derived: {total_charge: day_charge + evening_charge}
costs: {contact: {cost: 40, success: 0.6, value: 500}}
list: {opt_out: do_not_call, capacity: 20}
search: {trials: 1}
"""
_SHOWN_IN_VIEW = 1000  # characters of Markdown, in the UI of 1.13


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory, new_workspace: Callable[[Path], "Workspace"]) -> "Workspace":
    workspace = new_workspace(tmp_path_factory.mktemp("scored"))
    workspace.write_spec("shop", SPEC)
    workspace.land(next(Generator().training(4000)).landed)
    assert workspace.churn("retrain", "shop") == ExitCode.DONE
    workspace.land(next(Generator().batch(1, 200)).landed, name="monday.csv", batch="monday")
    assert workspace.churn("score", "shop", "monday") == ExitCode.DONE
    return workspace


def metadata(workspace: "Workspace", asset: str) -> dict[str, Any]:
    with dg.DagsterInstance.from_config(str(workspace.root / "home" / "dagster")) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["shop", asset]))
        assert event is not None
        assert event.asset_materialization is not None
        return dict(event.asset_materialization.metadata)


def test_the_report_the_list_and_the_plots_are_opened_from_the_ui(scored: "Workspace") -> None:
    out = scored.root / "home"
    links = (("evaluation_report", "open"), ("retention_list", "open"), ("retention_list", "open summary"))
    for asset, name in links:
        link = metadata(scored, asset)[name]
        assert isinstance(link, dg.UrlMetadataValue)
        assert (out / str(link.url).removeprefix("/")).is_file()
    report = metadata(scored, "evaluation_report")
    for name in ("cost_curve", "calibration", "reasons"):
        text = report[name].md_str
        assert text == f"![plot](/out/shop/plots/{name}.png)"
        assert len(text) < _SHOWN_IN_VIEW
        assert (out / "out" / "shop" / "plots" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_what_the_hold_out_can_show_stands_beside_the_list(scored: "Workspace") -> None:
    said = metadata(scored, "retention_list")["holdout_power"].value
    assert said == "Nobody is held out: this list cannot show what contacting changes."


def test_columns_say_what_they_hold(scored: "Workspace") -> None:
    def described(asset: str) -> dict[str, str | None]:
        schema = metadata(scored, asset)["dagster/column_schema"].schema
        return {column.name: column.description for column in schema.columns}

    for asset in ("batch_predictions", "retention_list"):
        columns = described(asset)
        assert all(columns.values()), columns
        assert columns["churn_probability"] == "Calibrated, from 0 to 1."
    raw = described("raw_customers")
    assert raw["_label"] == "1 if the customer left, 0 if the customer stayed. Cancelled."
    assert raw["do_not_call"] == "The customer must not be contacted."
    assert described("preprocessed_splits")["_hash"] == "A hash of the id, by which rows are split and sorted."


def test_numbers_of_a_check_are_numbers_and_figures_are_rounded(scored: "Workspace") -> None:
    with dg.DagsterInstance.from_config(str(scored.root / "home" / "dagster")) as instance:

        def checked(asset: str, name: str) -> dict[str, Any]:
            key = dg.AssetCheckKey(dg.AssetKey(["shop", asset]), name)
            (record,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
            assert record.event is not None
            assert record.event.dagster_event is not None
            return dict(record.event.dagster_event.asset_check_evaluation_data.metadata)

        accounted = checked("raw_customers", "every_record_is_accounted_for")
        assert (accounted["records"], accounted["quarantined"]) == (dg.IntMetadataValue(4000), dg.IntMetadataValue(0))
        gate = checked("champion_model", "is_the_champion")
    shown = [*gate.values(), *metadata(scored, "evaluation_report").values()]
    figures = [value.value for value in shown if isinstance(value, dg.FloatMetadataValue) and value.value is not None]
    assert figures
    assert figures == [float(f"{figure:.6g}") for figure in figures]


def test_a_dagster_whose_webserver_is_not_ours_gets_no_dead_link(tmp_path: Path) -> None:
    assert LocalOutputs(folder=str(tmp_path)).link("shop/report.html") is None
    assert LocalOutputs(folder=str(tmp_path), served=True).link("shop/report.html") == "/out/shop/report.html"


def test_new_costs_make_a_scored_batch_old_until_it_is_scored_again(scored: "Workspace") -> None:
    settings = read_settings({**scored.settings})
    lake, runner = wire(settings).lake, wire(settings).runner
    shop = load_specs(settings.datasets).datasets["shop"]

    def look(dataset: Dataset, cursor: str | None = None) -> dg.SensorResult | dg.SkipReason:
        with (
            dg.DagsterInstance.from_config(str(scored.root / "home" / "dagster")) as instance,
            dg.build_sensor_context(instance, cursor, resources={"lake": lake, "runner": runner}) as context,
        ):
            found = old_batches_sensor(dataset)(context)
            assert isinstance(found, dg.SensorResult | dg.SkipReason)
            return found

    assert isinstance(look(shop), dg.SkipReason), "nothing is old, and nothing was said before"
    smaller = replace(shop, list=replace(shop.list, capacity=5))
    assert check_batches(lake, runner.libraries, smaller).found == (
        "monday: its list was made under another spec or by other code"
    )
    dearer = replace(shop, costs=Costs(contact=Contact(cost=25, success=0.6, value=500)))
    found = look(dearer)
    assert isinstance(found, dg.SensorResult)
    (said,) = found.asset_events
    assert isinstance(said, dg.AssetCheckEvaluation)
    assert (said.passed, said.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert (
        said.description
        == "monday: predicted at other costs, under another spec or by other code, its list was made under another spec or by other code"
    )
    assert isinstance(look(dearer, str(found.cursor)), dg.SkipReason), "it is said once"
    with dg.DagsterInstance.from_config(str(scored.root / "home" / "dagster")) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization(["shop", "retention_list"], partition="monday"))
    assert isinstance(look(dearer, str(found.cursor)), dg.SensorResult), "the UI shows no answer from before a list"

    scored.write_spec("shop", SPEC.replace("cost: 40", "cost: 25"))
    assert scored.churn("score", "shop", "monday") == ExitCode.DONE
    again = look(load_specs(settings.datasets).datasets["shop"], str(found.cursor))
    assert isinstance(again, dg.SensorResult)
    assert [event.passed for event in again.asset_events if isinstance(event, dg.AssetCheckEvaluation)] == [True]
