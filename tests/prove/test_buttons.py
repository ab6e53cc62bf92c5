"""Dagster's buttons do what they say: a real browser on the real `churn ui`, with its daemon and its runs."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import dagster as dg
import pytest

from benchmarks.reliability.browser import Browser, find_chromium
from benchmarks.reliability.home import Home, Homes, copied, customers_of_month
from benchmarks.reliability.ui import Ui, waited
from resources.catalog.pointers import BatchRecord, read_batch, read_current

pytestmark = pytest.mark.prove

WAITS = {"call": "pyarrow.parquet:ParquetWriter.write_table", "moment": "after", "then": "wait", "step": "score"}
"""A plan for the step that has written a part of its predictions."""
SETTLED = 3 * 86_400  # seconds ago
AXE = files("axe_core_python") / "axe.min.js"
VIOLATIONS = """axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}).then(
  found => found.violations.filter(each => ["serious", "critical"].includes(each.impact))
    .map(each => `${each.id}: ${each.nodes[0].html.slice(0, 200)}`))"""


@dataclass(frozen=True)
class Shop:
    """A dataset in the UI, and a browser that looks at it."""

    home: Home
    ui: Ui
    browser: Browser

    @property
    def spec(self) -> Path:
        return self.home.root / "datasets" / "shop.yaml"

    def open(self, path: str) -> None:
        self.browser.open(f"http://127.0.0.1:{self.ui.port}{path}")

    def open_job(self, name: str) -> None:
        self.open(f"/locations/churn_assets/jobs/{name}")

    def open_group(self, name: str = "shop") -> None:
        self.open(f"/locations/churn_assets/asset-groups/{name}")

    def choose_batch(self, batch: str) -> None:
        self.browser.click("Select a partition or create one")
        self.browser.click(batch)

    def list_of(self, batch: str, unlike: BatchRecord | None = None) -> Callable[[], BatchRecord | None]:
        def found() -> BatchRecord | None:
            record = read_batch(self.home.lake, "shop", batch)
            return record if record and record.list and (unlike is None or record.list != unlike.list) else None

        return found

    def last_run(self, batch: str | None = None, count: int = 1) -> dg.DagsterRun | None:
        """Return the last of at least `count` runs of a batch, once all have ended."""
        runs = [run for run in self.home.runs() if batch in (None, run.tags.get("dagster/partition"))]
        return runs[-1] if len(runs) >= count and all(run.is_finished for run in runs) else None


@pytest.fixture(scope="module")
def shop(homes: Homes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A champion, one before it, and a batch that the sensor leaves alone for a day."""
    command = find_chromium()
    if command is None:
        pytest.skip("needs Chromium")
    with copied(homes.twice_retrained, tmp_path_factory.mktemp("buttons") / "shop") as home:
        shop = home.root / "datasets" / "shop.yaml"
        shop.write_text(shop.read_text().replace("settle: 1s", "settle: 1d"))
        home.land(customers_of_month(), "b.csv", batch="monday")
        ui, browser = Ui(home), Browser(command, tmp_path_factory.mktemp("profile"))
        browser.resize(1500)
        try:
            yield Shop(home, ui, browser)
        finally:
            browser.close()


def test_rollback_rolls_back(shop: Shop) -> None:
    before = shop.home.champion
    assert before is not None
    shop.open_job("shop_rollback")
    shop.browser.click("Materialize")
    waited("the rollback", lambda: shop.home.champion != before or None)
    assert shop.home.champion is not None
    assert (shop.home.champion.version, shop.home.champion.outcome) == (before.previous, "rolled_back")


def test_a_new_batch_is_scored_by_mouse(shop: Shop) -> None:
    shop.open_job("shop_score_batch")
    shop.browser.click("Materialize all")
    shop.browser.click("Add a partition")
    shop.browser.see("Partition name")
    shop.browser.type("monday")
    shop.browser.click("Save")
    shop.browser.click("Launch 1 run")
    record = waited("monday's list", shop.list_of("monday"))
    assert shop.home.champion is not None
    assert record.champion.version == shop.home.champion.version


def test_new_costs_are_offered_and_the_batch_is_scored_again(shop: Shop) -> None:
    before = waited("monday's list", shop.list_of("monday"))
    waited("its run to end", lambda: shop.last_run("monday"))
    shop.spec.write_text(shop.spec.read_text().replace("cost: 40", "cost: 25"))
    shop.open_group()

    def offered() -> str | None:
        shop.browser.click_beside("Materialize all")
        shop.browser.click("Materialize unsynced")
        time.sleep(2)
        text = shop.browser.text()
        if "up to date" in text:
            shop.browser.click("OK")
            return None
        return text.rpartition("Materialize unsynced assets")[2]

    assert {line for line in waited("the evaluation to be unsynced", offered).split("\n") if "shop / " in line} == {
        "shop / evaluation_report"
    }
    runs = len(shop.home.runs())
    shop.browser.click("Materialize 1 asset")
    run = waited("the run", lambda: shop.last_run(count=runs + 1))
    assert run.status is dg.DagsterRunStatus.SUCCESS

    # Dagster does not look at partitions: a check says which batches are old, and turns when they are scored again.
    shop.open("/assets/shop/retention_list?view=checks")
    shop.browser.see("monday: predicted at other costs")
    shop.open_job("shop_score_batch")
    shop.browser.click("Materialize all")
    shop.choose_batch("monday")
    shop.browser.click("Launch 1 run")
    waited("the list at new costs", shop.list_of("monday", unlike=before))
    shop.open("/assets/shop/retention_list?view=checks")
    shop.browser.see("no batch that is old")


def test_materialize_all_of_a_group_succeeds(shop: Shop) -> None:
    runs = len(shop.home.runs())
    shop.open_group()
    shop.browser.click("Materialize all")
    shop.choose_batch("monday")
    shop.browser.click("Launch 1 run")
    run = waited("the run", lambda: shop.last_run(count=runs + 1))
    assert run.status is dg.DagsterRunStatus.SUCCESS
    assert read_current(shop.home.lake, "shop", "model_comparison") is not None
    assert shop.home.problems() == []


def test_a_batch_that_a_person_cancels_is_asked_for_again(shop: Shop) -> None:
    mark = shop.home.root / "reached"
    shop.home.steps_with({**WAITS, "mark": str(mark)})
    path = shop.home.land(customers_of_month(2), "t.csv", batch="tuesday")
    os.utime(path, (time.time() - SETTLED,) * 2)
    waited("the step to write", lambda: mark.exists() or None)
    (run,) = [run for run in shop.home.runs() if run.tags.get("dagster/partition") == "tuesday"]
    shop.open(f"/runs/{run.run_id}")
    shop.browser.click("Terminate")
    shop.browser.see("Terminate run")
    shop.browser.click("Yes, terminate")
    ended = waited("the run to end", lambda: shop.last_run("tuesday"))
    assert ended.status is dg.DagsterRunStatus.CANCELED
    assert shop.list_of("tuesday")() is None
    shop.home.steps_with()
    waited("tuesday's list", shop.list_of("tuesday"))


@pytest.mark.parametrize("width", [1200, 400])
def test_pages_have_nothing_that_keeps_readers_out(shop: Shop, width: int) -> None:
    (comparison,) = (path.name for path in (shop.home.path / "out" / "shop").glob("comparison*.html"))
    shop.browser.resize(width)
    try:
        for page, words in (
            ("report.html", "What it saves"),
            (comparison, "Comparison"),
            ("lists/monday.html", "to call"),
            ("exploration.html", "Exploration"),
        ):
            shop.open(f"/out/shop/{page}")
            shop.browser.see(words)
            shop.browser.evaluate(AXE.read_text("utf-8"))
            assert shop.browser.evaluate(VIOLATIONS) == [], page
            assert shop.browser.evaluate("document.documentElement.scrollWidth") <= width, page
    finally:
        shop.browser.resize(1500)


def test_a_broken_spec_is_red_and_its_assets_stay(shop: Shop) -> None:
    whole = shop.spec.read_text()
    shop.spec.write_text(whole + "horizon: soon\n")
    try:
        shop.open_group("specs_to_fix")
        shop.browser.see("1 / 1 Failed")
        shop.open("/assets/shop/spec?view=checks")
        shop.browser.see("horizon")
        shop.open_group()
        shop.browser.see("retention_list")
        shop.open("/assets/shop/retention_list?partition=monday&view=partitions")
        shop.browser.see("Materialized")
    finally:
        shop.spec.write_text(whole)
    shop.open_job("shop_score_batch")
    shop.browser.see("Materialize all")
