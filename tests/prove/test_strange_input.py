"""Mangled and hostile inputs, a sample: thousands of them are in `make soak`."""

from pathlib import Path

import pytest

from tests.harness.homes import Homes
from tests.harness.machine import NotPossible
from tests.reliability.hostile import CELLS, THINGS, beside, in_a_cell
from tests.reliability.mangled import MANGLED

pytestmark = pytest.mark.prove


def test_a_mangled_file_is_read_with_every_record_counted_or_refused_in_words(homes: Homes, tmp_path: Path) -> None:
    found = {trial.name: trial.run(homes, tmp_path) for trial in MANGLED.trials(100)}
    assert {name: problems for name, problems in found.items() if problems} == {}


@pytest.mark.parametrize("what", ["a pipe", "a link upwards", "a closed folder"])
def test_what_is_no_file_beside_a_batch_stops_nothing(homes: Homes, tmp_path: Path, what: str) -> None:
    try:
        assert beside(THINGS[what], "strange")(homes, tmp_path) == []
    except NotPossible as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("cell", [CELLS[1], CELLS[6]])
def test_a_hostile_id_is_scored_and_shown_as_text(homes: Homes, tmp_path: Path, cell: str) -> None:
    assert in_a_cell(cell, 0)(homes, tmp_path) == []
