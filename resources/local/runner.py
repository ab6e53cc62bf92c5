"""Steps as processes on this machine.

The life of a step: its output prefix is locked; if its report is there it has ended well and nothing is started; otherwise what a dead run
left is cleared, the container's folders are laid out, and the step is started as a process that inherits the lock. So the lock lives exactly
as long as the work: a run that is killed cannot leave a second process writing beside the next one.
"""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from churn_model.steps.contract import FAILED_ON_PURPOSE, REPORT
from resources.catalog.source_code import locked_releases
from resources.catalog.versions import restrict_dataset
from resources.errors import StepFailed
from resources.local.lake import LocalLake
from resources.local.processes import is_gone, named
from resources.ports.runner import Runner, StepReport, StepRequest
from resources.settings import PROJECT

_GRACE_SECONDS = 10  # what a step has to end in after it was asked to
_LOG_TAIL_LINES = 15
_NO_WORDS = "no message (a full disk takes none)"


class LocalRunner(Runner):
    """Runs `python -m churn_model.steps.<step>` with the lake's folders as its inputs and output."""

    lake: LocalLake
    runs: str  # folder of the runs' layouts and logs
    python: str
    code: str = str(PROJECT)  # the folder that holds `churn_model`

    def run(self, request: StepRequest) -> StepReport:
        with self._only_one(request) as lock:
            report = Path(self.lake.uri(request.output)) / REPORT
            if not report.exists():
                self.lake.remove(request.output)
                root = self._laid_out(request)
                self._run_process(request, root, lock)
            return StepReport.from_json(report.read_bytes())

    def libraries(self, imports: frozenset[str]) -> str:
        return locked_releases(imports)

    @contextmanager
    def _only_one(self, request: StepRequest) -> Iterator[IO[str]]:
        """Hold the output's lock. A process whose run was killed still holds it: that one is ended, and its work is done again."""
        locks = Path(self.runs) / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        with (locks / f"{request.dataset.name}-{request.step}-{request.version}").open("a+") as lock:
            while not _taken(lock):
                _end_orphan(lock)
                time.sleep(0.1)
            yield lock

    def _laid_out(self, request: StepRequest) -> Path:
        """Make the folders of `churn_model.steps.contract`, with links into the lake in place of copies."""
        root = Path(self.runs) / f"{request.dataset.name}-{request.step}-{request.version}"
        shutil.rmtree(root, ignore_errors=True)
        inputs = root / "processing" / "input"
        config = inputs / "config"
        config.mkdir(parents=True)
        (config / "dataset.json").write_text(restrict_dataset(request.dataset, request.step).to_json(), "utf-8")
        (config / "request.json").write_text(
            json.dumps({"version": request.version, "threads": request.threads}), "utf-8"
        )
        for name, keys in request.inputs.items():
            self._link(inputs / name, keys)
        result = Path(self.lake.uri(request.output))
        result.mkdir(parents=True, exist_ok=True)
        (root / "processing" / "output").mkdir(parents=True)
        (root / "processing" / "output" / "result").symlink_to(result)
        return root

    def _link(self, folder: Path, keys: Sequence[str]) -> None:
        """A prefix becomes a link to its folder; single keys become links under their whole keys."""
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
                [self.python, "-m", f"churn_model.steps.{request.step}"],
                cwd=root,
                env=self._environment(root, request.threads),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(lock.fileno(),),
                start_new_session=True,  # Ctrl-C reaches us, and we end the step in order
            )
            try:
                _write_owner(lock, process.pid)
                code = process.wait()
            finally:
                if process.poll() is None:
                    process.terminate()
                    try:
                        process.wait(_GRACE_SECONDS)
                    except subprocess.TimeoutExpired:
                        process.kill()
                        process.wait()
        if code != 0:
            raise StepFailed(_explained(request, root, code, log))

    def _environment(self, root: Path, threads: int) -> Mapping[str, str]:
        """No more than a step needs: nothing of the user's environment, so no secret, reaches it or its log."""
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


def _taken(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_owner(lock: IO[str], step: int) -> None:
    lock.seek(0)
    lock.truncate()
    lock.write(f"{named(os.getpid())} {named(step)}")
    lock.flush()


def _end_orphan(lock: IO[str]) -> None:
    """End the step that holds the lock, if the run that started it is gone.

    A run killed before it wrote its step's name leaves an old line or none: then the step is not known, and its end is awaited.
    """
    lock.seek(0)
    owner = lock.read().split()
    if len(owner) != 2:
        return
    run, step = owner
    if is_gone(run) and not is_gone(step):
        with suppress(ProcessLookupError):
            os.kill(int(step.partition("-")[0]), signal.SIGKILL)


def _explained(request: StepRequest, root: Path, code: int, log: Path) -> str:
    """The step's own words; where it left none, what its end says and the last lines of its log."""
    failure = root / "output" / "failure"
    words = failure.read_text("utf-8") if failure.exists() else ""
    if code == FAILED_ON_PURPOSE and words:
        return words
    if code < 0:
        words = f"it was killed by signal {-code}" + (
            " (on a machine short of memory the system does that)" if code == -9 else ""
        )
    tail = "\n".join(log.read_text("utf-8", errors="replace").splitlines()[-_LOG_TAIL_LINES:])
    return f"expected step {request.step} of {request.dataset.name} to end well; found exit code {code}: {words or _NO_WORDS}; its log is {log}\n{tail}"
