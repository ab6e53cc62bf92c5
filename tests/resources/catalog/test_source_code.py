"""What is kept of a module beside its compiled code: it is used, and never in place of what the module says."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from resources.catalog.digests import digest_of
from resources.catalog.source_code import SourceCode, trace_source

STEP = "churn_model.steps.score"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of which everything was read once."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    steps = tmp_path / "first" / "churn_model" / "steps"
    steps.mkdir(parents=True)
    (steps / "score.py").write_text("import numpy\nfrom churn_model import deep\n")
    (tmp_path / "first" / "churn_model" / "deep.py").write_text("value = 1\n")
    trace_source((STEP,), tmp_path / "first")
    return tmp_path / "first"


def read_again(project: Path) -> SourceCode:
    """Read a copy of the project, with what was kept of it: nothing of a copy is in this process's memory."""
    copy = project.with_name(f"{len(list(project.parent.iterdir()))}")
    shutil.copytree(project, copy)
    return trace_source((STEP,), copy)


def kept(project: Path) -> Path:
    (found,) = (project / "churn_model" / "__pycache__").glob("deep*.source.json")
    return found


def forge(path: Path, digest: str) -> None:
    key, _, imports = json.loads(path.read_text().partition("\n")[2])
    text = json.dumps([key, digest, imports])
    path.write_text(f"{digest_of(text.encode())}\n{text}")


def test_what_was_read_of_a_module_is_found_again(project: Path) -> None:
    before = trace_source((STEP,), project)
    assert read_again(project) == before
    forge(kept(project), "f" * 16)
    assert read_again(project).digest != before.digest  # so it was not parsed


def test_another_source_is_read_whatever_its_time_and_size(project: Path) -> None:
    before = trace_source((STEP,), project)
    deep = project / "churn_model" / "deep.py"
    status = deep.stat()
    deep.write_text("value = 2\n")
    os.utime(deep, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert read_again(project).digest != before.digest


@pytest.mark.parametrize("damage", [b"", b"\xff", b"{}", b"0123456789abcdef\n[]", None])
def test_what_is_damaged_is_read_again(project: Path, damage: bytes | None) -> None:
    before = trace_source((STEP,), project)
    path = kept(project)
    path.write_bytes(path.read_bytes().replace(b'"', b"'", 1) if damage is None else damage)
    assert read_again(project) == before


def test_a_project_that_cannot_be_written_is_read(project: Path) -> None:
    before = trace_source((STEP,), project)
    for folder in list(project.rglob("__pycache__")):
        shutil.rmtree(folder)
        folder.write_text("no folder")
    assert read_again(project) == before
