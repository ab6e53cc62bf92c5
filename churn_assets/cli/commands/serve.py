"""`churn serve`: the champion answers over HTTP, one customer at a time or many, with a page to try it."""

import argparse
import errno
import ipaddress
import os
from contextlib import nullcontext
from typing import TYPE_CHECKING

from rich.console import Console

from churn_assets.cli.command import Command, ExitCode, add_dataset_argument, find_dataset
from churn_assets.cli.variant import add_variant_arguments, read_variant
from churn_assets.console.safe_text import say
from resources.errors import CommandError
from resources.settings import Settings

if TYPE_CHECKING:
    from churn_assets.model_server.options import Candidate

_LOOPBACK = "127.0.0.1"
_MOST_WORKERS = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_dataset_argument(parser)
    parser.add_argument(
        "--port", type=_port, default=8080, help="the port to listen on (default 8080; 0: any free one)"
    )
    parser.add_argument(
        "--host",
        default=_LOOPBACK,
        help="the address to listen on (default 127.0.0.1); any other needs CHURN_SERVE_TOKEN, and its names in CHURN_ALLOWED_HOSTS",
    )
    workers = min(2, os.cpu_count() or 1)
    parser.add_argument("--workers", type=_workers, default=workers, help=f"processes that answer (default {workers})")
    add_variant_arguments(parser)
    parser.add_argument(
        "--withdraw",
        action="store_true",
        help="leave all customers to the champion once the guard of --variant raises its alarm (default: the alarm alone)",
    )


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> int:
    """Answer until the command is stopped."""
    from churn_assets.cli.workspace import environment
    from churn_assets.model_server.options import ServerOptions
    from churn_assets.model_server.run import listen, load_champion, open_test, serve, server_folder

    dataset = find_dataset(settings, arguments.dataset)
    if not _is_loopback(arguments.host) and not settings.serve_token:
        raise CommandError(
            f"A server on {arguments.host} is reached from other machines. Set CHURN_SERVE_TOKEN to a long random text, which clients send "
            "as `Authorization: Bearer ...`, or leave out --host."
        )
    with server_folder(settings) as folder:
        options = ServerOptions(
            dataset=dataset.name,
            folder=folder,
            token=settings.serve_token,
            hosts=tuple(settings.allowed_hosts),
            workers=arguments.workers,
            candidate=candidate_of(arguments),
            supervisor=os.getpid(),
        )
        # What cannot be loaded is said here, once, and not by each worker.
        plan = load_champion(options, settings)
        try:
            listener = listen(arguments.host, arguments.port)
        except OSError as error:
            where = f"Port {arguments.port} on {arguments.host}"
            used = (
                f"{where} is already in use"
                if error.errno == errno.EADDRINUSE
                else f"{where} cannot be used ({error.strerror})"
            )
            raise CommandError(
                f"{used}. Choose another with --port, as in `churn serve {dataset.name} --port 8081`."
            ) from error
        os.environ.update(environment(settings))
        port = listener.getsockname()[1]
        host = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
        console.print(
            f"Model {plan.version} of {dataset.name} answers at http://{host}:{port}; Ctrl-C ends it.", highlight=False
        )
        test = open_test(options, settings, lambda _: None)
        if test and test.is_withdrawn:
            say(console, "The candidate was withdrawn: the champion answers alone. Another NAME begins another test.")
        with test.served() if test else nullcontext():
            serve(options, listener)
    return ExitCode.DONE


def candidate_of(arguments: argparse.Namespace) -> "Candidate | None":
    """Return the version that --variant names. Raise CommandError if it cannot be in the shadow."""
    from churn_assets.model_server.options import Candidate

    variant = read_variant(arguments)
    return variant and Candidate(*variant, withdraw=arguments.withdraw, shadow=arguments.shadow)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _port(text: str) -> int:
    if not (text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, found {text!r}")
    return int(text)


def _workers(text: str) -> int:
    if not (text.isdigit() and 1 <= int(text) <= _MOST_WORKERS):
        raise argparse.ArgumentTypeError(f"expected 1 to {_MOST_WORKERS} workers, found {text!r}")
    return int(text)


COMMAND = Command(
    name="serve",
    summary="Answer over HTTP with the champion: one customer or many, and a page to try it.",
    example="churn serve telco --port 8080",
    add_arguments=add_arguments,
    run=run,
)
