"""Starts the server: one process that watches, and workers that answer and are restarted when they die."""

import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn
from starlette.types import ASGIApp
from uvicorn.supervisors import Multiprocess

from churn_assets.model_server.ab_test import TESTS, AbTest, folder_of_test
from churn_assets.model_server.champion import ServedModel
from churn_assets.model_server.connections import LimitedHttp
from churn_assets.model_server.options import ServerOptions
from churn_assets.model_server.variants import Router
from churn_model.serving.plan import Plan
from resources.settings import Settings, read_settings
from resources.wiring import wire

LOG = logging.getLogger("churn.model_server")
# Prometheus's own name for the folder of counters; its module must not be imported before it is set.
_COUNTERS = "PROMETHEUS_MULTIPROC_DIR"
_BACKLOG = 1024
_ENDS_WITHIN_SECONDS = 10
_IDLE_SECONDS = 75
_HANGS_AFTER_SECONDS = 30


def make_app(options: ServerOptions) -> ASGIApp:
    """Return a worker's application. It is called in the worker."""
    from churn_assets.model_server import metrics
    from churn_assets.model_server.app import build_app

    settings = read_settings()
    ports = wire(settings)

    def tell(line: str) -> None:
        LOG.error("%s", line)
        ports.alerts.send(line)

    def alert(line: str) -> None:
        LOG.error("%s", line)
        metrics.LOAD_FAILURES.inc()
        if _is_first(options.folder, line):
            ports.alerts.send(line)

    spec = settings.datasets / f"{options.dataset}.yaml"
    threads = max(1, settings.threads // options.workers)
    load = partial(ServedModel, ports.lake, spec, options.folder, threads=threads, on_failure=alert)
    model, candidate = load(), options.candidate
    test = open_test(options, settings, tell)
    router = Router(model, load(version=candidate.version) if candidate else None, candidate, test)
    return build_app(model, options, ports.lake, router)


def open_test(options: ServerOptions, settings: Settings, on_alarm: Callable[[str], None]) -> AbTest | None:
    """Return what watches the candidate; None if it is not in the shadow, and not both variants have customers."""
    candidate = options.candidate
    if candidate is None or not (candidate.shadow or 0 < candidate.share < 1):
        return None
    return AbTest(
        folder_of_test(settings.home / TESTS, options.dataset, candidate), options.dataset, candidate, on_alarm=on_alarm
    )


def _is_first(folder: Path, line: str) -> bool:
    """Return whether no other worker has sent an alert yet."""
    try:
        (folder / f"alert-{blake2b(line.encode(), digest_size=8).hexdigest()}").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


@contextmanager
def server_folder(settings: Settings) -> Iterator[Path]:
    """Make a folder that the workers of one server share; it is gone when the server ends."""
    settings.home.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".serving-", dir=settings.home) as folder:
        (Path(folder) / "counters").mkdir()
        yield Path(folder)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raise OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
        listener.set_inheritable(True)
    except OSError:
        listener.close()
        raise
    return listener


def serve(options: ServerOptions, listener: socket.socket) -> None:
    """Answer until a signal comes. A worker that dies, or stops answering its supervisor, is replaced."""
    os.environ[_COUNTERS] = str(options.folder / "counters")
    config = uvicorn.Config(
        partial(make_app, options),
        factory=True,
        http=LimitedHttp,
        workers=options.workers,
        log_level="warning",
        access_log=False,  # paths and queries hold ids
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_ENDS_WITHIN_SECONDS,
        timeout_worker_healthcheck=_HANGS_AFTER_SECONDS,
        server_header=False,
        proxy_headers=False,
        ws="none",
    )
    Multiprocess(config, sockets=[listener]).run()


def load_champion(options: ServerOptions, settings: Settings) -> Plan:
    """Return the plan that the server will answer with, and leave it for the workers. Raise ChurnError if it, or the candidate, cannot be loaded."""
    spec = settings.datasets / f"{options.dataset}.yaml"
    load = partial(ServedModel, wire(settings).lake, spec, options.folder, threads=1, on_failure=lambda _: None)
    if options.candidate:
        load(version=options.candidate.version).load()
    return load().load()
