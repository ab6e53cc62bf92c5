"""A lake with a champion, and a client of the application that answers with it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.churn_assets.model_server.served import Shop, make_shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return make_shop(tmp_path)


@pytest.fixture(scope="module")
def shared_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a server that all tests of a module ask, with the limits that users get."""
    with make_shop(tmp_path_factory.mktemp("shop")).client() as opened:
        yield opened


@pytest.fixture
def client(shop: Shop) -> Iterator[httpx.Client]:
    with shop.client() as opened:
        yield opened
