"""What travels to a job, and what runs there before the step."""

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from resources.aws.code_archive import TRAVELS, pack_code
from resources.aws.container.start import ARCHIVE, cut_message
from resources.catalog.source_code import locked_releases
from resources.settings import PROJECT


def test_the_archive_holds_the_models_code_and_the_libraries_that_travel_with_their_licences() -> None:
    code = pack_code(PROJECT)
    assert len(code.files[ARCHIVE]) < 2_000_000
    with tarfile.open(fileobj=io.BytesIO(code.files[ARCHIVE])) as archive:
        names = archive.getnames()
    for module in ("churn_model/steps/train.py", "optuna/__init__.py", "colorlog/__init__.py", "tqdm/__init__.py"):
        assert module in names
    for library in TRAVELS:
        assert any("LICEN" in name and name.startswith(library.replace("-", "_")) for name in names)
    assert not [name for name in names if "__pycache__" in name or name.startswith(("/", ".."))]


def test_the_same_code_gives_the_same_bytes_and_other_code_another_digest(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for project in (first, second):
        (project / "churn_model").mkdir(parents=True)
        (project / "churn_model" / "a.py").write_text("A = 1\n")
    (second / "churn_model" / "__pycache__").mkdir()
    (second / "churn_model" / "__pycache__" / "a.pyc").write_bytes(b"compiled")
    assert pack_code(first) == pack_code(second)
    (tmp_path / "third" / "churn_model").mkdir(parents=True)
    (tmp_path / "third" / "churn_model" / "a.py").write_text("A = 2\n")
    assert pack_code(tmp_path / "third").digest != pack_code(first).digest


def test_what_travels_is_of_the_releases_that_the_images_lock_names() -> None:
    for module in ("optuna", "colorlog", "tqdm", "openpyxl", "chardet"):
        pin = next(line for line in locked_releases(frozenset({module})).splitlines() if line.startswith(module))
        assert pin in locked_releases(frozenset({module}), lock="requirements-image.lock").splitlines()


@pytest.mark.parametrize("words", ["short", "é" * 3000, "a" + "é" * 3000, "𝄞" * 300, "a" * 1000, "\udc80x"])
def test_a_message_is_cut_at_whole_characters(words: str) -> None:
    """SageMaker fails a job whose message is no UTF-8."""
    cut = cut_message(words)
    assert len(cut) <= 1000
    assert cut.decode("utf-8")[:5] == words.encode(errors="replace").decode()[:5]


def start(root: Path, code: str) -> subprocess.Popen[bytes]:
    """Start the entrypoint in a folder laid as SageMaker lays it, with a package whose step is `code`."""
    from resources.aws.container import start as module

    config, folder = root / "processing" / "input" / "config", root / "processing" / "input" / "code"
    config.mkdir(parents=True)
    folder.mkdir()
    (config / "request.json").write_text(json.dumps({"threads": 0, "version": "v1"}))
    (folder / "start.py").write_bytes(Path(module.__file__).read_bytes())
    with tarfile.open(folder / ARCHIVE, "w:gz") as archive:
        for name, text in {
            "churn_model/__init__.py": "",
            "churn_model/steps/__init__.py": "",
            "churn_model/steps/__main__.py": code,
        }.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    environment = {"CHURN_STEP": "x", "CHURN_ROOT": str(root), "PATH": "/usr/bin:/bin", "AWS_SECRET_ACCESS_KEY": "s"}
    return subprocess.Popen([sys.executable, str(folder / "start.py")], env=environment)


def test_the_step_is_given_the_threads_of_its_machine_and_none_of_its_secrets(tmp_path: Path) -> None:
    code = """
import json, os, pathlib
root = pathlib.Path(os.environ["CHURN_ROOT"])
threads = json.loads((root / "processing/input/config/request.json").read_text())["threads"]
assert threads >= 1 and os.environ["OMP_NUM_THREADS"] == str(threads), threads
assert "AWS_SECRET_ACCESS_KEY" not in os.environ
"""
    assert start(tmp_path, code).wait() == 0
    receipt = json.loads((tmp_path / "processing" / "output" / "result" / "_job.json").read_text())
    assert receipt == {"step": "x", "version": "v1"}


def test_training_toolkit_125_a_stopped_jobs_step_hears_of_it_and_ends_in_order(tmp_path: Path) -> None:
    """aws/sagemaker-training-toolkit 125: SIGTERM of a stopped job was not passed on to the training script."""
    code = """
import os, pathlib, signal, sys, time
root = pathlib.Path(os.environ["CHURN_ROOT"])
def end(*_):
    (root / "ended").touch(); sys.exit(7)
signal.signal(signal.SIGTERM, end)
(root / "ready").touch()
while True: time.sleep(0.01)
"""
    process = start(tmp_path, code)
    while not (tmp_path / "ready").exists():
        assert process.poll() is None
    process.terminate()
    assert process.wait() == 7
    assert (tmp_path / "ended").exists()


def test_what_breaks_before_the_step_is_told_too(tmp_path: Path) -> None:
    assert start(tmp_path, "\0").wait() == 1
    message = (tmp_path / "output" / "message").read_text()
    assert message == (tmp_path / "output" / "failure").read_text()
    assert message.startswith("exit code 1: ")
