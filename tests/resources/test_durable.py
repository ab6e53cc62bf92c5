"""After a power cut, whatever a name shows is on the disk: files before their folders, both before the manifest, and that before the pointer."""

import os
import stat
from pathlib import Path

import pytest

from churn_model.reports.step_report import PublishedFile
from resources.durable import PARTIAL, make_folders, replace_file
from resources.local.lake import LocalLake
from resources.ports.lake import MANIFEST, Manifest


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What reached the disk, in order: names of files and folders below the temporary folder, and of files that were renamed."""
    done: list[str] = []
    sync, replace = os.fsync, Path.replace

    def synced(handle: int) -> None:
        sync(handle)
        status = os.fstat(handle)
        (path,) = (
            each
            for each in (tmp_path, *tmp_path.rglob("*"))
            if (each.lstat().st_ino, each.lstat().st_dev) == (status.st_ino, status.st_dev)
        )
        name = path.relative_to(tmp_path).as_posix()
        name = name.rpartition("/")[0] + "/partial" if PARTIAL in name else name
        done.append(f"folder {name}" if stat.S_ISDIR(status.st_mode) else f"file {name}")

    def replaced(path: Path, target: Path) -> Path:
        done.append(f"name {target.relative_to(tmp_path).as_posix()}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    monkeypatch.setattr("resources.durable._FULL_SYNC", None)
    return done


def test_a_file_is_written_then_named_then_its_folder_is_written(tmp_path: Path, disk: list[str]) -> None:
    replace_file(tmp_path / "a" / "b" / "c.txt", lambda stream: stream.write(b"x"))
    assert disk == ["folder .", "folder a", "file a/b/partial", "name a/b/c.txt", "folder a/b"]
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == b"x"


def test_a_file_that_could_not_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_bytes(b"old")

    def write(_: object) -> None:
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        replace_file(tmp_path / "c.txt", write)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"c.txt": b"old"}


def test_folders_are_entered_above_from_the_top(tmp_path: Path, disk: list[str]) -> None:
    make_folders(tmp_path / "a" / "b")
    make_folders(tmp_path / "a" / "b")
    assert disk == ["folder .", "folder a"]


def test_a_version_is_on_the_disk_before_its_manifest_and_that_before_its_pointer(
    tmp_path: Path, disk: list[str]
) -> None:
    lake = LocalLake(root=str(tmp_path))
    folder = tmp_path / "d" / "v"
    make_folders(folder / "rows")
    for name in ("rows/part.parquet", "report.json"):  # as a step writes them
        (folder / name).write_bytes(b"data")
    disk.clear()
    files = {name: PublishedFile(4, "x") for name in ("rows/part.parquet", "report.json")}
    lake.publish("d/v/", Manifest("v", files))
    lake.swap("d/current.json", None, b"v")
    at = {what: disk.index(what) for what in disk}
    data = ["file d/v/rows/part.parquet", "file d/v/report.json", "folder d/v/rows"]
    manifest, pointer = f"name d/v/{MANIFEST}", "name d/current.json"
    assert max(at[each] for each in data) < at["folder d/v"] < at[manifest] < at[pointer]
    assert at[manifest] < len(disk) - 1 - disk[::-1].index("folder d/v") < at[pointer]
    assert disk[-1] == "folder d"
