"""A lake with a champion, and a client of the application that answers with it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from resources.local.lake import LocalLake
from tests.churn_assets.model_server.served import SPEC, Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    made = Shop(tmp_path, LocalLake(root=str(tmp_path / "lake")))
    made.spec.write_text(SPEC)
    made.publish("v1")
    return made


@pytest.fixture
def client(shop: Shop) -> Iterator[httpx.Client]:
    with shop.client() as opened:
        yield opened
