"""Dagster's buttons do what they say: a browser presses them as a person does, in the real `churn ui` with its daemon.

All tests share one folder, one UI and one browser, which take a while to start. None relies on another, or takes away what another needs.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pytest

from resources.catalog.pointers import Current, read_batch, read_current
from tests.harness.browser import Browser, find_chromium
from tests.harness.home import Home
from tests.harness.homes import Homes, copied, customers_of_month
from tests.harness.machine import waited
from tests.harness.ui import Ui

# One worker runs them all: see tests/conftest.py.
pytestmark = pytest.mark.prove

LONG_AGO_SECONDS = 7200
"""The sensor leaves what lands alone for an hour, so that a person is first. What landed earlier than that it asks for at once."""
WRITES = {"call": "pyarrow.parquet:ParquetWriter.write_table", "moment": "after", "then": "wait", "step": "score"}
"""A plan for the step that has written a part of its predictions."""


@dataclass
class Shop:
    """A folder with two champions and a scored batch, monday; its UI; and a browser that shows it."""

    home: Home
    ui: Ui
    browser: Browser
    seen: set[str] = field(default_factory=set)

    @property
    def spec(self) -> Path:
        return self.home.root / "datasets" / "shop.yaml"

    def go(self, path: str) -> None:
        """Open a page of the UI, from which the next button is pressed."""
        self.seen = {run.run_id for run in self.home.runs()}
        self.browser.open(f"http://127.0.0.1:{self.ui.port}{path}")

    def go_to_job(self, job: str) -> None:
        self.go("/jobs")
        self.browser.click_until(job, then="Job in")

    def go_to_group(self, group: str) -> None:
        self.go(f"/locations/churn_assets/asset-groups/{group}/lineage")

    def choose(self, batch: str) -> None:
        """Choose one of the batches that the dialog offers."""
        self.browser.click_until("Select a partition or create one", then="Select all")
        self.browser.click_until(batch, then="Launch 1 run")

    def launch(self, button: str) -> None:
        """Press a button that starts a run, and wait for its end. Raise AssertionError unless it succeeds."""

        def ended() -> set[dg.DagsterRunStatus] | None:
            new = [run for run in self.home.runs() if run.run_id not in self.seen and "dagster/from_ui" in run.tags]
            return {run.status for run in new} if new and all(run.is_finished for run in new) else None

        self.browser.click_until(button, then="Launched run")
        assert waited("the run to end", ended) == {dg.DagsterRunStatus.SUCCESS}

    def list_of(self, batch: str) -> Current | None:
        record = read_batch(self.home.lake, "shop", batch)
        return record.list if record else None

    def shown(self, asset: str) -> Current | None:
        return read_current(self.home.lake, "shop", asset)

    @contextmanager
    def described(self, old: str, new: str) -> Iterator[None]:
        """Another text in the spec, for a while."""
        before = self.spec.read_text()
        assert old in before
        self._describe(before.replace(old, new))
        try:
            yield
        finally:
            self._describe(before)

    def _describe(self, text: str) -> None:
        def loaded() -> object:
            return self.ui.asked("{ workspaceOrError { ... on Workspace { locationEntries { updatedTimestamp } } } }")

        before = loaded()
        self.spec.write_text(text)
        waited("the UI to load what has changed", lambda: loaded() != before or None)


@pytest.fixture(scope="module")
def shop(homes: Homes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    command = find_chromium()
    if command is None:
        pytest.skip("needs Chromium")
    with copied(homes.twice_retrained, tmp_path_factory.mktemp("buttons") / "home") as home:
        spec = home.root / "datasets" / "shop.yaml"
        spec.write_text(spec.read_text().replace("{settle: 1s}", "{settle: 1h}"))
        home.land(customers_of_month(), "b.csv", batch="monday")
        home.require(0, "score", "shop", "monday")
        ui = Ui(home)
        browser = Browser(command, tmp_path_factory.mktemp("browser"))
        try:
            yield Shop(home, ui, browser)
        finally:
            browser.close()


def test_rollback_makes_the_champion_before_the_champion_again(shop: Shop) -> None:
    before = shop.home.champion
    assert before is not None
    shop.go_to_job("shop_rollback")
    shop.launch("Materialize")
    after = shop.home.champion
    assert after is not None
    assert (after.version, after.outcome) == (before.previous, "rolled_back")


def test_a_batch_that_has_just_landed_is_scored_by_mouse(shop: Shop) -> None:
    shop.home.land(customers_of_month(2), "b.csv", batch="tuesday")
    shop.go_to_job("shop_score_batch")
    shop.browser.click_until("Materialize all", then="Partition selection")
    shop.browser.click_until("Add a partition", then="Partition name")
    shop.browser.type("tuesday")
    shop.browser.click_until("Save", then="Launch 1 run")
    shop.launch("Launch 1 run")
    assert shop.list_of("tuesday") is not None


def test_everything_of_a_group_is_materialized_for_the_batch_that_is_chosen(shop: Shop) -> None:
    shop.go_to_group("shop")
    shop.browser.click_until("Materialize all", then="Partition selection")
    shop.choose("monday")
    shop.launch("Launch 1 run")
    for page in ("report", "exploration", "comparison", "lists/monday"):
        assert (shop.home.path / "out" / "shop" / f"{page}.html").is_file()


def test_new_costs_are_offered_by_materialize_unsynced_and_reach_a_batch_that_is_scored_again(shop: Shop) -> None:
    judged, scored = shop.shown("evaluation_report"), shop.shown("batch_predictions/monday")
    with shop.described("cost: 40", "cost: 41"):
        shop.go_to_group("shop")
        shop.browser.click_beside("Materialize all", then="Materialize unsynced")
        shop.browser.click_until("Materialize unsynced", then="shop / evaluation_report")
        offered = shop.browser.text().partition("Materialize unsynced assets")[2]
        assert not [each for each in ("raw_customers", "preprocessed_splits", "tuned_model") if each in offered]
        shop.launch(offered.strip().splitlines()[-1])
        assert shop.shown("evaluation_report") != judged
        shop.go_to_job("shop_score_batch")
        shop.browser.click_until("Materialize all", then="Partition selection")
        shop.choose("monday")
        shop.launch("Launch 1 run")
        assert shop.shown("batch_predictions/monday") != scored


def test_a_run_that_a_person_terminates_leaves_its_batch_to_be_asked_for_again(shop: Shop) -> None:
    home, mark = shop.home, shop.home.root / "reached"
    home.steps_with({**WRITES, "mark": str(mark)})
    shop.go("/runs")
    path = home.land(customers_of_month(4), "b.csv", batch="thursday")
    os.utime(path, (time.time() - LONG_AGO_SECONDS,) * 2)
    waited("the step to write", lambda: mark.exists() or None)
    (run,) = [run for run in home.runs() if run.tags.get("dagster/partition") == "thursday"]
    shop.browser.click_until(run.run_id[:8], then="Hide not started steps")
    shop.browser.click_until("Terminate", then="Terminate 1 run")
    shop.browser.click("Terminate 1 run")
    waited("thursday's list", lambda: shop.list_of("thursday"))
    runs = [run for run in home.runs() if run.tags.get("dagster/partition") == "thursday"]
    assert runs[0].status is dg.DagsterRunStatus.CANCELED
    assert {run.tags["dagster/sensor_name"] for run in runs} == {"shop_new_batches"}


def test_a_broken_spec_is_red_and_its_assets_stay_in_view(shop: Shop) -> None:
    with shop.described("capacity: 20", "capacity: many"):

        def failed() -> bool | None:
            shop.go("/assets/shop/spec?view=checks")
            time.sleep(2)  # the page shows what it finds then, and a sensor fails the check within half a minute
            return "Failed" in shop.browser.text() or None

        waited("the check to have failed", failed)
        shop.browser.see("list.capacity: Expected a whole number; found 'many'. Write digits, such as 20.")
        shop.go("/locations/churn_assets/asset-groups/shop/list")
        shop.browser.see("retention_list")


def test_the_links_of_report_list_and_summary_open(shop: Shop, tmp_path: Path) -> None:
    shop.browser.ask("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    shop.go("/assets/shop/evaluation_report")
    shop.browser.click("/out/shop/report.html")
    shop.browser.see_tab("Churn report: shop")
    shop.go("/assets/shop/retention_list?view=partitions&partition=monday")
    shop.browser.click("/out/shop/lists/monday.html")
    shop.browser.see_tab("Batch monday of shop")
    shop.browser.click("/out/shop/lists/monday.csv")
    saved = tmp_path / "shop-monday.csv"
    shop.browser.wait_for("the list", lambda: (saved.exists() and saved.stat().st_size) or None)
    assert saved.read_bytes() == (shop.home.path / "out" / "shop" / "lists" / "monday.csv").read_bytes()
