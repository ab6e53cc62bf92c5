"""When an endpoint of one machine was asked: counted, in files that do not grow for ever."""

from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta
from pathlib import Path

import pytest

from resources.local import endpoint
from resources.local.endpoint import LocalEndpoint
from resources.local.lake import LocalLake


def test_the_times_of_requests_are_counted_and_take_no_more_room_in_time(
    lake: LocalLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "_MOST_TIMES", 50)
    monkeypatch.setattr(endpoint, "_MOST_BYTES", 50 * 20)
    asked = LocalEndpoint(lake=lake, folder=str(tmp_path))
    with ThreadPoolExecutor(4) as clients:
        list(clients.map(asked._note_time, ["shop"] * 30))
    assert asked.count_requests("shop", timedelta(hours=1)) == 30
    with ThreadPoolExecutor(4) as clients:
        list(clients.map(asked._note_time, ["shop"] * 500))
    assert asked.count_requests("shop", timedelta(hours=1)) == 50
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 2 * (50 + 4) * 20
    asked.delete("shop")
    assert asked.count_requests("shop", timedelta(hours=1)) == 0


def test_requests_are_counted_whole_while_further_ones_are_noted(
    lake: LocalLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A count that misses them could have an endpoint deleted that is asked all the time."""
    monkeypatch.setattr(endpoint, "_MOST_BYTES", 10 * 20)
    asked = LocalEndpoint(lake=lake, folder=str(tmp_path))
    for _ in range(20):
        asked._note_time("shop")
    read = Path.read_text
    with ThreadPoolExecutor(1) as client:

        def read_and_be_asked(path: Path) -> str:
            text = read(path)
            if path.suffix == ".asked-before":  # what is newer takes its place now, unless it has to wait
                wait([client.submit(asked._note_time, "shop") for _ in range(3)], timeout=0.2)
            return text

        monkeypatch.setattr(Path, "read_text", read_and_be_asked)
        assert asked.count_requests("shop", timedelta(hours=1)) == 20


def test_of_a_folder_that_is_not_there_nothing_was_asked(lake: LocalLake, tmp_path: Path) -> None:
    assert LocalEndpoint(lake=lake, folder=str(tmp_path / "none")).count_requests("shop", timedelta(hours=1)) == 0
    assert not (tmp_path / "none").exists()
