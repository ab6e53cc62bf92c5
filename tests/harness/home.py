"""A working folder of its own, driven by `churn` in processes that can be killed."""

import datetime
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pyarrow as pa
from pyarrow import csv

from resources.catalog.pointers import Champion, read_champion
from resources.local.lake import LocalLake
from resources.local.run_locks import LocalRunLocks
from resources.ports.lake import MANIFEST

DRIVER = Path(__file__).with_name("driver.py")
PATIENCE_SECONDS = 300  # far above what most things here take: the machine may be busy with other work
SPEC = """\
id: customer_id
as_of: as_of
label: {column: churned, positive: ["yes"], means: cancelled}
derived: {total_charge: day_charge + evening_charge + night_charge + international_charge}
costs: {contact: {cost: 40, success: 0.6, value: {column: annual_value}}}
list: {opt_out: do_not_call, capacity: 20}
search: {trials: 1}
watch: {settle: 1s}
"""
BLIND = "ignore: [contract, tenure_months]\n"
"""What makes a first champion that a retrain without it beats."""
SPEC += BLIND
_POINTERS = ("/current.json", "/champion.json")
_CLOCKS = {"made_at", "since", "landed_at", "listed_at", "decided_at"}


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, and all it said."""

    code: int
    said: str


@dataclass(frozen=True)
class Home:
    """A working folder with its specs, and the code as it was when the proofs began: an edit meanwhile would change every version."""

    root: Path
    code: Path
    output: Path | None = None  # where the commands' output goes: outside of the folder, if that may be full
    starts_with: tuple[str, ...] = ()  # a program that starts each command, with its arguments
    patience: float = PATIENCE_SECONDS  # how long a command may take, in seconds
    day: str = ""  # the one that its pages show, which does not end for its commands: those of two cannot be compared
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def path(self) -> Path:
        return self.root / "home"

    @property
    def lake(self) -> LocalLake:
        return LocalLake(root=str(self.path / "lake"))

    @property
    def run_locks(self) -> LocalRunLocks:
        return LocalRunLocks(folder=str(self.path / "locks"))

    @property
    def champion(self) -> Champion | None:
        return read_champion(self.lake, "shop")

    @property
    def environment(self) -> dict[str, str]:
        ours = {
            "CHURN_HOME": str(self.path),
            "CHURN_DATASETS": str(self.root / "datasets"),
            "CHURN_STEP_PYTHON": str(self.root / "step-python"),
            "DAGSTER_HOME": str(self.path / "dagster"),
            "PYTHONPATH": str(self.code),
        }
        inherited = dict(os.environ)
        # Every command imports the code's copy and Dagster: the first compiles them for all, and keeps what it read of the sources.
        inherited.pop("PYTHONDONTWRITEBYTECODE", None)
        return inherited | ours

    def stop_ignoring(self) -> None:
        """Let the next retrain make a better model: it sees what the first champion did not."""
        spec = self.root / "datasets" / "shop.yaml"
        spec.write_text(spec.read_text().replace(BLIND, ""))

    def describe(self, spec: str = SPEC, dataset: str = "shop") -> None:
        """Write a dataset's spec."""
        (self.root / "datasets").mkdir(parents=True, exist_ok=True)
        (self.root / "datasets" / f"{dataset}.yaml").write_text(spec)

    def steps_with(self, plan: dict[str, Any] | None = None) -> None:
        """Write the interpreter that the steps get: it notes each start and follows the plan."""
        script = self.root / "step-python"
        script.write_text(
            f"#!/bin/sh\necho $3 >> {self.root}/steps-started\nexec {sys.executable} {DRIVER} '{json.dumps(plan or {})}' \"$@\"\n"
        )
        script.chmod(0o755)

    def copy(self, root: Path) -> "Home":
        """Return a copy with the interpreter of its own steps. Links within the folder are links within the copy."""
        for name in ("home", "datasets"):
            shutil.copytree(self.root / name, root / name, symlinks=True)
        for link in (path for path in root.rglob("*") if path.is_symlink() and path.readlink().is_absolute()):
            target = link.readlink()
            if target.is_relative_to(self.root):
                link.unlink()
                link.symlink_to(root / target.relative_to(self.root))
        made = Home(root, self.code, day=self.day)
        made.steps_with()
        return made

    def land(self, table: pa.Table, name: str, batch: str | None = None, dataset: str = "shop") -> Path:
        """Put a table into the landing, as `churn land` does, and return where it lies."""
        path = self.root / name
        csv.write_csv(table, path)
        key = f"landing/{dataset}/score/{batch}/{name}" if batch else f"landing/{dataset}/train/{name}"
        self.lake.put(key, path)
        return Path(self.lake.uri(key))

    def start(self, *arguments: str, plan: dict[str, Any] | None = None) -> "subprocess.Popen[str]":
        """Start `churn` in a process of its own, under a plan of `driver.py`. `end_all` ends it where the test does not."""
        out, whole_plan = self._output(len(self.started)).open("w"), json.dumps(self._stay_in_the_day() | (plan or {}))
        with out:
            process = subprocess.Popen(
                [*self.starts_with, sys.executable, str(DRIVER), whole_plan, *arguments],
                env=self.environment,
                cwd=self.code,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def _stay_in_the_day(self) -> dict[str, str]:
        """Return a plan by which a command's time stands still at the end of the folder's day, if that is near or over."""
        if not self.day:
            return {}
        end = datetime.datetime.fromisoformat(f"{self.day}T23:59:59+00:00")
        is_near = datetime.datetime.now(datetime.UTC) + 2 * datetime.timedelta(seconds=self.patience) > end
        return {"until": end.isoformat()} if is_near else {}

    def _output(self, number: int) -> Path:
        return (self.output or self.root) / f"said-{number}.txt"

    def said_by(self, process: "subprocess.Popen[str]") -> str:
        """Return what a command has said so far."""
        return self._output(self.started.index(process)).read_text()

    def wait_until_said(self, process: "subprocess.Popen[str]", words: str) -> None:
        """Wait until a command that runs has said some words. Raise RuntimeError if it ends without them."""
        end = time.monotonic() + self.patience
        while words not in self.said_by(process):
            has_ended = process.poll() is not None
            if words not in (said := self.said_by(process)) and (has_ended or time.monotonic() > end):
                raise RuntimeError(f"waited for {words!r}; found:\n{said}")
            time.sleep(0.05)

    def end_of(self, process: "subprocess.Popen[str]") -> Ended:
        """Wait until a command has ended, and return how."""
        code = process.wait(self.patience)
        said = self.said_by(process)
        print(said)  # noqa: T201  # shown if the test fails
        return Ended(code, said)

    def churn(self, *arguments: str, plan: dict[str, Any] | None = None) -> Ended:
        """Run `churn` to its end."""
        return self.end_of(self.start(*arguments, plan=plan))

    def require(self, code: int, *arguments: str, plan: dict[str, Any] | None = None) -> None:
        """Run `churn`. Raise RuntimeError unless it ends with this code."""
        ended = self.churn(*arguments, plan=plan)
        if ended.code != code:
            raise RuntimeError(f"churn {' '.join(arguments)} ended with {ended.code}:\n{ended.said}")

    def steps_started(self) -> list[str]:
        """Return the names of the steps that began here, in order."""
        path = self.root / "steps-started"
        return path.read_text().split() if path.exists() else []

    def runs(self) -> Sequence[dg.DagsterRun]:
        """Return Dagster's runs, oldest first."""
        with dg.DagsterInstance.from_config(str(self.path / "dagster")) as instance:
            return list(reversed(instance.get_runs()))

    def contents(self) -> dict[str, Any]:
        """Return all that a reader of the lake and the tables sees, without clocks."""
        lake = {entry.key: _seen(self.lake, entry.key) for entry in self.lake.entries("")}
        return {"lake": lake, "tables": self._tables()}

    def _tables(self) -> dict[str, Any]:
        """Return which version each view shows, and how many rows a reader in SQL counts."""
        with duckdb.connect(str(self.path / "tables.duckdb"), read_only=True) as connection:
            rows = connection.execute("select kind, batch, version from shop._shown order by all").fetchall()
            return {
                f"{kind} {batch}": (version, connection.execute(f'select count(*) from shop."{kind}"').fetchone())
                for kind, batch, version in rows
            }

    def problems(self) -> list[str]:
        """Return what is shown and not whole."""
        found = []
        for entry in self.lake.entries("shop/"):
            is_manifest = entry.key.endswith(MANIFEST)
            if not is_manifest and not entry.key.endswith(_POINTERS) and not entry.key.startswith("shop/batches/"):
                continue
            try:
                content = json.loads(self.lake.read(entry.key))
            except ValueError:
                found.append(f"{entry.key} is no JSON")
                continue
            prefix = entry.key.removesuffix(MANIFEST)
            for name, file in content["files"].items() if is_manifest else ():
                path = Path(self.lake.uri(prefix + name))
                if not path.is_file() or path.stat().st_size != file["size"]:
                    found.append(f"{prefix}{name} is not as its manifest says")
            lost = [] if is_manifest else [each for each in _prefixes(content) if not self._is_published(each)]
            found += [f"{entry.key} shows {each}, which is not published" for each in lost]
        return found

    def _is_published(self, prefix: str) -> bool:
        return Path(self.lake.uri(prefix + MANIFEST)).exists()

    def processes(self) -> list[int]:
        """Return every process alive that works in this folder."""
        return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/environ") if _works_in(path, self.root)]

    def end_all(self) -> None:
        """End what was started here, however it was started, by its number."""
        while left := self.processes():
            for number in left:
                with suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
            time.sleep(0.1)
        for process in self.started:
            process.wait()


def _works_in(environ: Path, root: Path) -> bool:
    try:
        return (
            f"={root}/".encode() in environ.read_bytes()
            and environ.with_name("stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
        )
    except OSError:
        return False


def _prefixes(pointer: Any) -> list[str]:
    if not isinstance(pointer, dict):
        return []
    own = [pointer[name] for name in ("prefix", "evaluation") if name in pointer]
    return own + [prefix for value in pointer.values() for prefix in _prefixes(value)]


def _seen(lake: LocalLake, key: str) -> Any:
    data = lake.read(key)
    ours = key.endswith(".json") and not key.startswith("landing/")  # what landed may have any name
    return _without_clocks(json.loads(data)) if ours else hashlib.blake2b(data).hexdigest()


def _without_clocks(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_clocks(each) for name, each in value.items() if name not in _CLOCKS}
    return [_without_clocks(each) for each in value] if isinstance(value, list) else value
