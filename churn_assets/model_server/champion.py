"""The champion in memory: loaded from the lake, swapped in place when the pointer or the spec changes, kept if the next one does not load."""

import json
import logging
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from churn_model.errors import ChurnError, SpecError, problem
from churn_model.models.bundle import Bundle, read_bundle
from churn_model.models.bundle_file import BUNDLE
from churn_model.serving.plan import Plan
from churn_model.spec.dataset import Dataset
from resources.catalog.integrity import require_whole
from resources.catalog.names import TUNED_MODEL, champion_key, version_prefix
from resources.catalog.pointers import read_pointer, require_champion
from resources.durable import replace_file
from resources.errors import DamagedError, LakeError
from resources.ports.lake import Lake
from resources.specs.loader import load_spec

LOG = logging.getLogger("churn.model_server")
_Stamp = tuple[bytes | None, tuple[int, int] | None]
"""What the champion's pointer holds, and the spec's time and size: a change of either means that another plan is due."""


@dataclass(frozen=True)
class Loaded:
    """A plan that answers, and what it was made from."""

    plan: Plan
    prefix: str


class ServedModel:
    """The model that answers now.

    folder   where workers leave which model loaded last, for one that starts while the pointer names a model that does not load
    version  of the model that answers in the champion's place, if one is named: then the pointer is not looked at
    failure  why the newest model or spec is not used; None if it is
    """

    def __init__(
        self,
        lake: Lake,
        spec: Path,
        folder: Path,
        *,
        threads: int,
        on_failure: Callable[[str], None],
        version: str = "",
    ) -> None:
        self._lake = lake
        self._spec = spec
        self._folder = folder
        self._threads = threads
        self._on_failure = on_failure
        self._version = version
        self._seen: _Stamp | None = None
        self._loaded: Loaded | None = None
        self.failure: str | None = None

    @property
    def name(self) -> str:
        """The dataset."""
        return self._spec.stem

    @property
    def plan(self) -> Plan | None:
        """The plan that answers, None before the first is loaded."""
        return self._loaded.plan if self._loaded else None

    def load(self) -> Plan:
        """Load the champion and the spec as they are. Raise ChurnError if either cannot be used."""
        self._seen = self._stamp()
        dataset = _require_spec(self._spec)
        prefix = self._prefix()
        self._use(prefix, dataset)
        self._remember(prefix, dataset)
        return self._require_plan()

    def start(self) -> None:
        """Load the champion, or else the model that loaded last; without one, answer nothing until the pointer or the spec changes."""
        try:
            self.load()
        except (ChurnError, OSError) as error:
            self._fail(error)
            with suppress(ChurnError, OSError):  # why nothing answers has been said
                if last := self._recall():
                    self._use(*last)

    def refresh(self) -> bool:
        """Load what has changed since it was looked at last. Return whether another plan answers now; if it does not load, the old one stays."""
        try:
            stamp = self._stamp()
        except (ChurnError, OSError) as error:
            self._fail(error)
            return False
        if stamp == self._seen:
            return False
        try:
            self.load()
        except (ChurnError, OSError) as error:
            self._fail(error)
            return False
        self.failure = None
        return True

    def _prefix(self) -> str:
        if self._version:
            return version_prefix(self.name, TUNED_MODEL, self._version)
        return require_champion(self._lake, self.name).prefix

    def _stamp(self) -> _Stamp:
        pointer = None if self._version else read_pointer(self._lake, champion_key(self.name))
        try:
            state = self._spec.stat()
        except FileNotFoundError:
            return pointer, None
        return pointer, (state.st_mtime_ns, state.st_size)

    def _use(self, prefix: str, dataset: Dataset) -> None:
        known = self._loaded
        bundle = (
            known.plan.bundle
            if known and known.prefix == prefix
            else read_model(self._lake, prefix, threads=self._threads)
        )
        self._loaded = Loaded(Plan(bundle, dataset), prefix)

    def _require_plan(self) -> Plan:
        if self._loaded is None:
            raise RuntimeError("a plan was loaded and is not there")
        return self._loaded.plan

    def _fail(self, error: Exception) -> None:
        """Say once why something did not load. What may pass by itself is tried again at the next look, what is damaged is not."""
        if isinstance(error, (OSError, LakeError)) and not isinstance(error, DamagedError):
            self._seen = None
        reason = str(error) if isinstance(error, ChurnError) else type(error).__name__
        if reason != self.failure:
            kept = f"; model {self.plan.version} goes on answering" if self.plan else ""
            self.failure = reason
            what = f"candidate {self._version}" if self._version else "the champion"
            self._on_failure(f"{self.name}: the model server could not load {what} or the spec{kept}. {reason}")

    def _remember(self, prefix: str, dataset: Dataset) -> None:
        text = json.dumps({"prefix": prefix, "dataset": dataset.to_json()}).encode()
        replace_file(self._last_loaded, lambda stream: stream.write(text))

    @property
    def _last_loaded(self) -> Path:
        return self._folder / f"last_loaded{f'_{self._version}' if self._version else ''}.json"

    def _recall(self) -> tuple[str, Dataset] | None:
        try:
            last = json.loads(self._last_loaded.read_bytes())
            return last["prefix"], Dataset.from_json(last["dataset"])
        except (OSError, ValueError, KeyError, SpecError):
            return None


def read_model(lake: Lake, prefix: str, *, threads: int) -> Bundle:
    """Return the bundle of a published version. Raise ChurnError if it is damaged or cannot be read."""
    require_whole(lake, prefix)
    with tempfile.NamedTemporaryFile(suffix=BUNDLE) as copy:
        copy.write(lake.read(prefix + BUNDLE))
        copy.flush()
        return read_bundle(Path(copy.name), threads=threads)


def _require_spec(path: Path) -> Dataset:
    if not path.is_file():
        raise SpecError(problem(expected=f"the spec {path.name}", found="no such file", todo="restore it"))
    return load_spec(path)
