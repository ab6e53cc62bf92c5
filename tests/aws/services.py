"""Stand-ins for AWS's services on this machine: S3, Glue and Athena by moto, behind HTTP on the loopback interface."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from moto.server import ThreadedMotoServer

from tests.aws import athena, crawlers

REGION = "eu-west-1"


@dataclass(frozen=True)
class Services:
    """Where the stand-ins listen."""

    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that point AWS's own libraries at the stand-ins, with credentials that open nothing."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "stand-in",
            "AWS_SECRET_ACCESS_KEY": "stand-in",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }


@contextmanager
def running_services() -> Iterator[Services]:
    """Start the stand-ins on a free port, and stop them at the end."""
    athena.install()
    crawlers.install()
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line for each request otherwise
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield Services(f"http://{host}:{port}")
    finally:
        server.stop()
