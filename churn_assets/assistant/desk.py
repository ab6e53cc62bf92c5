"""What an assistant may look at: one dataset's lake, its spec as it is now, and the champion. Nothing is written, or remembered on disk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from churn_assets.model_server.champion import read_model
from churn_assets.model_server.customers import list_batches
from churn_assets.model_server.sentences import NO_BATCH
from churn_model.errors import ChurnError, problem
from churn_model.serving.plan import Plan
from churn_model.spec.dataset import Dataset
from resources.catalog.pointers import require_champion
from resources.ports.lake import Lake
from resources.specs.loader import load_spec

_LONGEST_ARGUMENT = 1_000


class Desk:
    """The lake and the plan of one dataset, looked up anew for each question; a model is loaded once."""

    def __init__(self, lake: Lake, spec: Path, *, threads: int) -> None:
        self.lake = lake
        self._spec = spec
        self._threads = threads
        self._loaded: tuple[str, Plan] | None = None

    @property
    def dataset(self) -> Dataset:
        """The spec as it is now. Raise SpecError."""
        return load_spec(self._spec)

    def plan(self) -> Plan:
        """Return the champion at today's costs. Raise ChurnError if there is none, or it cannot be loaded."""
        dataset = self.dataset
        prefix = require_champion(self.lake, dataset.name).prefix
        if self._loaded is None or self._loaded[0] != prefix:
            self._loaded = prefix, Plan(read_model(self.lake, prefix, threads=self._threads), dataset)
        elif self._loaded[1].dataset != dataset:
            self._loaded = prefix, Plan(self._loaded[1].bundle, dataset)
        return self._loaded[1]

    def require_batch(self, name: str) -> str:
        """Return the name of a batch. Raise ChurnError if there is no such batch."""
        batches = list_batches(self.lake, self.dataset.name)
        if name not in batches:
            raise ChurnError(f"{NO_BATCH} Ask list_batches which there are.")
        return name


def read_text(arguments: Mapping[str, Any], name: str) -> str:
    """Return an argument that is text. Raise ChurnError."""
    value = arguments.get(name)
    if isinstance(value, str) and 0 < len(value) <= _LONGEST_ARGUMENT:
        return value
    found = f"one of {len(value):,} characters" if isinstance(value, str) else _kind(value)
    expected = f"{name} as text of 1 to {_LONGEST_ARGUMENT:,} characters"
    raise ChurnError(problem(expected=expected, found=found, todo="correct it"))


def read_number(arguments: Mapping[str, Any], name: str, default: int, most: int) -> int:
    """Return an argument that is a whole number from 1 to `most`. Raise ChurnError."""
    value = arguments.get(name, default)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and float(value).is_integer() and 1 <= value <= most:
        return int(value)
    found = f"{value:g}" if is_number else _kind(value)
    raise ChurnError(problem(expected=f"{name} as a number from 1 to {most:,}", found=found, todo="correct it"))


def read_changes(arguments: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return an argument that is an object of plain values by name, at least one. Raise ChurnError."""
    value = arguments.get(name)
    if isinstance(value, dict) and value:
        too_long = [each for each in value.values() if isinstance(each, str) and len(each) > _LONGEST_ARGUMENT]
        if not too_long:
            return value
    found = _kind(value) if not isinstance(value, dict) else "a value that is longer" if value else "an empty object"
    expected = f"{name} as an object of new values by field, each of at most {_LONGEST_ARGUMENT:,} characters"
    raise ChurnError(problem(expected=expected, found=found, todo="name a field and its value"))


def _kind(value: Any) -> str:
    kinds = {type(None): "none", bool: "true or false", list: "an array", dict: "an object", str: "text"}
    return kinds.get(type(value), "a number")
