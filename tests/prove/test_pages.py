"""The pages for people, made of real runs and opened in a browser, on a desk and on a phone: everybody can use them, nothing is cut off."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.accessible import require_accessible
from tests.harness.browser import Browser, find_chromium
from tests.harness.homes import Homes, copied, customers_of_month

# All of them look at one folder's pages, in one worker: see tests/conftest.py.
pytestmark = pytest.mark.prove

PICTURES = os.environ.get("CHURN_PROOF_PICTURES")
"""A folder for screenshots, to be looked at."""
PAGES = {
    "report": "Churn report: shop",
    "comparison": "Two models of shop",
    "exploration": "Exploration: shop",
    "lists/monday": "Batch monday of shop",
}
_CUT_OFF = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth).map(e => e.innerText.slice(0, 80))"
"""The tables whose last columns are out of view until somebody scrolls."""
_A4 = 688  # pixels of CSS between margins of 14 mm


@pytest.fixture(scope="module")
def out(homes: Homes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the pages after two retrains, a scored batch, an exploration and a comparison."""
    with copied(homes.twice_retrained, tmp_path_factory.mktemp("pages") / "home") as home:
        home.land(customers_of_month(), "b.csv", batch="monday")
        commands = (("score", "shop", "monday"), ("explore", "shop"), ("compare", "shop", "previous", "champion"))
        for process in [home.start(*command) for command in commands]:
            assert home.end_of(process).code == 0
        yield home.path / "out" / "shop"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    command = find_chromium()
    if command is None:
        pytest.skip("needs Chromium")
    browser = Browser(command, tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("page", PAGES)
def test_a_page_can_be_used_by_everybody(out: Path, browser: Browser, page: str, width: int) -> None:
    browser.resize(width)
    browser.open((out / f"{page}.html").as_uri())
    browser.wait_for("the page", lambda: browser.evaluate("document.title") == PAGES[page] or None)
    if PICTURES:
        browser.picture(Path(PICTURES) / f"{page.replace('/', '-')}-{width}.png")
    require_accessible(browser)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(_CUT_OFF) == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_printed_whole(out: Path, browser: Browser, page: str) -> None:
    browser.resize(_A4)
    browser.ask("Emulation.setEmulatedMedia", media="print")
    try:
        browser.open((out / f"{page}.html").as_uri())
        browser.wait_for("the page", lambda: browser.evaluate("document.title") == PAGES[page] or None)
        if PICTURES:
            browser.picture(Path(PICTURES) / f"{page.replace('/', '-')}-print.png")
        assert browser.evaluate("document.documentElement.scrollWidth") <= _A4
        assert browser.evaluate(_CUT_OFF) == []
    finally:
        browser.ask("Emulation.setEmulatedMedia", media="")
