"""Every command of the docs, run as it stands: each page from top to bottom in a project folder of its own.

Blocks marked `sh` are run; in blocks marked `console`, the lines after `$ `. Blocks marked `text` hold output, or what cannot run here (a
server, a clone). Two comments in a page say what it starts with:

    <!-- docs: starts with the sample, scored -->    a working folder in which the sample was trained on and its first batch scored
    <!-- docs: files mine.csv today.csv -->          the sample's training table and its first batch as files beside it
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from resources.settings import PROJECT
from tests.harness.machine import free_port

pytestmark = pytest.mark.prove

PAGES = sorted([PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *(PROJECT / "docs").rglob("*.md")])
SCORED = "<!-- docs: starts with the sample, scored -->"
FILES = "<!-- docs: files mine.csv today.csv -->"
PORT = "18080"
"""The port of each page's server. Here each page is given a free one: several pages run at once."""
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(page: Path) -> str:
    """The page's blocks as one script that says which line of the page it has come to."""
    text = page.read_text("utf-8")
    script = ["set -euo pipefail"]
    for block in _FENCE.finditer(text):
        language, body = block.groups()
        if language == "console":
            body = "\n".join(line[2:] for line in body.splitlines() if line.startswith(("$ ", "> "))) + "\n"
        if language in ("sh", "console"):
            line = text.count("\n", 0, block.start()) + 2
            script += [f"echo '== {page.name}:{line}'", body]
    return "\n".join(script) if len(script) > 1 else ""


RUNNABLE = [page for page in PAGES if commands(page)]


def make_project(folder: Path) -> None:
    """A folder that looks like the project's after `make setup`, as far as the docs' commands see it."""
    tools = folder / ".venv" / "bin"
    tools.mkdir(parents=True)
    for name, arguments in (("python", ""), ("churn", "-m churn_assets.cli"), ("dagster", "-m dagster")):
        tool = tools / name
        tool.write_text(f'#!/bin/sh\nPYTHONPATH="{PROJECT}" exec "{sys.executable}" {arguments} "$@"\n')
        tool.chmod(0o755)
    shutil.copytree(PROJECT / "datasets", folder / "datasets")
    shutil.copyfile(PROJECT / "workspace.yaml", folder / "workspace.yaml")
    # The commands are proved here and not the model: a few trials end with the same decisions.
    with (folder / "datasets" / "sample.yaml").open("a") as spec:
        spec.write("\nsearch: {trials: 4}\n")


def run(folder: Path, script: str) -> None:
    settings = {
        name: value for name, value in os.environ.items() if not name.startswith(("CHURN_", "DAGSTER_", "PYTEST_"))
    }
    settings |= {"CHURN_HOME": str(folder / "churn_home"), "CHURN_DATASETS": str(folder / "datasets")}
    settings["PATH"] = f"{folder / '.venv' / 'bin'}{os.pathsep}{settings['PATH']}"
    ended = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=settings, capture_output=True, text=True, timeout=1800, check=False
    )
    assert ended.returncode == 0, f"exit code {ended.returncode}\n{ended.stdout[-4000:]}\n{ended.stderr[-4000:]}"


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which the sample was trained on and its first batch scored."""
    folder = tmp_path_factory.mktemp("scored")
    make_project(folder)
    run(folder, "set -e; churn sample; churn retrain sample; churn score sample 2025-09")
    return folder


def test_the_pages_with_commands_are_found() -> None:
    assert {"README.md", "tutorial.md", "roll_back.md"} <= {page.name for page in RUNNABLE}


@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: page.relative_to(PROJECT).as_posix())
def test_the_commands_of_a_page_run(page: Path, tmp_path: Path, scored: Path) -> None:
    make_project(tmp_path)
    text = page.read_text("utf-8")
    if SCORED in text:
        shutil.copytree(scored / "churn_home", tmp_path / "churn_home")
    if FILES in text:
        landed = scored / "churn_home" / "lake" / "landing" / "sample"
        shutil.copyfile(landed / "train" / "customers-001.csv", tmp_path / "mine.csv")
        shutil.copyfile(landed / "score" / "2025-09" / "customers-001.csv", tmp_path / "today.csv")
    run(tmp_path, commands(page).replace(PORT, str(free_port())))
