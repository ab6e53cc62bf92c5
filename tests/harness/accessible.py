"""What axe's rules find wrong with a page that is open in a browser."""

import json
from pathlib import Path

import axe_core_python  # type: ignore[import-untyped]

from tests.harness.browser import Browser

_AXE = Path(axe_core_python.__file__).with_name("axe.min.js")


def require_accessible(browser: Browser) -> None:
    """Raise AssertionError if axe finds anything serious in the page."""
    browser.evaluate(_AXE.read_text() + "; true")
    found = json.loads(browser.evaluate("axe.run().then(found => JSON.stringify(found))"))
    assert len(found["passes"]) > 10, "axe looked at the page"
    grave = [
        (each["id"], each["help"], [(node["target"], node["html"][:200]) for node in each["nodes"]][:3])
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]
    assert grave == []
