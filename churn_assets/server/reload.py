"""Reload the code location when a spec changes or a dataset begins, so that the UI shows it without anyone asking."""

import http.client
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from churn_model.errors import ChurnError
from churn_model.spec.dataset import Dataset
from resources.catalog.landing import has_begun
from resources.settings import Settings
from resources.specs.loader import load_specs
from resources.wiring import wire

_SECONDS = 60  # a reload answers once the code is loaded
_MUTATION = "mutation Reload($name: String!) { reloadRepositoryLocation(repositoryLocationName: $name) { __typename } }"


def describe_shown(settings: Settings) -> tuple[object, ...]:
    """Return what decides what the UI shows: each spec's file, and whether anything has landed for it."""
    files = tuple((path.name, path.stat().st_mtime_ns) for path in sorted(settings.datasets.glob("*.y*ml")))
    if settings.aws is not None:  # a bucket is not asked every few seconds, and all datasets are shown
        return files
    lake = wire(settings).lake
    return (*files, *(name for name, spec in _read_specs(settings.datasets, files).items() if has_begun(lake, spec)))


@lru_cache(maxsize=1)
def _read_specs(folder: Path, _files: tuple[tuple[str, int], ...]) -> Mapping[str, Dataset]:
    """Return the specs of a folder, read again only when its files have changed: this is asked every few seconds."""
    return load_specs(folder).datasets


class Reloader:
    """Ask the webserver for a reload when what is shown has changed. Calls in between cost a look at the folders."""

    def __init__(
        self,
        settings: Settings,
        port: int,
        location: str,
        look: Callable[[Settings], tuple[object, ...]] = describe_shown,
    ) -> None:
        self._settings, self._port, self._location, self._look = settings, port, location, look
        self._shown = look(settings)

    def __call__(self) -> bool:
        """Return whether there was a reload. Without an answer it is tried again at the next call."""
        with suppress(OSError, ChurnError, http.client.HTTPException):
            found = self._look(self._settings)
            if found != self._shown:
                _ask_for_reload(self._port, self._location)
                self._shown = found
                return True
        return False


def _ask_for_reload(port: int, location: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    try:
        body = json.dumps({"query": _MUTATION, "variables": {"name": location}})
        connection.request("POST", "/graphql", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            raise http.client.HTTPException(answer.status)
    finally:
        connection.close()
