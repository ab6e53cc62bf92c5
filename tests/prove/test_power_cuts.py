"""What a command has said it did outlives a power cut, and a command that was cut goes on. All twenty moments: `make soak`."""

from pathlib import Path

import pytest

from tests.harness.homes import Homes
from tests.harness.machine import NotPossible
from tests.reliability.power_cuts import CUTS, Cut

pytestmark = pytest.mark.prove


@pytest.mark.parametrize("cut", CUTS[:3], ids=lambda cut: cut.name)
def test_a_power_cut_loses_nothing_that_was_shown(homes: Homes, tmp_path: Path, cut: Cut) -> None:
    try:
        assert cut.run(homes, tmp_path) == []
    except NotPossible as reason:
        pytest.skip(f"{reason}; the order of the writes is tested everywhere")
