"""What an hour of a job's instance costs, by AWS's own price list. Prices are kept for 30 days; none is ever made up."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from resources.aws.session import AwsSession, aws_errors
from resources.durable import replace_file
from resources.errors import CommandError
from resources.ports.prices import Price

_KEPT = timedelta(days=30)
_LIST_REGION = "us-east-1"  # the price list of every region is there


class Prices:
    """The price list, and a file that remembers what it said.

    region   of the jobs
    file     JSON, by region, use and instance type
    """

    def __init__(self, region: str, file: Path, today: Callable[[], date] | None = None) -> None:
        self._region, self._file = region, file
        self._today = today or (lambda: datetime.now(UTC).date())

    def of(self, use: str, instance: str) -> Price | None:
        """Return the price of an instance type for "Processing" or "Training", or None if the list has none, or more than one.

        Raise CommandError if the list cannot be asked.
        """
        name = f"{self._region} {use} {instance}"
        kept = self._read().get(name)
        if kept and self._today() - date.fromisoformat(kept.day) < _KEPT:
            return kept
        dollars = {*_dollars(self._products(instance), use)}
        if len(dollars) != 1:
            return None
        price = Price(dollars.pop(), self._today().isoformat())
        prices = {key: asdict(value) for key, value in {**self._read(), name: price}.items()}
        replace_file(self._file, lambda stream: stream.write(json.dumps(prices, indent=1).encode()))
        return price

    def _read(self) -> dict[str, Price]:
        """Return the prices that are kept; none if the file is missing or damaged."""
        with suppress(OSError, ValueError, TypeError, AttributeError):
            found = json.loads(self._file.read_text("utf-8"))
            return {name: Price(float(each["dollars"]), str(each["day"])) for name, each in found.items()}
        return {}

    def _products(self, instance: str) -> Iterator[Mapping[str, Any]]:
        wanted = {"regionCode": self._region, "instanceName": instance, "productFamily": "ML Instance"}
        filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
        client = AwsSession(region=_LIST_REGION).client("pricing")
        with aws_errors(CommandError, f"the price of {instance}"):
            for page in client.get_paginator("get_products").paginate(ServiceCode="AmazonSageMaker", Filters=filters):
                yield from map(json.loads, page["PriceList"])


def _dollars(products: Iterator[Mapping[str, Any]], use: str) -> Iterator[float]:
    """Yield the prices of an hour on demand for a use of an instance."""
    for product in products:
        attributes = product["product"]["attributes"]
        if use.lower() not in (str(attributes.get(name, "")).lower() for name in ("platoinstancetype", "component")):
            continue
        for term in product["terms"].get("OnDemand", {}).values():
            for dimension in term["priceDimensions"].values():
                dollars = float(dimension["pricePerUnit"].get("USD", 0))
                if dollars and dimension["unit"].lower().startswith(("hrs", "hour")):
                    yield dollars
