"""`python -m benchmarks.servers NAME BUNDLE PORT`: one process that answers /invocations, for `serving` to ask.

plan    the model server's own application
noop    the same server and framework; it reads the body and sends an answer of the usual size
pandas  Flask on gunicorn: a data frame of one row, its categories as columns, the same booster and calibration
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from benchmarks.measure import dataset
from churn_assets.model_server.app import build_app
from churn_assets.model_server.champion import ServedModel
from churn_assets.model_server.options import ServerOptions
from churn_model.models.bundle import Bundle, read_bundle
from churn_model.serving.plan import Plan
from resources.ports.lake import Lake

_HOST = "127.0.0.1"
_USUAL = b'{"id":null,"as_of":"2025-06-01","churn_probability":0.15083926879352888,"will_churn":false,"reasons":[],"unknown":[]}'


class _Fixed:
    """A model that never changes."""

    name, failure = "sample", None

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def start(self) -> None:
        """It is loaded."""

    def refresh(self) -> bool:
        """It stays."""
        return False


def plan_app(bundle: Bundle) -> ASGIApp:
    model = cast(ServedModel, _Fixed(Plan(bundle, dataset())))
    return build_app(model, ServerOptions(dataset="sample", folder=Path()), cast(Lake, None))


def noop_app(_: Bundle) -> ASGIApp:
    async def answer(request: Request) -> Response:
        await request.body()
        return Response(_USUAL, headers={"content-type": "application/json"})

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await asyncio.sleep(0)
        yield

    return Starlette(routes=[Route("/invocations", answer, methods=["POST"])], lifespan=lifespan)


def pandas_app(bundle: Bundle) -> Callable[..., Any]:
    """As a data scientist writes it: a frame, dummies, the booster."""
    import flask

    app = flask.Flask("pandas")
    features = [feature for feature in bundle.schema.features if feature.expression is None]
    width = bundle.model.width

    @app.post("/invocations")
    def answer() -> Any:
        frame = pd.DataFrame([flask.request.get_json()])
        columns = []
        for feature in features:
            if feature.levels:
                columns.append(
                    pd.get_dummies(pd.Categorical(frame[feature.name], categories=feature.levels), dtype=np.float32)
                )
            else:
                columns.append(pd.to_numeric(frame[feature.name], errors="coerce").astype(np.float32).to_frame())
        encoded = pd.concat(columns, axis=1).to_numpy(np.float32)
        encoded = np.pad(encoded, ((0, 0), (0, max(0, width - encoded.shape[1]))))[:, :width]
        p = float(bundle.calibration.apply(bundle.model.probabilities(np.ascontiguousarray(encoded)))[0])
        return flask.jsonify({"id": None, "churn_probability": p, "will_churn": p >= 0.3, "reasons": [], "unknown": []})

    return cast("Callable[..., Any]", app)


def main() -> None:
    name, path, port = sys.argv[1:]
    bundle = read_bundle(Path(path), threads=1)
    if name == "pandas":
        from gunicorn.app.base import BaseApplication

        class Gunicorn(BaseApplication):  # type: ignore[misc]
            def load_config(self) -> None:
                self.cfg.set("bind", f"{_HOST}:{port}")
                self.cfg.set("worker_class", "gthread")  # it keeps connections alive, as the others do
                self.cfg.set("loglevel", "warning")

            def load(self) -> Any:
                return pandas_app(bundle)

        Gunicorn().run()
        return
    app = plan_app(bundle) if name == "plan" else noop_app(bundle)
    uvicorn.run(app, host=_HOST, port=int(port), log_level="warning", access_log=False, ws="none")


if __name__ == "__main__":
    main()
