"""What the docs point at is there, and what they show is marked. Their commands are run by `tests/prove/test_docs.py`."""

import re
from pathlib import Path

import pytest

from resources.settings import PROJECT

PAGES = sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")])


@pytest.fixture(params=PAGES, ids=lambda page: page.relative_to(PROJECT).as_posix())
def page(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def anchors(page: Path) -> set[str]:
    """The places in a page that a link can name, as GitHub writes them."""
    heads = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    prose = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    lost = []
    for link in re.findall(r"\]\(([^)]+)\)", prose):
        target, _, place = link.partition("#")
        if re.match(r"https?:", link):
            continue
        found = page if not target else (page.parent / target)
        if not found.exists() or (place and place not in anchors(found)):
            lost.append(link)
    assert lost == []


def test_every_block_says_what_it_is(page: Path) -> None:
    # A block that is run is `sh`; output, and what cannot be run, is `text`.
    opened = re.findall(r"^```(.*)$", page.read_text("utf-8"), re.MULTILINE)[::2]
    assert set(opened) <= {"sh", "console", "text", "yaml"}


@pytest.mark.parametrize("name", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_every_file_that_the_maps_name_is_there(name: str) -> None:
    rooms = "churn_assets|churn_model|resources|jobs|infra|tests"
    found = re.findall(rf"`((?:{rooms})/[^`<\n]*)`", (PROJECT / name).read_text("utf-8"))
    assert len(found) >= 10
    assert [path for path in found if not (PROJECT / path).exists()] == []
