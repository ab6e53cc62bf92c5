"""`churn ui`: the Dagster UI and its daemon."""

import argparse
import errno
import os
import signal
import socket

from rich.console import Console

from churn_assets.cli.command import Command, ExitCode
from resources.errors import CommandError
from resources.settings import Settings

_HOST = "127.0.0.1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--port", type=_port, default=3000, help="the UI's port on this machine (default 3000)")


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> int:
    """Run the UI and the daemon until they are stopped. Return the exit code: it is a failure if one of them ends by itself."""
    from churn_assets.cli.workspace import environment, open_instance
    from churn_assets.server.reload import Reloader
    from churn_assets.server.services import LOCATION, Services

    _require_free_port(arguments.port)
    open_instance(settings).dispose()
    url = f"http://{_HOST}:{arguments.port}"
    console.print(f"The UI will be at {url} in about ten seconds; Ctrl-C ends it.", highlight=False)
    services = Services(arguments.port, os.environ | environment(settings))
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _interrupt)
    try:
        services.start()
        ended = services.wait(Reloader(settings, arguments.port, LOCATION))
        console.print(f"{ended}. Everything else is ended with it.".capitalize(), highlight=False)
        return ExitCode.FAILED
    finally:
        # A second Ctrl-C shall not leave processes behind.
        for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(ending, signal.SIG_IGN)
        services.stop()


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _port(text: str) -> int:
    if not (text.isdigit() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"expected a port from 1 to 65535, found {text!r}")
    return int(text)


def _require_free_port(port: int) -> None:
    """Raise CommandError if the UI could not listen: Dagster would notice only once its daemon is running."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the UI's own server does it: a port that has just been left counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                found = f"Port {port} on {_HOST} is already in use, perhaps by another `churn ui`"
            else:
                found = f"Port {port} on {_HOST} cannot be used ({error.strerror or error})"
            raise CommandError(f"{found}. Choose another with --port, as in `churn ui --port 3001`.") from error


COMMAND = Command(
    name="ui",
    summary="Start the Dagster UI with its daemon: assets, runs, schedules and sensors.",
    example="churn ui --port 3000",
    add_arguments=add_arguments,
    run=run,
)
