"""Prices are those of AWS's list, kept for 30 days; where it has none, there is none."""

import io
import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from resources.aws.prices import Prices
from resources.aws.session import AwsSession, forget_clients
from resources.errors import CommandError
from resources.ports.prices import Price

TODAY = date(2026, 11, 26)


class _Body(io.BytesIO):
    def stream(self, *_: Any, **__: Any) -> list[bytes]:
        return [self.getvalue()]


def product(use: str, dollars: str) -> str:
    dimension = {"unit": "Hrs", "pricePerUnit": {"USD": dollars}}
    terms = {"OnDemand": {"a": {"priceDimensions": {"b": dimension}}}}
    return json.dumps({"product": {"attributes": {"platoinstancetype": use}}, "terms": terms})


class PriceList:
    """Answers in place of AWS, which no stand-in has the list of."""

    def __init__(self) -> None:
        self.products = [product("Training", "0.23"), product("Processing", "0.25"), product("Hosting", "0.9")]
        self.asked: list[dict[str, Any]] = []
        self.status = 200

    def __call__(self, request: Any, **_: Any) -> AWSResponse:
        self.asked.append(json.loads(request.body))
        body = (
            {"PriceList": self.products} if self.status == 200 else {"__type": "AccessDeniedException", "message": "no"}
        )
        headers = {"Content-Type": "application/x-amz-json-1.1"}
        return AWSResponse(request.url, self.status, headers, _Body(json.dumps(body).encode()))


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> Iterator[PriceList]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "stand-in")
    forget_clients()
    listed = PriceList()
    AwsSession(region="us-east-1").client("pricing").meta.events.register("before-send.pricing", listed)
    yield listed
    forget_clients()


def prices(folder: Path, today: date = TODAY) -> Prices:
    return Prices("eu-west-1", folder / "prices.json", lambda: today)


def test_a_price_is_asked_once_in_thirty_days(listed: PriceList, tmp_path: Path) -> None:
    assert prices(tmp_path).of("Training", "ml.m5.xlarge") == Price(0.23, "2026-11-26")
    later = prices(tmp_path, TODAY + timedelta(days=29))
    assert later.of("Training", "ml.m5.xlarge") == Price(0.23, "2026-11-26")
    assert len(listed.asked) == 1
    assert {each["Field"]: each["Value"] for each in listed.asked[0]["Filters"]} == {
        "regionCode": "eu-west-1",
        "instanceName": "ml.m5.xlarge",
        "productFamily": "ML Instance",
    }
    listed.products = [product("Training", "0.24")]
    assert prices(tmp_path, TODAY + timedelta(days=30)).of("Training", "ml.m5.xlarge") == Price(0.24, "2026-12-26")


def test_a_use_has_its_own_price(listed: PriceList, tmp_path: Path) -> None:
    assert prices(tmp_path).of("Processing", "ml.m5.xlarge") == Price(0.25, "2026-11-26")


@pytest.mark.parametrize(
    "found", [[], [product("Training", "0.2"), product("Training", "0.3")], [product("Training", "0")]]
)
def test_none_or_several_prices_are_no_price(listed: PriceList, tmp_path: Path, found: list[str]) -> None:
    listed.products = found
    assert prices(tmp_path).of("Training", "ml.m5.xlarge") is None
    assert not (tmp_path / "prices.json").exists()


def test_a_list_that_may_not_be_read_says_so_and_a_damaged_file_is_written_anew(
    listed: PriceList, tmp_path: Path
) -> None:
    (tmp_path / "prices.json").write_text('{"eu-west-1 Training ml.m5.xlarge": 3}')
    assert prices(tmp_path).of("Training", "ml.m5.xlarge") == Price(0.23, "2026-11-26")
    listed.status = 400
    with pytest.raises(CommandError, match=r"the price of ml.m5.large; found AccessDeniedException"):
        prices(tmp_path).of("Training", "ml.m5.large")
