"""Links at the versions that the tables show: `<root>/<dataset>/<kind>/<batch>/<version>` points at a folder of Parquet files.

One pattern finds all that a table shows, however many batches it has, and a version that was taken away is no longer found. A folder beside the
batches, which no batch can be named like, holds an empty file with every column that the table has had.
"""

import os
import shutil
from collections.abc import Collection
from pathlib import Path
from urllib.parse import quote

from resources.durable import PARTIAL, make_folders, sync_folder

_COLUMNS = "@columns"


class VersionLinks:
    """The links of one kind of table of a dataset."""

    def __init__(self, root: Path, dataset: str, kind: str) -> None:
        self.folder = root / quote(dataset, safe="") / quote(kind, safe="")
        self.pattern = f"{self.folder}/*/*/*.parquet"
        self.columns = self.folder / _COLUMNS / _COLUMNS / "columns.parquet"

    def add(self, batch: str, version: str, target: Path) -> None:
        """Link a version of a batch, durably. Repeating a call changes nothing."""
        link = self.folder / batch / version
        place = os.path.relpath(target, link.parent)  # a working folder that is moved takes both along
        if link.is_symlink() and str(link.readlink()) == place:
            return
        make_folders(link.parent)
        partial = link.with_name(f"{PARTIAL}{os.getpid()}")
        partial.unlink(missing_ok=True)
        partial.symlink_to(place)
        if not link.is_symlink():
            _remove(link)
        partial.replace(link)
        sync_folder(link.parent)

    def keep(self, batch: str, versions: Collection[str]) -> None:
        """Remove the links of a batch at other versions than these. Readers that began meanwhile may still read the one before the last."""
        for link in (self.folder / batch).iterdir():
            if link.name not in versions:
                _remove(link)


def _remove(link: Path) -> None:
    """Remove a link, or the folder that a copy of the working folder has in its place if links were followed."""
    if link.is_dir() and not link.is_symlink():
        shutil.rmtree(link)
    else:
        link.unlink(missing_ok=True)
