"""A champion's life, as its users see it: promoted, found again, asked for batch after batch, put at new costs, replaced, taken back, verified.

Each test goes on from one prepared working folder: a model trained on 4,000 rows is champion, and the same customers
are scored on Monday and on Tuesday.
"""

import json
import shutil
from collections.abc import Callable
from csv import DictReader
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from churn_assets.assistant.desk import Desk
from churn_assets.assistant.tools import call_tool
from churn_assets.cli.command import ExitCode
from resources.catalog.names import LIST, REPORT_HTML
from resources.catalog.pointers import Champion, read_batch, read_current
from resources.catalog.published_tables import open_published_table
from resources.ports.lake import MANIFEST
from tests.churn_assets.test_main_job import SPEC, batch, sample
from tests.conftest import Workspace

pytestmark = pytest.mark.prove
BLIND = SPEC + "ignore: [contract, tenure_months]\n"  # what it ignores makes a better model later
CUSTOMERS = batch(300)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, new_workspace: Callable[[Path], Workspace]) -> Workspace:
    """Return a working folder with a champion and two batches scored by it; `output` is what Monday's score printed. It is not to be changed."""
    workspace = new_workspace(tmp_path_factory.mktemp("champion"))
    workspace.write_spec("shop", BLIND)
    workspace.land(sample(4000))
    assert workspace.churn("retrain", "shop") == ExitCode.DONE
    assert "First champion: judged on" in workspace.output
    assert "if 60% of contacted leavers stay" in workspace.output
    workspace.land(CUSTOMERS, name="b.csv", batch="monday")
    assert workspace.churn("score", "shop", "monday") == ExitCode.DONE
    output = workspace.output
    workspace.land(CUSTOMERS, name="c.csv", batch="tuesday")
    assert workspace.churn("score", "shop", "tuesday") == ExitCode.DONE
    workspace.output = output
    return workspace


@pytest.fixture
def scored(prepared: Workspace, tmp_path: Path) -> Workspace:
    """Return a copy of the prepared folder."""
    shutil.copytree(prepared.root, tmp_path, dirs_exist_ok=True)
    workspace = Workspace(tmp_path)
    workspace.output = prepared.output
    return workspace


def test_on_unchanged_data_every_version_is_found_again_and_the_champion_stays(scored: Workspace) -> None:
    champion, before = champion_of(scored), count_started_steps(scored)
    assert champion.outcome == "first"
    assert scored.churn("retrain", "shop") == ExitCode.DONE
    assert "Nothing has changed since the last retrain: no step was started." in scored.output
    assert (count_started_steps(scored), scored.champion()) == (before, champion)


def test_a_retrain_that_was_killed_before_its_decision_starts_no_step_again_and_decides(scored: Workspace) -> None:
    before = count_started_steps(scored)
    for key in ("shop/champion.json", *(entry.key for entry in scored.lake.list("shop/decisions/", limit=10))):
        Path(scored.lake.uri(key)).unlink()
    assert scored.churn("retrain", "shop") == ExitCode.DONE
    assert "No step was started: every result was there already." in scored.output
    assert "Nothing has changed" not in scored.output
    assert (count_started_steps(scored), champion_of(scored).outcome) == (before, "first")


def test_each_landed_customer_has_a_prediction_and_the_list_keeps_to_capacity_and_opt_outs(scored: Workspace) -> None:
    assert "contact 20 of 300 customers" in scored.output
    assert sorted(read_assignments(scored, "monday")["id"].to_pylist()) == sorted(CUSTOMERS["customer_id"].to_pylist())
    opted_out = set(CUSTOMERS.filter(pc.equal(CUSTOMERS["do_not_call"], "yes"))["customer_id"].to_pylist())
    listed = read_ids(scored, "monday", "contacted")
    assert len(listed) == 20
    assert opted_out
    assert not listed & opted_out
    record = read_batch(scored.lake, "shop", "monday")
    assert record is not None
    assert record.champion.version == champion_of(scored).version


def test_an_assistant_says_what_the_command_said(scored: Workspace) -> None:
    desk = Desk(scored.lake, scored.root / "datasets" / "shop.yaml", threads=1)
    answer = call_tool(desk, "show_list", {"batch": "monday", "count": 50}).body or {}
    assert len(answer["says"]) > 1
    assert all(sentence[1:] in scored.output for sentence in answer["says"])
    assert {each["id"] for each in answer["customers"]} == read_ids(scored, "monday", "contacted")
    first = answer["customers"][0]
    explained = call_tool(desk, "explain_customer", {"batch": "monday", "id": first["id"]}).body or {}
    assert explained["now"]["churn_probability"] == first["churn_probability"]
    trust = call_tool(desk, "describe_trust", {}).body or {}
    assert trust["says"][0] == champion_of(scored).reason


def test_a_batch_landed_again_keeps_its_bytes_and_starts_no_step(scored: Workspace) -> None:
    before, started = read_predictions(scored, "monday"), count_started_steps(scored)
    scored.land(CUSTOMERS, name="b.csv", batch="monday")
    assert scored.churn("score", "shop", "monday") == ExitCode.DONE
    assert count_started_steps(scored) == started
    assert before
    assert read_predictions(scored, "monday") == before


def test_who_was_listed_on_monday_is_left_alone_on_tuesday(scored: Workspace) -> None:
    tuesday = read_ids(scored, "tuesday", "contacted")
    assert tuesday
    assert not tuesday & read_ids(scored, "monday", "contacted")


def test_another_column_for_the_caller_is_one_step_and_the_same_list(scored: Workspace) -> None:
    listed = read_current(scored.lake, "shop", "retention_list", "tuesday")
    started = count_started_steps(scored)
    scored.write_spec("shop", BLIND.replace("opt_out:", "columns: [Contract, nickname], excel: true, opt_out:"))
    assert scored.churn("score", "shop", "tuesday") == ExitCode.DONE
    blank = "Blank:       nickname not in 1 of 1 file; land the batch with them, or correct list.columns"
    assert blank in scored.output
    assert read_current(scored.lake, "shop", "retention_list", "tuesday") == listed
    assert count_started_steps(scored) == started + 1

    with (scored.root / "home" / "out" / "shop" / "lists" / "tuesday.csv").open(encoding="utf-8-sig") as stream:
        lines = {line["id"]: (line["Contract"], line["nickname"]) for line in DictReader(stream)}
    contracts = dict(zip(CUSTOMERS["customer_id"].to_pylist(), CUSTOMERS["contract"].to_pylist(), strict=True))
    assert lines == {name: (contracts[name], "") for name in read_ids(scored, "tuesday", "contacted")}


def test_dearer_contacts_reach_the_very_next_list(scored: Workspace) -> None:
    cheaper = read_ids(scored, "tuesday", "will_churn")
    set_contact_cost(scored, 60)
    assert scored.churn("score", "shop", "tuesday") == ExitCode.DONE
    assert read_ids(scored, "tuesday", "will_churn") < cheaper
    assert out_is_current(scored, "monday")
    assert out_is_current(scored, "tuesday")


def test_contacts_too_dear_for_anyone_list_nobody_and_sum_up_nothing(scored: Workspace) -> None:
    set_contact_cost(scored, 1_000_000)
    assert scored.churn("score", "shop", "tuesday") == ExitCode.DONE
    assert "contact 0 of 300 customers" in scored.output
    why = "Nobody is worth contacting: for each customer a contact is expected to cost more than it saves."
    assert why in scored.output
    assert "The contacts cost" not in scored.output


def test_a_list_is_never_of_predictions_at_other_costs_and_the_predictions_say_which_list_is_theirs(
    scored: Workspace,
) -> None:
    set_contact_cost(scored, 50)
    assert "at today's costs; found earlier ones" in materialize(scored, "retention_list", "tuesday")
    stale = materialize(scored, "batch_predictions", "tuesday")
    assert "made of earlier predictions: materialize retention_list" in stale
    materialize(scored, "retention_list", "tuesday")
    assert "made of these predictions" in materialize(scored, "batch_predictions", "tuesday")

    # A new batch needs no other button first.
    scored.land(CUSTOMERS, name="d.csv", batch="wednesday")
    assert "none yet: materialize retention_list" in materialize(scored, "batch_predictions", "wednesday")


def test_at_new_costs_no_model_is_fitted_and_the_champion_is_evaluated_once(scored: Workspace) -> None:
    champion, started = champion_of(scored), count_started_steps(scored)
    set_contact_cost(scored, 60)
    assert scored.churn("retrain", "shop") == ExitCode.DONE
    assert scored.champion() == champion
    assert "is evaluated at today's costs: judged on" in scored.output
    assert count_started_steps(scored) == started + 1
    assert scored.churn("retrain", "shop") == ExitCode.DONE
    assert count_started_steps(scored) == started + 1


def test_other_words_for_a_reason_reach_the_next_predictions(scored: Workspace) -> None:
    scored.write_spec("shop", BLIND + 'words: {service_calls: "{value} calls for help"}\n')
    assert scored.churn("score", "shop", "tuesday") == ExitCode.DONE
    reasons = read_assignments(scored, "tuesday")["reason_1"].to_pylist()
    assert any("calls for help" in str(reason) for reason in reasons)
    assert out_is_current(scored, "tuesday")


def test_a_better_model_is_promoted_and_the_way_back_is_one_command(scored: Workspace) -> None:
    first = champion_of(scored)
    scored.write_spec("shop", SPEC)
    assert scored.churn("retrain", "shop") == ExitCode.DONE
    second = champion_of(scored)
    assert second.outcome == "promoted"
    assert "predicts better than the champion" in second.reason

    assert scored.churn("rollback", "shop") == ExitCode.DONE
    restored = champion_of(scored)
    assert (restored.version, restored.barred) == (first.version, (second.version,))
    assert scored.churn("retrain", "shop") == ExitCode.DONE
    assert "rolled back by hand" in scored.output
    assert scored.champion() == restored
    assert scored.churn("rollback", "shop", "no-such-version") == ExitCode.FAILED
    assert f"found no-such-version. The earlier champions of shop: {second.version}" in scored.output


def test_all_is_as_published_and_what_is_damaged_is_said_and_repaired(scored: Workspace) -> None:
    champion = champion_of(scored)
    assert scored.churn("verify", "shop") == ExitCode.DONE
    assert "MB, all as published." in scored.output
    Path(scored.lake.uri("shop/champion.json")).write_bytes(b"")
    assert scored.churn("verify") == ExitCode.FAILED
    assert "found an empty file. Run `churn verify shop --repair`" in scored.output
    assert scored.churn("verify", "shop", "--repair") == ExitCode.DONE
    assert replace(champion_of(scored), since=champion.since) == champion


def test_each_version_in_the_lake_has_the_files_that_its_manifest_names(scored: Workspace) -> None:
    lake = scored.lake
    manifests = [entry.key for entry in lake.entries("shop/") if entry.key.endswith(MANIFEST)]
    assert len(manifests) >= 10
    for key in manifests:
        for name, file in json.loads(lake.read(key))["files"].items():
            (entry,) = lake.list(key.removesuffix(MANIFEST) + name, limit=1)
            assert entry.size == file["size"]


def champion_of(workspace: Workspace) -> Champion:
    champion = workspace.champion()
    assert champion is not None
    return champion


def set_contact_cost(workspace: Workspace, cost: int) -> None:
    workspace.write_spec("shop", BLIND.replace("cost: 40", f"cost: {cost}"))


def count_started_steps(workspace: Workspace) -> int:
    return len(list((workspace.root / "home" / "runs").glob("*/log.txt")))


def read_assignments(workspace: Workspace, name: str) -> pa.Table:
    current = read_current(workspace.lake, "shop", f"retention_list/{name}")
    assert current is not None
    return open_published_table(workspace.lake, current.prefix + "assignments/").read()


def read_ids(workspace: Workspace, name: str, flag: str) -> set[str]:
    """Return the ids of a batch's customers for whom a flag of the list holds."""
    rows = read_assignments(workspace, name)
    return set(rows.filter(rows[flag])["id"].to_pylist())


def read_predictions(workspace: Workspace, name: str) -> dict[str, bytes]:
    lake = workspace.lake
    keys = [entry.key for entry in lake.entries(f"shop/batch_predictions/{name}/")]
    return {key: lake.read(key) for key in keys if key.endswith(".parquet")}


def out_is_current(workspace: Workspace, batch: str) -> bool:
    """Return whether the files of lasting names are the report and the batch's list that are shown, byte for byte."""
    out, lake = workspace.root / "home" / "out" / "shop", workspace.lake
    shown = {
        out / "lists" / f"{batch}.csv": (f"list_layout/{batch}", LIST),
        out / "report.html": ("evaluation_page", REPORT_HTML),
    }
    pointers = {path: (read_current(lake, "shop", asset), name) for path, (asset, name) in shown.items()}
    return all(
        current is not None and path.read_bytes() == lake.read(current.prefix + name)
        for path, (current, name) in pointers.items()
    )


def materialize(workspace: Workspace, asset: str, batch: str) -> str:
    """Materialize one asset alone for a batch, as its button does. Return what it says of the list, or why it failed."""
    from churn_assets.cli.workspace import open_instance
    from churn_assets.definitions import build_definitions
    from resources.catalog.names import asset_key, partitions_name
    from resources.settings import read_settings
    from resources.specs.loader import load_specs

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", "")
        for name, value in workspace.settings.items():
            patch.setenv(name, value)
        settings = read_settings()
        with open_instance(settings) as instance:
            instance.add_dynamic_partitions(partitions_name("shop"), [batch])
            job = build_definitions(load_specs(settings.datasets), settings).resolve_implicit_global_asset_job_def()
            result = job.execute_in_process(
                instance=instance,
                asset_selection=[asset_key("shop", asset)],
                partition_key=batch,
                raise_on_error=False,
            )
    failures = [str(event.step_failure_data.user_failure_data) for event in result.get_step_failure_events()]
    made = [event.step_materialization_data.materialization for event in result.get_asset_materialization_events()]
    return " ".join(failures or [str(each.metadata["list"].value) for each in made])
