"""File systems of a trial's own: small ones to fill, and one in a file whose power can be cut. Both need the right to mount."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.machine import NotPossible

_PATIENCE_SECONDS = 300  # until the disk is quiet for as long as its image is copied


@contextmanager
def mounted(folder: Path, *arguments: str) -> Iterator[None]:
    """Mount something on a folder for as long as it is used. Raise NotPossible if this user may not."""
    folder.mkdir(exist_ok=True)
    _run("mount", *arguments, str(folder))
    try:
        yield
    finally:
        _run("umount", "--lazy", str(folder))


def fill(folder: Path, but: int) -> Path:
    """Take all space of a file system but so many bytes, and return the file that takes it."""
    status = os.statvfs(folder)
    file = folder / "fill"
    file.write_bytes(b"0" * max(0, status.f_bavail * status.f_frsize - but))
    return file


class Disk:
    """An ext4 file system in a file, mounted on `folder/mounted`."""

    def __init__(self, folder: Path, megabytes: int = 256) -> None:
        self.path = folder / "mounted"
        self.path.mkdir()
        self._image = folder / "disk.img"
        with self._image.open("wb") as image:
            image.truncate(megabytes << 20)
        _run("mkfs.ext4", "-q", str(self._image))
        self._attach()

    def flush(self) -> None:
        """Bring everything written so far to the disk."""
        _run("sync", "--file-system", str(self.path))

    def copy(self) -> Path:
        """Copy the image as it is, without what the system still holds in memory, at a moment in which nothing reaches it."""
        copy = self._image.with_name("copy.img")
        end = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < end:
            before = self._written()
            _run("cp", "--sparse=always", str(self._image), str(copy))
            if self._written() == before:
                return copy
        raise RuntimeError("the disk was never quiet")

    def cut(self, copy: Path) -> None:
        """Go on with a copy of the image: its journal is replayed as after a power cut. Nothing may use the disk any more."""
        self.detach()
        copy.replace(self._image)
        self._attach()

    def detach(self) -> None:
        """Unmount the disk."""
        _run("umount", "--lazy", str(self.path))
        _run("losetup", "--detach", self._device)

    def _attach(self) -> None:
        self._device = _run("losetup", "--find", "--show", str(self._image)).strip()
        _run("mount", self._device, str(self.path))

    def _written(self) -> tuple[str, ...]:
        """Return what the system counts of the device: sectors written, and requests on their way."""
        counts = Path(f"/sys/block/{Path(self._device).name}/stat").read_text().split()
        return counts[6], counts[8]


def _run(*command: str) -> str:
    if shutil.which(command[0]) is None:
        raise NotPossible(f"needs {command[0]}")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotPossible(f"{command[0]}: {done.stderr.strip()}")
    return done.stdout
