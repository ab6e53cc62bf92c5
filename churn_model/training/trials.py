"""Trials of a search, and the folder in which those that have ended are kept, so that a search that was interrupted goes on where it was.

The same answers in the same order lead a search to the same questions. So nothing of the search itself is kept: it begins again, and is answered
from the folder as far as that reaches.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from churn_model.arrays import FloatArray
from churn_model.models.families import Hyperparameters
from churn_model.spec.sections.search import Metric
from churn_model.training.search_space import Proposal

_DIGEST_DIGITS = 32


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One family with one set of values, and how well it did. `number` counts from 0 in the order requested; `margins` are the log odds of
    the judged rows before calibration (n,).
    """

    number: int
    hyperparameters: Hyperparameters
    metrics: Mapping[Metric, float]
    margins: FloatArray = field(default_factory=lambda: np.zeros(0), repr=False, compare=False)


@dataclass(frozen=True)
class KeptTrials:
    """The trials of one search in a folder, a file for each: its digest, a line of JSON, and the margins as they are in memory.

    search   identifies what is searched: a trial that was kept for anything else is no answer
    """

    folder: Path
    search: str

    def find(self, proposal: Proposal) -> Trial | None:
        """Return the trial of these values, bit by bit as it was kept; None if there is none, or if its file is damaged."""
        about, margins = self._read(proposal.number)
        asked = {"family": proposal.family, "values": dict(proposal.values)}
        if {name: about.get(name) for name in asked} != asked:
            return None
        hyperparameters = Hyperparameters(family=proposal.family, rounds=about["rounds"], values=proposal.values)
        return Trial(number=proposal.number, hyperparameters=hyperparameters, metrics=about["metrics"], margins=margins)

    def keep(self, trial: Trial, seconds: float) -> None:
        """Keep a trial. `seconds`: how long the search had taken when it ended, interruptions left out."""
        hyper = trial.hyperparameters
        about = {
            "search": self.search,
            "family": hyper.family,
            "values": dict(hyper.values),
            "rounds": hyper.rounds,
            "metrics": dict(trial.metrics),
            "seconds": seconds,
        }
        content = json.dumps(about).encode() + b"\n" + trial.margins.astype(np.float64).tobytes()
        path = self._path(trial.number)
        # Whoever copies the folder elsewhere meanwhile finds whole files.
        partial = path.with_suffix(".partial")
        partial.write_bytes(_digest(content) + content)
        partial.replace(path)

    def seconds(self, number: int) -> float | None:
        """Return how long the search had taken when the trial of this number ended; None if it is not kept."""
        seconds: float | None = self._read(number)[0].get("seconds")
        return seconds

    def _path(self, number: int) -> Path:
        return self.folder / f"trial-{number:05d}"

    def _read(self, number: int) -> tuple[Mapping[str, Any], FloatArray]:
        """Return what is known of a trial, and its margins; nothing if there is no whole file of this search."""
        path = self._path(number)
        data = path.read_bytes() if path.exists() else b""
        digest, content = data[:_DIGEST_DIGITS], data[_DIGEST_DIGITS:]
        if digest != _digest(content):
            return {}, np.zeros(0)
        line, _, margins = content.partition(b"\n")
        about: dict[str, Any] = json.loads(line)
        return (about, np.frombuffer(margins, np.float64)) if about["search"] == self.search else ({}, np.zeros(0))


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=_DIGEST_DIGITS // 2).hexdigest().encode()
