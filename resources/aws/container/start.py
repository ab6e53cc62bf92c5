"""The entrypoint of a job: unpack the code, lay the folders as steps expect them, run the step, and report why it failed.

CHURN_STEP   the step's name
CHURN_ROOT   SageMaker's folder, /opt/ml

Exit code 2 is a step that refused its input on purpose; its words are in `output/failure`, which training jobs show, and cut in
`output/message`, which processing jobs show. Words about any other end begin with `exit code` or `signal`.
"""

import json
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType
from typing import Any

ARCHIVE = "code.tar.gz"
RECEIPT = "_job.json"
REFUSED = 2
_LOOK_SECONDS = 1.0
_MESSAGE_BYTES = 1_000  # SageMaker shows 1,024 characters, and fails a job whose message is no UTF-8
_KEPT = ("PATH", "HOME", "TMPDIR", "LANG", "LD_LIBRARY_PATH", "OPENBLAS_CORETYPE")


def main() -> int:
    """Run the step that the environment names. Return the exit code of the job."""
    root, step = Path(os.environ.get("CHURN_ROOT", "/opt/ml")), os.environ["CHURN_STEP"]
    try:
        request = lay_folders(root)
        if refusal := check_image(str(request.get("xgboost", ""))):
            _explain(root, REFUSED, refusal)
            return REFUSED
        code = run_step(root, step, unpack_code(), threads=int(request["threads"]))
        if code == 0:
            _write_receipt(root, step, request["version"])
            return 0
    except Exception as error:  # whatever it is, SageMaker is to show it
        _explain(root, 1, f"{type(error).__name__}: {error}")
        return 1
    _explain(root, code, _read(root / "output" / "failure"))
    return code if code > 0 else 128 - code


def run_trial() -> None:
    """Run a job that has no entrypoint: the image's own imports this module and calls this function.

    It takes every SystemExit for success, so the process ends here.
    """
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def lay_folders(root: Path) -> dict[str, Any]:
    """Make the result's folder, in a training job that of the model, and return the step's request with the threads of this machine."""
    result = root / "processing" / "output" / "result"
    channels = root / "input" / "data"
    if (channels / "config").is_dir():
        model = root / "model"
        model.mkdir(parents=True, exist_ok=True)
        result.parent.mkdir(parents=True, exist_ok=True)
        if not result.is_symlink():
            result.symlink_to(model)
        config = channels / "config" / "request.json"
    else:
        result.mkdir(parents=True, exist_ok=True)
        config = root / "processing" / "input" / "config" / "request.json"
    request: dict[str, Any] = json.loads(config.read_text("utf-8"))
    if not request["threads"]:
        request["threads"] = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        config.write_text(json.dumps(request), "utf-8")
    return request


def check_image(expected: str) -> str:
    """Return why the image cannot be used, "" if it can: another XGBoost may read models otherwise, and computes others."""
    found = ""
    for name in ("xgboost", "xgboost-cpu"):
        with suppress(PackageNotFoundError):
            found = version(name)
    if not expected or found == expected:
        return ""
    return f"Expected an image with XGBoost {expected}; found {found or 'none'}. Set CHURN_IMAGE to one that has it, or leave it out."


def unpack_code() -> Path:
    """Unpack the archive beside this file into a folder of its own."""
    code = Path(tempfile.mkdtemp(prefix="code-"))
    with tarfile.open(Path(__file__).resolve().parent / ARCHIVE) as archive:
        archive.extractall(code, filter="data")
    return code


def run_step(root: Path, step: str, code: Path, *, threads: int) -> int:
    """Run a step as a process, pass SIGTERM on to it, and return its exit code; a negative one is the signal that ended it."""
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | {
        "CHURN_ROOT": str(root),
        "PYTHONPATH": str(code),
        "PYTHONUNBUFFERED": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    command = [sys.executable, "-m", "churn_model.steps", step]
    process: subprocess.Popen[bytes] | None = None
    is_told = False

    def pass_on(number: int, _frame: FrameType | None) -> None:
        nonlocal is_told
        is_told = True
        if process:
            process.send_signal(number)

    signal.signal(signal.SIGTERM, pass_on)
    process = subprocess.Popen(command, cwd=root, env=environment, stdin=subprocess.DEVNULL)
    if is_told:  # before there was a process
        process.send_signal(signal.SIGTERM)
    while True:
        # Without a limit, a signal that comes just before the call is handled only once the step has ended.
        with suppress(subprocess.TimeoutExpired):
            return process.wait(_LOOK_SECONDS)


def _write_receipt(root: Path, step: str, version: object) -> None:
    """Leave in the result whose it is. The report names the files that are published, and not this one."""
    receipt = {"step": step, "version": version}
    (root / "processing" / "output" / "result" / RECEIPT).write_text(json.dumps(receipt), "utf-8")


def _explain(root: Path, code: int, words: str) -> None:
    """Write why the job failed where SageMaker looks for it."""
    if code < 0:
        killed = " (the system does that if memory runs short)" if -code == signal.SIGKILL else ""
        words = f"signal {-code}: the step was killed by signal {-code}{killed}"
    elif code != REFUSED or not words:
        words = f"exit code {code}: {words or 'no message; see the end of the log'}"
    folder = root / "output"
    with suppress(OSError):  # a full disk takes no message either
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "failure").write_text(words, "utf-8")
        (folder / "message").write_bytes(cut_message(words))


def cut_message(words: str) -> bytes:
    """Return the beginning of a text as whole characters of UTF-8, at most 1,000 bytes."""
    data = words.encode("utf-8", errors="replace")
    if len(data) <= _MESSAGE_BYTES:
        return data
    mark = "…".encode()
    return data[: _MESSAGE_BYTES - len(mark)].decode("utf-8", errors="ignore").encode() + mark


def _read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text("utf-8", errors="replace")
    return ""


if __name__ == "__main__":
    sys.exit(main())
