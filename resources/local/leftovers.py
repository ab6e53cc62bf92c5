"""What processes that died left on this machine: files that were being written, and the working folders of steps."""

import os
import shutil
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

from resources.durable import PARTIAL
from resources.file_locks import is_held
from resources.local.folders import to_time
from resources.ports.leftovers import Leftover


def find_partial_files(folder: Path, before: datetime) -> list[Leftover]:
    """Return the files below a folder that were never finished and have not changed since `before`, in the order of their names."""
    found = []
    for root, _, names in os.walk(folder):  # follows no links
        for path in (Path(root, name) for name in names if name.startswith(PARTIAL)):
            size, changed = _measure([path])
            if changed < before:
                found.append(Leftover(str(path), size, partial(path.unlink, missing_ok=True)))
    return sorted(found, key=lambda each: each.name)


def find_run_folders(runs: Path, dataset: str, before: datetime) -> list[Leftover]:
    """Return the working folders of a dataset's steps that no process works in and that have not changed since `before`."""
    found = []
    for folder in sorted(runs.glob(f"{dataset}-*-*")):
        size, changed = _measure(_files(folder))
        # The lock is the step's own, held as long as it lives.
        if changed < before and not is_held(runs / "locks" / f"{folder.name}-step"):
            found.append(Leftover(str(folder), size, partial(shutil.rmtree, folder, ignore_errors=True)))
    return found


def _files(folder: Path) -> Iterator[Path]:
    yield folder
    for root, folders, names in os.walk(folder):
        yield from (Path(root, name) for name in (*folders, *names))


def _measure(paths: list[Path] | Iterator[Path]) -> tuple[int, datetime]:
    """Return the size of files and when the last of them changed; what vanished meanwhile counts for nothing."""
    size, changed = 0, 0.0
    for path in paths:
        try:
            state = path.lstat()
        except FileNotFoundError:
            continue
        size += state.st_size
        changed = max(changed, state.st_mtime)
    return size, to_time(changed)
