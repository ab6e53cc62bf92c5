"""A lake with champions that were published as ever, and the application that answers with them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import uvicorn

from churn_assets.model_server.app import build_app
from churn_assets.model_server.champion import ServedModel
from churn_assets.model_server.connections import LimitedHttp
from churn_assets.model_server.options import ServerOptions
from churn_assets.model_server.variants import Router
from churn_model.reports.step_report import PublishedFile
from churn_model.spec.sections.search import Family
from churn_model.tables import write_table
from resources.catalog.digests import digest_of
from resources.catalog.names import RAW_BATCH, ROWS, TUNED_MODEL, version_prefix
from resources.catalog.pointers import BatchRecord, Current, record_batch
from resources.local.lake import LocalLake
from resources.ports.lake import Manifest
from tests.churn_model.serving.shop import DATASETS, landed, made_bundle, rows_of
from tests.published_model import publish_champion

SPEC = """\
id: customer
as_of: day
label: {column: left, positive: ["yes"], means: cancelled within 30 days}
derived:
  per call: if(is_missing(calls), 0, minutes / calls)
  spent: log1p(bill) + minutes
costs: {contact: {cost: 40, success: 0.5, value: {column: worth}}}
"""


@dataclass
class Shop:
    """A lake with a champion of `shop`, its spec, and the alerts that were sent."""

    root: Path
    lake: LocalLake
    alerts: list[str] = field(default_factory=list)

    @property
    def spec(self) -> Path:
        return self.root / "shop.yaml"

    def publish(self, version: str, family: Family = "boosted_trees", content: bytes | None = None) -> None:
        """Publish a model and make it the champion; `content` in the place of its bundle."""
        publish_champion(self.lake, replace(made_bundle(family), about={"version": version}), content)

    def score_batch(self, batch: str, seed: int) -> None:
        """Publish the rows of a batch of 40 customers, and record it, as `raw_batch` does."""
        dataset, version = DATASETS["shop"], f"rows-{batch}"
        rows = rows_of(landed(40, seed), dataset, made_bundle("boosted_trees").schema.required)
        write_table(self.root / batch, rows, key="_id")
        prefix = version_prefix("shop", RAW_BATCH, version, batch)
        files = {}
        for part in sorted((self.root / batch).iterdir()):
            data = part.read_bytes()
            self.lake.put(f"{prefix}{ROWS}{part.name}", data)
            files[f"{ROWS}{part.name}"] = PublishedFile(len(data), digest_of(data))
        self.lake.publish(prefix, Manifest(version, files))
        shown, model = Current(version, prefix), Current("v1", version_prefix("shop", TUNED_MODEL, "v1"))
        record_batch(
            self.lake, "shop", BatchRecord(batch, "content", "listing", "2026-01-01T00:00:00+00:00", shown, model)
        )

    def model(self, version: str = "") -> ServedModel:
        return ServedModel(self.lake, self.spec, self.root, threads=1, on_failure=self.alerts.append, version=version)

    def options(self, **more: Any) -> ServerOptions:
        return ServerOptions(dataset="shop", folder=self.root, **{"poll_seconds": 0.05, **more})

    @contextmanager
    def client(
        self,
        model: ServedModel | None = None,
        *,
        connections: int = 512,
        router: Router | None = None,
        **more: Any,
    ) -> Iterator[httpx.Client]:
        """Serve on a free port in a thread of this process, and yield a client."""
        app = build_app(model or self.model(), self.options(**more), self.lake, router)
        http = type("Http", (LimitedHttp,), {"most_connections": connections})
        config = uvicorn.Config(app, http=http, port=0, log_config=None, access_log=False, ws="none")
        server = uvicorn.Server(config)
        thread = Thread(target=server.run)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


def make_shop(root: Path) -> Shop:
    """Return a shop with a champion."""
    made = Shop(root, LocalLake(root=str(root / "lake")))
    made.spec.write_text(SPEC)
    made.publish("v1")
    return made


def customer(**changes: Any) -> dict[str, Any]:
    return {name: values[0] for name, values in landed(1, seed=5).items()} | changes
