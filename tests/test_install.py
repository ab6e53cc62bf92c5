"""What is installed, and what the lock files say of it."""

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from resources.settings import PROJECT

LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-image.lock")


def test_exactly_one_build_of_xgboost_is_installed() -> None:
    # Both give the module `xgboost`: with two, which one runs is chance.
    found = [name for name in ("xgboost", "xgboost-cpu") if list(importlib.metadata.distributions(name=name))]
    assert len(found) == 1


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_every_release_by_hash_and_names_no_index(lock: str) -> None:
    text = (PROJECT / lock).read_text("utf-8")
    pinned = re.findall(r"^([a-z0-9-]+)==\S+", text, flags=re.MULTILINE)
    assert len(pinned) > 10
    assert not re.search(r"https?://|--index-url|--extra-index-url|--find-links", text)
    for block in re.split(r"\n(?=[a-z])", text.strip()):
        assert "--hash=sha256:" in block, block[:60]


def test_the_tools_are_pinned_to_the_same_releases_as_what_runs() -> None:
    def pins(lock: str) -> set[str]:
        return set(re.findall(r"^[a-z0-9-]+==[^\s;\\]+", (PROJECT / lock).read_text("utf-8"), flags=re.MULTILINE))

    assert pins("requirements.lock") <= pins("requirements-dev.lock")


def test_churn_runs_nothing_that_lies_in_the_current_folder(tmp_path: Path) -> None:
    """As the Makefile starts it: a folder of data may hold a `secrets.py` of somebody else."""
    (arguments,) = re.findall(r'exec "[^"]+" (-.*) "\$\$@"', (PROJECT / "Makefile").read_text("utf-8"))
    for name in ("secrets", "json", "numpy", "rich", "argparse", "churn_assets", "resources"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w').close()")
    done = subprocess.run(
        [sys.executable, *arguments.split(), "--help"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "retrain" in done.stdout
    assert not (tmp_path / "ran").exists()
