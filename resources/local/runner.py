"""Steps as processes on this machine.

Two locks guard an output prefix. The run holds the first while it works on the prefix. The step's process inherits the second, so that it is held
exactly as long as the step lives. Whoever has the first lock and finds the second one held has found the step of a run that was killed: it ends
that step and starts again. If the step's report is there already, nothing is started.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO

import dagster as dg

from churn_model.errors import problem
from churn_model.reports.step_report import REPORT, ReportError, StepReport
from churn_model.steps.contract import FAILED_ON_PURPOSE
from resources.catalog.integrity import find_damage
from resources.catalog.source_code import locked_releases
from resources.catalog.versions import restrict_dataset
from resources.durable import make_folders
from resources.errors import NotInLake, StepFailed, StepKilled
from resources.file_locks import hold, open_lock, try_lock
from resources.local.lake import LocalLake
from resources.local.leftovers import find_run_folders
from resources.os_errors import explain_os_error_text
from resources.ports.leftovers import Leftover
from resources.ports.runner import Runner, StepRequest
from resources.settings import PROJECT

_GRACE_SECONDS = 10  # from SIGTERM to SIGKILL
_LOG_TAIL_LINES = 15
_LOG_SHOWN_BYTES = 50_000
_NO_MESSAGE = "no message (none can be written to a full disk)"


class LocalRunner(Runner):
    """Runs `python -m churn_model.steps <step>` with folders of the lake as its inputs and output."""

    lake: LocalLake
    runs: str  # the folder of the steps' working folders, logs and locks
    python: str
    code: str = str(PROJECT)  # the folder that holds `churn_model`

    def run(self, request: StepRequest) -> StepReport:
        with self._only_one(request) as lock:
            report = self._find_whole(request.output)
            if report is None:
                self.lake.discard(request.output)
                root = self._lay_out(request)
                self._run_process(request, root, lock)
                report = StepReport.from_json(self.lake.read(request.output + REPORT))
            return report

    def _find_whole(self, prefix: str) -> StepReport | None:
        """Return the report of a step whose run died before it was published, or None if there is none or not all of its files are whole.

        After a power cut there may be a report beside empty files.
        """
        try:
            report = StepReport.from_json(self.lake.read(prefix + REPORT))
        except (NotInLake, ReportError):
            return None
        return None if find_damage(self.lake, prefix, report.files, tables=True) else report

    def libraries(self, imports: frozenset[str]) -> str:
        return locked_releases(imports)

    def leftovers(self, dataset: str, before: datetime) -> Sequence[Leftover]:
        return find_run_folders(Path(self.runs), dataset, before)

    @contextmanager
    def _only_one(self, request: StepRequest) -> Iterator[IO[str]]:
        """Hold the output's locks, and yield the one that the step's process is to inherit."""
        locks = Path(self.runs) / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        name = f"{request.dataset.name}-{request.step}-{request.version}"
        with hold(locks / name), open_lock(locks / f"{name}-step") as step:
            while not try_lock(step):
                _end_orphan(step)
                time.sleep(0.1)
            step.truncate(0)  # whoever finds a number here can rely on it
            yield step

    def _lay_out(self, request: StepRequest) -> Path:
        """Make the folders of `churn_model.steps.contract`, with links into the lake instead of copies. Return their root."""
        root = Path(self.runs) / f"{request.dataset.name}-{request.step}-{request.version}"
        shutil.rmtree(root, ignore_errors=True)
        inputs = root / "processing" / "input"
        config = inputs / "config"
        config.mkdir(parents=True)
        (config / "dataset.json").write_text(restrict_dataset(request.dataset, request.step).to_json(), "utf-8")
        values = {
            **request.parameters,
            "version": request.version,
            "threads": request.threads,
            "inputs": list(request.inputs),
            "contents": dict(request.contents),
        }
        (config / "request.json").write_text(json.dumps(values), "utf-8")
        for name, keys in request.inputs.items():
            self._link(inputs / name, keys)
        result = Path(self.lake.uri(request.output))
        make_folders(result)
        (root / "processing" / "output").mkdir(parents=True)
        (root / "processing" / "output" / "result").symlink_to(result)
        return root

    def _link(self, folder: Path, keys: Sequence[str]) -> None:
        """Link a prefix as a folder, and single keys as files under their whole keys."""
        if len(keys) == 1 and keys[0].endswith("/"):
            folder.symlink_to(self.lake.uri(keys[0]))
            return
        for key in keys:
            link = folder / key
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(self.lake.uri(key))

    def _run_process(self, request: StepRequest, root: Path, lock: IO[str]) -> None:
        log = root / "log.txt"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [self.python, "-m", "churn_model.steps", request.step],
                cwd=root,
                env=self._environment(root, request.threads),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(lock.fileno(),),
                start_new_session=True,  # Ctrl-C reaches this process only, which ends the step in order
            )
            try:
                lock.write(str(process.pid))
                lock.flush()
                code = process.wait()
            finally:
                if process.poll() is None:
                    process.terminate()
                    try:
                        process.wait(_GRACE_SECONDS)
                    except subprocess.TimeoutExpired:
                        process.kill()
                        process.wait()
        _show_log(request, log)
        if code != 0:
            raise (StepKilled if code < 0 else StepFailed)(_explain_failure(request, root, code, log))

    def _environment(self, root: Path, threads: int) -> Mapping[str, str]:
        """Return the few variables that a step needs. No secret of the user's environment reaches the step or its log."""
        kept = {
            name: os.environ[name]
            for name in ("PATH", "HOME", "TMPDIR", "LANG", "OPENBLAS_CORETYPE")
            if name in os.environ
        }
        # Passive waiting: with busy neighbours OpenMP's spinning costs several times the work itself.
        threading = {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
        return (
            kept
            | threading
            | {"CHURN_ROOT": str(root), "PYTHONPATH": self.code, "PYTHONUNBUFFERED": "1", "PYTHONHASHSEED": "0"}
        )


def _show_log(request: StepRequest, log: Path) -> None:
    """Put the end of what a step printed into the log of its run, where the UI shows it. A step that goes well may print nothing."""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _LOG_SHOWN_BYTES))
        text = stream.read().decode("utf-8", errors="replace").strip()
    if text:
        dg.get_dagster_logger().debug(f"Printed by step {request.step} ({log}):\n{text}")


def _end_orphan(lock: IO[str]) -> None:
    """End the step that holds the lock. Its run is gone, since its run's lock was free.

    A run that was killed before it wrote the step's number leaves none: then the end of the step is awaited. A number in the file is that of the
    step's process group, which the system gives to nobody else while any of its processes holds the lock.
    """
    lock.seek(0)
    number = lock.read().strip()
    if number:
        with suppress(ProcessLookupError):
            os.killpg(int(number), signal.SIGKILL)


def _explain_failure(request: StepRequest, root: Path, code: int, log: Path) -> str:
    """Return the step's own message, or else how its process ended and the last lines of its log."""
    failure = root / "output" / "failure"
    message = failure.read_text("utf-8") if failure.exists() else ""
    if code == FAILED_ON_PURPOSE and message:
        return message
    if explanation := explain_os_error_text(message):
        return explanation
    if code < 0:
        message = f"it was killed by signal {-code}" + (
            " (the system does that if memory runs short)" if code == -signal.SIGKILL else ""
        )
    tail = "\n".join(log.read_text("utf-8", errors="replace").splitlines()[-_LOG_TAIL_LINES:])
    return (
        problem(
            expected=f"step {request.step} of {request.dataset.name} to succeed",
            found=f"exit code {code}: {message or _NO_MESSAGE}",
            todo=f"see its log {log}",
        )
        + f"\n{tail}"
    )
