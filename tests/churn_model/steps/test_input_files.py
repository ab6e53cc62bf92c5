"""What a version was computed from is what its step reads, whatever happens to the files meanwhile."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from churn_model.errors import ChurnError, InputError
from churn_model.steps.contract import Layout
from churn_model.steps.input_files import unchanged_files

FILES = {"a.csv": b"id\n1\n", "b.csv": b"id\n2\n"}


@pytest.fixture
def landed(tmp_path: Path) -> Path:
    folder = tmp_path / "landed"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def layout(tmp_path: Path, landed: Path) -> Layout:
    root = tmp_path / "step"
    inputs = root / "processing" / "input"
    (inputs / "config").mkdir(parents=True)
    (inputs / "landed").mkdir()
    for name in FILES:
        (inputs / "landed" / name).symlink_to(landed / name)
    contents = {
        name: f"{len(data)}:{hashlib.blake2b(data, digest_size=16).hexdigest()}" for name, data in FILES.items()
    }
    request = {"inputs": ["landed", "bundle"], "contents": contents}
    (inputs / "config" / "request.json").write_text(json.dumps(request))
    return Layout(root)


def replace(path: Path, content: bytes) -> None:
    other = path.with_name("other")
    other.write_bytes(content)
    other.replace(path)


def overwrite_and_restore(path: Path) -> None:
    before, content = path.stat(), path.read_bytes()
    path.write_bytes(b"id\n3\n")
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def move_away_and_back(path: Path) -> None:
    path.rename(path.with_name("away"))
    replace(path, b"id\n3\n")
    path.unlink()
    path.with_name("away").rename(path)


CHANGED, GONE = "that it was changed or replaced", "that it was moved or removed"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        pytest.param(lambda path: replace(path, b"id\n3\n"), CHANGED, id="replaced by other rows"),
        pytest.param(lambda path: replace(path, FILES["b.csv"]), CHANGED, id="replaced by the same rows"),
        pytest.param(lambda path: path.write_bytes(b"id\n2\n4\n"), CHANGED, id="grown"),
        pytest.param(lambda path: path.write_bytes(b"id"), CHANGED, id="cut"),
        pytest.param(overwrite_and_restore, CHANGED, id="another content, and the old one with its time again"),
        pytest.param(move_away_and_back, CHANGED, id="moved away, another in its place, and moved back"),
        pytest.param(Path.unlink, GONE, id="removed"),
    ],
)
@pytest.mark.parametrize("fails", [False, True], ids=["read", "and not readable"])
def test_a_file_that_changes_while_it_is_read_fails_the_step(
    layout: Layout, landed: Path, change: Callable[[Path], object], found: str, fails: bool
) -> None:
    def read() -> None:
        with unchanged_files(layout, "landed"):
            change(landed / "b.csv")
            if fails:
                raise InputError("Expected rows; found none.")

    with pytest.raises(
        InputError, match=f"^Expected b.csv to stay as it is while it is read; found {found}. Run the job"
    ):
        read()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        pytest.param(lambda path: replace(path, b"id\n3\n"), CHANGED, id="replaced"),
        pytest.param(lambda path: path.write_bytes(b"id\n2\n4\n"), CHANGED, id="grown"),
        pytest.param(Path.unlink, GONE, id="removed"),
    ],
)
def test_a_file_that_changed_before_the_step_began_fails_it(
    layout: Layout, landed: Path, change: Callable[[Path], object], found: str
) -> None:
    change(landed / "b.csv")
    with (
        pytest.raises(InputError, match=f"^Expected b.csv to stay as it is while it is read; found {found}"),
        unchanged_files(layout, "landed"),
    ):
        pass


def test_files_that_stay_as_they_are_are_read(layout: Layout, landed: Path) -> None:
    with unchanged_files(layout, "landed") as files:
        assert [(name, path.read_bytes()) for name, path in files] == list(FILES.items())
    with pytest.raises(InputError, match="no rows"), unchanged_files(layout, "landed"):
        raise InputError("no rows")


def test_an_input_that_was_given_and_is_gone_is_not_one_that_was_not_given(layout: Layout, landed: Path) -> None:
    """A batch whose champion is away for a moment would be read as training data."""
    bundle = layout.root / "processing" / "input" / "bundle"
    bundle.symlink_to(landed.parent / "model")
    with pytest.raises(InputError, match="Expected the input bundle of this step; found that it was moved or removed"):
        layout.input("bundle")
    (landed.parent / "model").mkdir()
    assert layout.input("bundle") == bundle
    assert layout.input("splits") is None
    with pytest.raises(ChurnError, match="Expected an input named splits"):
        layout.required("splits")
    shutil.rmtree(layout.root)
    with pytest.raises(ChurnError, match=r"Expected the configuration of a step below .*; found none"):
        layout.input("splits")
