"""What the proofs stand on: ports that are theirs, and a day that does not end."""

import socket
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import pytest

from tests.harness import driver
from tests.harness.home import Home
from tests.harness.machine import free_port


def test_a_free_port_is_nobody_elses_until_a_server_listens_there() -> None:
    port = free_port()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    with socket.create_server(("127.0.0.1", port)) as server:
        assert server.getsockname()[1] == port


def test_the_day_of_prepared_folders_does_not_end_while_proofs_compare_their_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages show the day: those made after midnight would differ from those made before."""
    dated = ModuleType("dated")
    monkeypatch.setitem(sys.modules, "dated", dated)
    monkeypatch.setattr(driver, "_DATING", ("dated",))
    monkeypatch.setattr(driver._MovedTime, "until", driver._MovedTime.until)
    home = Home(tmp_path, tmp_path, day=f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}")
    driver._move_clock(0, home._stay_in_the_day()["until"])
    assert f"{vars(dated)['datetime'].now(UTC):%Y-%m-%d}" == home.day


def test_long_before_a_day_ends_commands_have_the_clock_of_the_machine(tmp_path: Path) -> None:
    assert Home(tmp_path, tmp_path, day=f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}")._stay_in_the_day() == {}
