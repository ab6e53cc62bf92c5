"""When an endpoint of one machine was asked: counted, in files that do not grow for ever."""

from concurrent.futures import ThreadPoolExecutor
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
