"""The ASGI application: the routes of SageMaker's contract, what describes the model, its counters, and a page to try it.

Small requests are answered on the event loop, in a fraction of a millisecond; large ones in one thread, so that small ones do not wait.
"""

import asyncio
import base64
import hmac
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from time import monotonic, perf_counter
from typing import Any

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse
from starlette.responses import Response as HttpResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from churn_assets.model_server import metrics
from churn_assets.model_server.champion import ServedModel
from churn_assets.model_server.faults import LOG, log_fault
from churn_assets.model_server.options import ServerOptions
from churn_assets.model_server.pages import page_routes
from churn_assets.model_server.reading import not_ready, read_body, to_http, too_late
from churn_assets.model_server.variants import VARIANT_HEADER, Router
from churn_assets.server.guard import RequestGuard
from churn_model.serving.dividing import Divided, respond_divided
from churn_model.serving.openapi import describe_service
from churn_model.serving.plan import Plan
from churn_model.serving.protocol import Request, Response, TooLate, answer_fault, refuse, respond
from churn_model.serving.requests import BadRequest, Limits
from churn_model.serving.shadow import Shadow, respond_in_shadow
from resources.ports.lake import Lake

SMALL = 16_384
"""Bytes of a body that is answered on the event loop."""
_OPEN_PATHS = frozenset({"/ping"})  # a load balancer has no token


def build_app(model: ServedModel, options: ServerOptions, lake: Lake, router: Router | None = None) -> ASGIApp:
    """Return the application that answers with `model`, or whom `router` chooses; the page shows `model`, and finds customers in `lake`."""
    server = ModelServer(model, options, router or Router(model))
    routes: list[BaseRoute] = [
        Route("/ping", server.ping),
        Route("/invocations", server.invoke, methods=["POST"]),
        Route("/execution-parameters", server.execution_parameters),
        Route("/openapi.json", server.openapi),
        Route("/metrics", server.metrics),
        *page_routes(model, lake, options),
    ]
    app = Starlette(routes=routes, lifespan=server.lifespan, exception_handlers={Exception: report_fault})
    return RequestGuard(TokenGuard(FaultGuard(app), options.token), options.hosts)


class ModelServer:
    """The endpoints."""

    def __init__(self, model: ServedModel, options: ServerOptions, router: Router) -> None:
        self.model = model
        self.router = router
        self.options = options
        self._one_at_a_time = anyio.CapacityLimiter(1)
        self._waiting = 0

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Load the models, and follow the champion until the server ends."""
        for model in self.router.models:
            await asyncio.to_thread(model.start)
        following = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            following.cancel()
            await asyncio.to_thread(self.router.end)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self.options.poll_seconds)
            if self.options.supervisor not in (0, os.getppid()):
                signal.raise_signal(signal.SIGTERM)  # nobody is left who would end this worker
                return
            for model in self.router.models:
                try:
                    if await asyncio.to_thread(model.refresh):
                        metrics.SWAPS.inc()
                except Exception as error:  # whatever is wrong with a new model, the old one goes on answering
                    log_fault(error)
            try:
                await asyncio.to_thread(self.router.look)
            except Exception as error:  # a test that cannot be watched is no reason to stop answering
                log_fault(error)

    async def ping(self, _: HttpRequest) -> HttpResponse:
        """Say whether the model is loaded."""
        plan = self.model.plan
        body: dict[str, Any] = {"dataset": self.model.name, "model_version": plan.version if plan else None}
        if plan:
            body["costs_version"] = plan.costs_version
        if self.model.failure:
            body["failure"] = "the newest model or spec could not be loaded"
        return JSONResponse(body, 200 if plan else 503)

    async def execution_parameters(self, _: HttpRequest) -> HttpResponse:
        """Say how SageMaker's batch transform may call."""
        megabytes = max(1, self.options.limits.body >> 20)
        parameters = {
            "MaxConcurrentTransforms": self.options.workers,
            "BatchStrategy": "MULTI_RECORD",
            "MaxPayloadInMB": megabytes,
        }
        return JSONResponse(parameters)

    async def openapi(self, _: HttpRequest) -> HttpResponse:
        """Return the OpenAPI document of the model that answers now."""
        plan = self.model.plan
        return JSONResponse(describe_service(plan)) if plan else to_http(not_ready())

    async def metrics(self, _: HttpRequest) -> HttpResponse:
        """Return the counters of all workers."""
        return HttpResponse(metrics.collect(), media_type=None, headers={"content-type": metrics.CONTENT_TYPE})

    async def invoke(self, http: HttpRequest) -> HttpResponse:
        """Answer about one customer or many."""
        response = await self._answer(http)
        metrics.REQUESTS.labels(str(response.status)).inc()
        if answered := response.rows - response.refused:
            metrics.ROWS.labels("answered").inc(answered)
        if response.refused:
            metrics.ROWS.labels("refused").inc(response.refused)
        return to_http(response)

    async def _answer(self, http: HttpRequest) -> Response:
        headers = http.headers
        asked = headers.get(VARIANT_HEADER, "")
        try:
            variant, model = self.router.choose(asked)
            plan = model.plan
            if plan is None:
                return not_ready()
            body = await read_body(http, self.options)
        except BadRequest as bad:
            return refuse(bad)
        request = Request(
            body=body,
            content_type=headers.get("content-type", ""),
            accept=headers.get("accept", "*/*"),
            content_encoding=headers.get("content-encoding", ""),
            query=http.query_params,
        )
        started = perf_counter()
        # The plan of the moment in which the whole body is there: a swap meanwhile is no reason to answer with the old one.
        plan = model.plan or plan
        challenger = None if asked else self.router.challenger()
        if challenger is None:
            answered = await self._respond(partial(_answer_alone, plan), request)
            names = variant
        elif self.router.is_shadow:
            answered = await self._respond(
                partial(_answer_in_shadow, plan, challenger, self.router.observe_shadow), request
            )
            names = variant
        else:
            divide = partial(respond_divided, plan, challenger, self.router.division)
            answered = await self._respond(divide, request)
            names = self.router.names(answered.is_challenger)
            if answered.fault:
                log_fault(answered.fault)
        seconds = perf_counter() - started
        metrics.SECONDS.observe(seconds)
        self.router.observe(answered, seconds)
        return replace(answered.response, headers={**answered.response.headers, VARIANT_HEADER: names})

    async def _respond(self, answer: Callable[[Request, Limits], Divided], request: Request) -> Divided:
        limits = self.options.limits
        if len(request.body) <= SMALL and not request.content_encoding:
            return answer(request, limits)
        if self._waiting > self.options.waiting:
            busy = BadRequest(
                503, expected="a free place", found="too many large requests", todo="try again in a second"
            )
            return Divided(response=refuse(busy))
        due = monotonic() + self.options.answer_seconds
        timed = replace(request, is_late=lambda: monotonic() > due)
        self._waiting += 1
        try:
            with anyio.move_on_after(self.options.answer_seconds):  # while it waits; once begun, it looks itself
                return await anyio.to_thread.run_sync(answer, timed, limits, limiter=self._one_at_a_time)
        except TooLate:
            pass
        finally:
            self._waiting -= 1
        return Divided(response=too_late(self.options))


def _answer_alone(plan: Plan, request: Request, limits: Limits) -> Divided:
    return Divided(response=respond(plan, request, limits))


def _answer_in_shadow(
    champion: Plan, challenger: Plan, observe: Callable[[Shadow], None], request: Request, limits: Limits
) -> Divided:
    response, shadow = respond_in_shadow(champion, challenger, request, limits)
    metrics.count_shadow(shadow)
    observe(shadow)
    if shadow.fault:
        log_fault(shadow.fault)
    return Divided(response=response)


async def report_fault(_: HttpRequest, error: Exception) -> HttpResponse:
    """Answer a request that ran into a bug, and log where: never what was asked."""
    log_fault(error)
    return to_http(answer_fault())


class FaultGuard:
    """Keeps a bug that was logged and answered from the server, which would log its message as well."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        try:
            await self.app(scope, receive, send)
        except Exception as error:
            LOG.debug("answered with a fault: %s", type(error).__name__)


class TokenGuard:
    """Refuses requests without the token, if one is set: as a bearer, or as the password that a browser asks for."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on if it has the token."""
        if self._is_refused(scope):
            refusal = {"error": "Expected the server's token as Authorization: Bearer.", "errors": []}
            challenge = {"www-authenticate": 'Basic realm="the token as password"'}
            await JSONResponse(refusal, 401, challenge)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _is_refused(self, scope: Scope) -> bool:
        if not self._token or scope["type"] == "lifespan" or scope.get("path") in _OPEN_PATHS:
            return False
        return not hmac.compare_digest(_sent_token(Headers(scope=scope)), self._token)


def _sent_token(headers: Headers) -> bytes:
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return rest.encode() if scheme.lower() == "bearer" else b""
    try:
        return base64.b64decode(rest, validate=True).partition(b":")[2]
    except ValueError:
        return b""
