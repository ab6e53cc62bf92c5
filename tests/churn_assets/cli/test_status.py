"""`churn status`, and which datasets the UI shows."""

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from churn_assets.cli.command import ExitCode
from churn_assets.definitions import select_begun
from churn_assets.server.reload import Reloader, describe_shown
from resources.settings import read_settings
from resources.specs.loader import load_specs

if TYPE_CHECKING:
    from tests.conftest import Workspace

SPEC = "id: id\nlabel: {column: left, positive: ['yes'], means: cancelled}\n"
TABLE = pa.table({"id": ["1", "2"], "left": ["yes", "no"]})


def test_one_screen_says_what_there_is_and_what_to_do_next(workspace: "Workspace") -> None:
    assert workspace.churn("status") == ExitCode.DONE
    assert "There is no dataset yet. Begin with `churn new NAME FILE`" in workspace.output
    for name in ("shop", "telco"):
        workspace.write_spec(name, SPEC)
    workspace.write_spec("broken", "label: {}\n")
    workspace.land(TABLE)
    workspace.land(TABLE, name="b.csv", batch="monday")
    assert workspace.churn("status") == ExitCode.DONE
    assert "Champion:    none yet; `churn retrain shop`" in workspace.output
    assert "Batches:     1 batch landed, 0 ingested, 1 waiting" in workspace.output
    assert "monday: changed" in workspace.output
    assert "Nothing has landed yet: telco. Begin with `churn land telco FILE`." in workspace.output
    assert "broken: its spec cannot be used, see `churn check`." in workspace.output


def test_a_failed_run_and_why_a_batch_waits_are_shown(workspace: "Workspace") -> None:
    workspace.write_spec("shop", SPEC + "watch: {settle: 1s}\n")
    workspace.land(TABLE)
    assert workspace.churn("retrain", "shop") == ExitCode.FAILED
    workspace.land(TABLE, name="b.csv", batch="monday")
    (landed,) = workspace.lake.entries("landing/shop/score/")
    os.utime(workspace.lake.uri(landed.key), (0, 0))  # it has settled long ago
    assert workspace.churn("status") == ExitCode.DONE
    assert "shop_retrain: failure" in workspace.output
    assert "monday: not scored yet: `churn score shop monday`" in workspace.output


def test_the_ui_shows_a_dataset_once_something_has_landed(workspace: "Workspace") -> None:
    for name in ("shop", "telco"):
        workspace.write_spec(name, SPEC)
    settings = read_settings(workspace.settings)
    specs = load_specs(settings.datasets)
    assert list(select_begun(specs, settings).datasets) == []
    assert list(select_begun(specs, replace(settings, show_all=True)).datasets) == ["shop", "telco"]
    before = describe_shown(settings)
    workspace.land(TABLE)
    assert list(select_begun(specs, settings).datasets) == ["shop"]
    landed = describe_shown(settings)
    assert landed != before
    workspace.write_spec("telco", SPEC + "ignore: [phone]\n")
    assert describe_shown(settings) != landed


def test_a_reload_without_an_answer_is_asked_for_again(workspace: "Workspace") -> None:
    looks = iter([("one",), ("one",), ("two",), ("two",)])
    reload = Reloader(read_settings(workspace.settings), 1, "churn_assets", look=lambda _: next(looks))
    assert [reload() for _ in range(3)] == [False, False, False]
    assert next(looks, None) is None, "nothing listens on that port, and each call looked again"
