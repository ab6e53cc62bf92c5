"""What the proofs stand on: ports that are theirs."""

import socket

import pytest

from tests.harness.machine import free_port


def test_a_free_port_is_nobody_elses_until_a_server_listens_there() -> None:
    port = free_port()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    with socket.create_server(("127.0.0.1", port)) as server:
        assert server.getsockname()[1] == port
