"""The page to try the model, used in a browser with mouse and keyboard, on a desk and on a phone, by day and by night."""

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from churn_model.serving.fields import RefusedRow
from churn_model.serving.plan import Plan
from tests.churn_assets.model_server.served import Shop, customer, make_shop
from tests.churn_model.serving.shop import landed
from tests.harness.accessible import require_accessible
from tests.harness.browser import Browser, find_chromium

pytestmark = pytest.mark.prove

PICTURES = os.environ.get("CHURN_PROOF_PICTURES")
"""A folder for screenshots, to be looked at."""
_COLLECT = """
window.faults = [];
addEventListener('securitypolicyviolation', e => faults.push(e.violatedDirective + ' ' + e.blockedURI));
addEventListener('error', e => faults.push(String(e.message)));
addEventListener('unhandledrejection', e => faults.push(String(e.reason)));
"""


class Page:
    """The page of a model server, open in a browser of its own."""

    def __init__(self, browser: Browser, url: str, plan: Plan) -> None:
        self.browser, self.plan = browser, plan
        browser.ask("Page.addScriptToEvaluateOnNewDocument", source=_COLLECT)
        browser.open(url)
        browser.see("What each value adds")

    def run(self, script: str) -> Any:
        """Return what a script in the page comes to, as soon as it has."""
        found = self.browser.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key: str, code: int, times: int = 1) -> None:
        for _ in range(times):
            for kind in ("keyDown", "keyUp"):
                text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
                self.browser.ask(
                    "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text
                )

    def tab_to(self, test: str) -> None:
        """Go on with the Tab key until the element that has the focus passes a test."""
        for _ in range(80):
            self.press("Tab", 9)
            if self.run(f"(e => {test})(document.activeElement)"):
                assert self.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
                return
        pytest.fail(f"the keyboard does not reach {test}")

    def values(self) -> dict[str, str | None]:
        found: dict[str, str | None] = json.loads(self.run("JSON.stringify(values())"))
        return found

    def require_answer(self) -> float:
        """Wait until the page shows the model's answer to the values in its form, and return it."""
        return self.browser.wait_for("the answer to the form", self._answered)

    def _answered(self) -> float | None:
        try:
            p = self.plan.answer(self.values()).churn_probability
        except RefusedRow:
            return None
        return p if self.run("get('probability').textContent") == f"{100 * p:.1f}%" else None

    def emulate(self, scheme: str, width: int, height: int) -> None:
        self.browser.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.browser.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def picture(self, name: str) -> None:
        if PICTURES:
            self.browser.picture(Path(PICTURES) / f"{name}.png")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    made = make_shop(tmp_path)
    made.score_batch("2024-01", seed=1)
    made.score_batch("2024-02", seed=2)
    return made


@pytest.fixture
def page(shop: Shop, tmp_path: Path) -> Iterator[Page]:
    command = find_chromium()
    if command is None:
        pytest.skip("needs Chromium")
    with shop.client() as client:
        browser = Browser(command, tmp_path / "profile")
        try:
            yield Page(browser, str(client.base_url), shop.model().load())
        finally:
            browser.close()


def test_the_form_sliders_and_an_example_customer(page: Page) -> None:
    usual = page.require_answer()
    page.picture("form")
    page.tab_to("e.type === 'range' && e.closest('.field').dataset.name === 'minutes'")
    before = page.values()["minutes"]
    page.press("ArrowRight", 39, times=20)
    assert float(page.values()["minutes"] or 0) > float(before or 0)
    assert page.require_answer() != usual
    assert page.run("document.querySelector('[data-name=minutes] .note').textContent").startswith("mostly")
    page.run("document.querySelector('[data-name=minutes] [name]').select()")
    page.run("document.querySelector('[data-name=minutes] [name]').focus()")
    page.browser.type("9999")
    page.require_answer()
    page.browser.see("outside of what nine of ten had")
    page.picture("outside")
    page.run("document.querySelector('[data-name=minutes] [name]').select()")
    page.browser.type("lots")
    page.browser.see("minutes: expected a number, found 'lots'")
    page.picture("refused")
    page.browser.click("Most usual values")
    assert page.require_answer() == usual
    assert page.values()["minutes"] == before
    assert page.run("faults") == []


def test_a_slider_writes_numbers_as_the_files_do(page: Page) -> None:
    usual = page.require_answer()
    slider = "document.querySelector('[data-name=bill] .slider').value"
    page.tab_to("e.type === 'range' && e.closest('.field').dataset.name === 'bill'")
    page.press("ArrowRight", 39, times=50)
    moved = page.values()["bill"] or ""
    assert "," in moved
    assert "." not in moved
    assert float(moved.replace(",", ".")) == pytest.approx(float(page.run(slider)), rel=1e-5)
    assert page.require_answer() != usual
    assert page.run("faults") == []


def test_what_changed_since_the_batch_before_adds_up(page: Page) -> None:
    page.tab_to("e.name === 'id'")
    page.browser.type("C7")
    page.press("Enter", 13)
    page.browser.see("What changed since")
    page.require_answer()
    assert page.run("get('earlier').textContent") == "2024-01"
    margins = {}
    for seed in (1, 2):
        row = {name: values[7] for name, values in landed(40, seed).items()}
        margins[seed] = float(page.plan.margin(page.plan.read(row).encoded)[0])
    said = page.run("get('change-sum').textContent")
    assert f"The differences sum to {margins[2] - margins[1]:.2f} log odds" in said
    sizes = page.run("[...document.querySelectorAll('#change-parts .size')].map(e => e.textContent.replace('−', '-'))")
    assert len(sizes) > 1
    assert abs(sum(map(float, sizes)) - (margins[2] - margins[1])) < 0.01 * len(sizes)
    page.picture("changes")
    page.browser.click("Most usual values")
    page.browser.wait_for("no change to be shown", lambda: page.run("get('changes').hidden") or None)
    page.run("document.querySelector('[name=id]').select()")
    page.run("document.querySelector('[name=id]').focus()")
    page.browser.type("nobody")
    page.press("Enter", 13)
    page.browser.see("There is no such customer in this batch.")
    assert page.run("faults") == []


def test_a_file_is_given_back_with_its_rejects(page: Page, tmp_path: Path) -> None:
    rows = [customer(customer=f"C{n}") for n in range(3)] + [customer(customer="C3", minutes="lots")]
    sent = tmp_path / "customers.csv"
    with sent.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    browser = page.browser
    browser.ask("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    root = browser.ask("DOM.getDocument")["root"]["nodeId"]
    upload = browser.ask("DOM.querySelector", nodeId=root, selector="#upload")["nodeId"]
    browser.ask("DOM.setFileInputFiles", files=[str(sent)], nodeId=upload)
    browser.see("Save the answers")
    page.picture("file")
    page.tab_to("e.download")
    page.press("Enter", 13)
    saved = tmp_path / "answers.csv"
    browser.wait_for("the file", lambda: (saved.exists() and saved.stat().st_size > 0) or None)
    answers = list(csv.DictReader(saved.read_text("utf-8").splitlines()))
    assert [each["id"] for each in answers] == ["C0", "C1", "C2", ""]
    assert [bool(each["error"]) for each in answers] == [False, False, False, True]
    assert "'lots'" in answers[3]["error"]
    assert page.run("faults") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_it_can_be_used_by_everybody(page: Page, scheme: str, width: int, height: int) -> None:
    page.emulate(scheme, width, height)
    page.require_answer()
    require_accessible(page.browser)
    assert page.run("document.documentElement.scrollWidth") <= width
    page.picture(f"{scheme}-{width}")
    page.tab_to("e.name === 'id'")
    page.browser.type("C7")
    page.press("Enter", 13)
    page.browser.see("What changed since")
    require_accessible(page.browser)
    assert page.run("document.documentElement.scrollWidth") <= width
    page.run("get('changes').scrollIntoView()")
    page.picture(f"{scheme}-{width}-changes")
