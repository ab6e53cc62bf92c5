"""Disks that are full, read-only or closed to this user: each command says so, changes nothing, and works once there is room."""

import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from resources.catalog.pointers import read_batch
from tests.harness.disks import fill, mounted
from tests.harness.home import Ended, Home
from tests.harness.machine import NotPossible
from tests.prove.text_batches import Batch, land, predictions, reads_well

pytestmark = pytest.mark.prove

Copied = Callable[[Home], Home]


@contextmanager
def mounted_or_skip(folder: Path, *arguments: str) -> Iterator[None]:
    """A mount for as long as it is used. Skips, and says why, where this user may not mount."""
    with ExitStack() as stack:
        try:
            stack.enter_context(mounted(folder, *arguments))
        except NotPossible as why:
            pytest.skip(f"{why}; the same with a limit on file sizes is tested everywhere")
        yield


@pytest.mark.parametrize("kept", [0, 48 << 10, 400 << 10])
def test_a_full_disk_is_named_and_the_same_command_works_once_there_is_room(
    retrained_home: Home, tmp_path: Path, batch: Batch, clean: dict[str, float], kept: int
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted_or_skip(disk, "-t", "tmpfs", "-o", "size=64m", "tmpfs"):
        home = retrained_home.copy(disk)
        try:
            land(home, "monday", {"a.csv": batch.text()})
            file = tmp_path / "tuesday.csv"
            file.write_bytes(batch.text() * 40)
            taken = fill(disk, kept)
            for arguments in (
                ("score", "shop", "monday"),
                ("retrain", "shop"),
                ("land", "shop", str(file), "--batch", "tuesday"),
            ):
                ended = home_outside(home, tmp_path, *arguments)
                # Unchanged data needs little room: a retrain may find all that it published.
                if not (arguments[0] == "retrain" and ended.code == 0):
                    reads_well(ended, 1)
                    assert re.search(
                        r"Expected to .*; found:? (No space left on device|disk I/O error|database or disk is full)",
                        ended.said,
                    )
                    assert "free some space" in ended.said.lower()
            assert home.lake.list("landing/shop/score/tuesday/") == []
            assert read_batch(home.lake, "shop", "monday") is None or predictions(home, "monday") == clean
            taken.unlink()
            reads_well(home_outside(home, tmp_path, "score", "shop", "monday"), 0)
            assert predictions(home, "monday") == clean
            assert home.problems() == []
        finally:
            home.end_all()


def home_outside(
    home: Home, folder: Path, *arguments: str, before: Callable[[], None] | None = None, prefix: Sequence[str] = ()
) -> Ended:
    """`churn` with what it says kept outside of its working folder, which may be full or read-only."""
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "churn_assets.cli", *arguments],
        # Python keeps compiled code that was cut by a limit on files, and fails to import it ever after.
        env=home.environment | {"PYTHONDONTWRITEBYTECODE": "1"},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=before,  # no thread of ours runs here
    )
    said = done.stdout + done.stderr
    print(said)  # noqa: T201  # shown if the test fails
    return Ended(done.returncode, said)


def test_a_step_that_may_not_write_more_says_so(
    retrained_home: Home, copied: Copied, batch: Batch, clean: dict[str, float], tmp_path: Path
) -> None:
    """The same without a mount: a limit on the size of files, which the steps inherit."""
    home = copied(retrained_home)
    land(home, "monday", {"a.csv": batch.text()})
    limit = 1 << 13

    def only_small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    ended = home_outside(home, tmp_path, "score", "shop", "monday", before=only_small_files)
    reads_well(ended, 1)
    assert re.search(r"Expected to .*; found:? (File too large|disk I/O error|database or disk is full)", ended.said)
    reads_well(home_outside(home, tmp_path, "score", "shop", "monday"), 0)
    assert predictions(home, "monday") == clean


@pytest.mark.parametrize("what", ["lake", "."])
def test_a_read_only_lake_is_named_and_nothing_in_it_is_changed(
    retrained_home: Home, copied: Copied, batch: Batch, clean: dict[str, float], tmp_path: Path, what: str
) -> None:
    home = copied(retrained_home)
    land(home, "monday", {"a.csv": batch.text()})
    file = tmp_path / "tuesday.csv"
    file.write_bytes(batch.text())
    folder = home.path / what
    before = home.contents()["lake"]
    home.describe((home.root / "datasets" / "shop.yaml").read_text().replace("trials: 1", "trials: 2"))  # work to do
    with mounted_or_skip(folder, "--bind", str(folder)):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
        for arguments in (
            ("score", "shop", "monday"),
            ("retrain", "shop"),
            ("explore", "shop"),
            ("land", "shop", str(file), "--batch", "x"),
        ):
            ended = home_outside(home, tmp_path, *arguments)
            reads_well(ended, 1)
            assert re.search(
                r"Expected to .*; found:? (Read-only file system|unable to open database file)", ended.said
            )
            assert re.search(r"(?i)make it writable for this user|check the folder's permissions", ended.said)
        reads_well(home_outside(home, tmp_path, "report", "shop"), 0, "Judged on")
    assert home.contents()["lake"] == before
    reads_well(home_outside(home, tmp_path, "score", "shop", "monday"), 0)
    assert predictions(home, "monday") == clean


def test_a_lake_without_permission_is_named(
    retrained_home: Home, copied: Copied, batch: Batch, clean: dict[str, float], tmp_path: Path
) -> None:
    home = copied(retrained_home)
    land(home, "monday", {"a.csv": batch.text()})
    # Permissions do not hold root back, unless it gives the right up.
    prefix = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    folders = [home.path / "lake", *(path for path in (home.path / "lake").rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    ended = home_outside(home, tmp_path, "score", "shop", "monday", prefix=prefix)
    reads_well(ended, 1, "found Permission denied. Make it writable for this user")
    for folder in folders:
        folder.chmod(0o755)
    reads_well(home_outside(home, tmp_path, "score", "shop", "monday", prefix=prefix), 0)
    assert predictions(home, "monday") == clean
