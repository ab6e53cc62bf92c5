"""What is installed, and what the lock files say of it."""

import importlib.metadata
import re

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
