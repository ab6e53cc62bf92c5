"""How benchmarks measure: real step processes in folders of their own, contestants in turn, medians of ratios.

Belongs here: laying out a step's folders, running processes, the row of the table. Does not belong here: what is compared.

A contestant's seconds are those of its work, after Python and its libraries are loaded. Contestants of one comparison run in turn, each time
in a new process: a busy machine slows all of them, and the median of the ratios of neighbours stays.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from churn_assets.sample.files import Format, write_sample
from churn_model.errors import ChurnError
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.costs import Costs
from resources.catalog.versions import restrict_dataset
from resources.specs.loader import load_spec

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results"
VERSION = "0123456789abcdef"


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """One row of the table. `target` is the most that `measured` may be, or the least where `at_least`."""

    name: str
    target: float
    measured: float
    compared: str
    detail: Mapping[str, Any]
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        return self.measured >= self.target if self.at_least else self.measured <= self.target


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where to work, how many threads a step may use, how often contestants run in turn."""

    folder: Path
    threads: int
    repeats: int

    def sample(self, rows: int, *, form: Format = "parquet") -> Path:
        """A landing of so many training rows and a batch of as many, made once."""
        folder = self.folder / f"landing-{rows}-{form}"
        if not folder.exists():
            write_sample(folder, self.folder / f"truth-{rows}", rows=rows, batch_rows=rows, form=form)
            shutil.rmtree(self.folder / f"truth-{rows}")
        return folder

    def step(
        self,
        name: str,
        step: str,
        *,
        costs: Costs | None = None,
        columns: Mapping[str, str] | None = None,
        **inputs: Path,
    ) -> Path:
        """The folders of a step that has yet to run; its result will be in `result(root)`."""
        root = self.folder / "steps" / name
        shutil.rmtree(root, ignore_errors=True)
        config = root / "processing" / "input" / "config"
        config.mkdir(parents=True)
        spec = restrict_dataset(dataset(), step)
        (config / "dataset.json").write_text((replace(spec, costs=costs) if costs else spec).to_json(), "utf-8")
        (config / "request.json").write_text(
            json.dumps({"version": VERSION, "threads": self.threads, "columns": columns}), "utf-8"
        )
        for key, path in inputs.items():
            (root / "processing" / "input" / key).symlink_to(path)
        return root

    def run_step(self, root: Path, step: str) -> "Usage":
        """Run a step's own process, as the runner does."""
        shutil.rmtree(root / "processing" / "output", ignore_errors=True)
        return self.run([sys.executable, "-m", "churn_model.steps", step], {"CHURN_ROOT": str(root)})

    def work(self, contestant: str, *arguments: Path | str) -> float:
        """Seconds that a contestant's work takes in a new process."""
        command = [sys.executable, "-m", "benchmarks.contestants", contestant, *map(str, arguments)]
        out = subprocess.run(command, cwd=ROOT, env=self._environment({}), check=True, stdout=subprocess.PIPE).stdout
        return float(json.loads(out)["seconds"])

    def in_turn(self, contestants: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
        """Seconds of each contestant in each round; one round before them fills the caches."""
        for run in contestants.values():
            run()
        found: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(self.repeats):
            for name, run in contestants.items():
                found[name].append(run())
        return found

    def run(self, command: Sequence[str], environment: Mapping[str, str], allowed: Sequence[int] = (0,)) -> "Usage":
        """Run a command to its end. Raises ChurnError where it fails."""
        # A process starts with its parent's peak: a small one in between measures the command alone.
        launcher = [sys.executable, "-S", str(Path(__file__).parent / "launch.py"), *command]
        ended = subprocess.run(
            launcher, cwd=ROOT, env=self._environment(environment), check=False, stdout=subprocess.PIPE
        )
        if ended.returncode not in allowed:
            raise ChurnError(
                f"Expected `{' '.join(command[1:])}` to succeed; found exit code {ended.returncode}. Read its output above."
            )
        return Usage(**json.loads(ended.stdout.splitlines()[-1]))

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        threads = {"OMP_NUM_THREADS": str(self.threads), "OMP_WAIT_POLICY": "PASSIVE"}
        return {**os.environ, **threads, "PYTHONPATH": str(ROOT), **more}


@dataclass(frozen=True)
class Usage:
    """What a process took: seconds on the clock and of the processors, and its peak of memory in MB."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


def result(root: Path) -> Path:
    """What a step published."""
    return root / "processing" / "output" / "result"


def dataset() -> Dataset:
    """The sample's spec."""
    return load_spec(ROOT / "datasets" / "sample.yaml")


def median_ratio(found: Mapping[str, Sequence[float]], one: str, other: str) -> float:
    """The median over rounds of one contestant's seconds by another's."""
    return statistics.median(a / b for a, b in zip(found[one], found[other], strict=True))


def medians(found: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Each contestant's median seconds."""
    return {name: round(statistics.median(seconds), 3) for name, seconds in found.items()}
