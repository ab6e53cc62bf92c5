"""`--variant` and `--shadow`: a model version beside the champion, on this machine's server and on an endpoint."""

import argparse
import re

from resources.errors import CommandError

_VARIANT = re.compile(r"(?P<name>[a-z](?:-?[a-z0-9]){0,30})=(?P<version>[0-9a-f]{16}):(?P<share>[01]|0?\.[0-9]{1,6})")


def add_variant_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the two arguments to those of a command."""
    parser.add_argument(
        "--variant",
        type=_variant,
        metavar="NAME=VERSION:SHARE",
        help="a model version that answers a share beside the champion, such as candidate=cd91b5c61b49e316:0.1",
    )
    parser.add_argument(
        "--shadow",
        action="store_true",
        help="let the candidate of --variant (its share is 0) score everything as well, and answer nobody",
    )


def read_variant(arguments: argparse.Namespace) -> tuple[str, str, float] | None:
    """Return name, version and share of --variant, None without it. Raise CommandError if it cannot be in the shadow."""
    variant: tuple[str, str, float] | None = arguments.variant
    if variant is None and arguments.shadow:
        raise CommandError(
            "Nobody is in the shadow. Name a version, as in --variant candidate=cd91b5c61b49e316:0 --shadow."
        )
    if variant and arguments.shadow and variant[2]:
        raise CommandError("A candidate in the shadow answers nobody: write its share as 0, or leave out --shadow.")
    return variant


def _variant(text: str) -> tuple[str, str, float]:
    parts = _VARIANT.fullmatch(text)
    if parts is None or parts["name"] == "champion" or not float(parts["share"]) <= 1:
        raise argparse.ArgumentTypeError(
            f"expected a name other than champion, a version and a share from 0 to 1, as in candidate=cd91b5c61b49e316:0.1, found {text[:60]!r}"
        )
    return parts["name"], parts["version"], float(parts["share"])
