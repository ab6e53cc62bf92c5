"""Damaged files on real processes, a sample: all kinds of files and harms are in `make soak`, and each reader in tests/resources/catalog."""

from pathlib import Path

import pytest

from tests.harness.homes import Homes
from tests.reliability.damage import try_damage

pytestmark = pytest.mark.prove


@pytest.mark.parametrize(
    ("verb", "pattern", "how"),
    [
        ("score", "lake/shop/tuned_model/*/model.tar.gz", "garbage"),
        ("retrain", "lake/shop/champion.json", "empty"),
        ("score", "lake/shop/list_layout/monday/*/list.csv", "cut"),
    ],
)
def test_a_damaged_file_is_made_again_or_said(homes: Homes, tmp_path: Path, verb: str, pattern: str, how: str) -> None:
    assert try_damage(verb, pattern, how)(homes, tmp_path) == []
