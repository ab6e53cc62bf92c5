"""Steps on little data, in the run's own process: a job takes minutes to start, however small its input.

The folders, the code and the entrypoint are those of a job.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory

from churn_model.errors import problem
from churn_model.reports.step_report import REPORT, StepReport
from resources.aws.code_archive import START, pack_code
from resources.aws.container.start import REFUSED
from resources.aws.job_results import clear
from resources.aws.jobs.logs import TAIL_LINES
from resources.aws.lake import S3Lake
from resources.errors import StepFailed, StepKilled
from resources.ports.lake import MANIFEST

_GRACE_SECONDS = 10


def run_here(
    lake: S3Lake,
    step: str,
    output: str,
    *,
    config: Mapping[str, bytes],
    inputs: Iterable[tuple[str, str]],
    code: Path,
    check: Callable[[], object],
) -> StepReport:
    """Download the inputs, run a step, put its result below `output`, the report last, remove what else is there, and return the report.

    config   files by name
    inputs   pairs of a key and its place below the folder of inputs
    check    raises StepFailed if the inputs have changed meanwhile
    Raise StepFailed.
    """
    with TemporaryDirectory(prefix=f"{step}-") as folder:
        root = Path(folder)
        place = root / "processing" / "input"
        for directory, files in (("config", config), ("code", pack_code(code).files)):
            (place / directory).mkdir(parents=True)
            for name, content in files.items():
                (place / directory / name).write_bytes(content)
        for key, name in inputs:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            with lake.open(key) as source, (place / name).open("wb") as target:
                copyfileobj(source, target, 1 << 20)
        _run(step, root)
        check()
        return _upload(lake, root / "processing" / "output" / "result", output)


def _run(step: str, root: Path) -> None:
    log = root / "log.txt"
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment |= {"CHURN_STEP": step, "CHURN_ROOT": str(root), "TMPDIR": str(root)}
    with log.open("wb") as lines:
        process = subprocess.Popen(
            [sys.executable, str(root / "processing" / "input" / "code" / START)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=lines,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait()
        finally:
            if process.poll() is None:
                process.terminate()  # passed on to the step
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_GRACE_SECONDS)
                process.kill()
    if code != 0:
        raise _failure(step, root, code, log)


def _failure(step: str, root: Path, code: int, log: Path) -> StepFailed:
    words = (root / "output" / "failure").read_text("utf-8") if (root / "output" / "failure").exists() else ""
    if code == REFUSED and words:
        return StepFailed(words)
    tail = "\n".join(log.read_text("utf-8", errors="replace").splitlines()[-TAIL_LINES:])
    found = words or f"exit code {code}"
    text = problem(expected=f"step {step} to succeed", found=found, todo="see the end of its log")
    return (StepKilled if code > 128 else StepFailed)(f"{text}\n{tail}")


def _upload(lake: S3Lake, result: Path, output: str) -> StepReport:
    report = StepReport.from_json((result / REPORT).read_bytes())
    clear(lake, output, (*report.files, REPORT, MANIFEST))
    for name in (*report.files, REPORT):
        lake.put(output + name, result / name)
    return report
