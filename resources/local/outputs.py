"""Outputs as files below a folder."""

import shutil
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from churn_model.errors import problem
from resources.durable import replace_file
from resources.errors import LakeError
from resources.local.folders import translate_os_errors
from resources.ports.outputs import SERVED_BELOW, Outputs


class LocalOutputs(Outputs):
    """A folder on one machine."""

    folder: str
    served: bool = False  # by `churn ui`, beside the UI

    def replace(self, key: str, content: BinaryIO) -> None:
        path = self._path(key)
        with translate_os_errors(f"write {path}"):
            replace_file(path, lambda target: shutil.copyfileobj(content, target))

    def holds(self, key: str) -> bool:
        return self._path(key).is_file()

    def uri(self, key: str) -> str:
        return str(self._path(key))

    def link(self, key: str) -> str | None:
        return SERVED_BELOW + key if self.served else None

    def _path(self, key: str) -> Path:
        parts = PurePosixPath(key).parts
        if key.startswith("/") or ".." in parts:
            raise LakeError(
                problem(expected="a key inside the folder", found=repr(key), todo="use names without .. or a leading /")
            )
        return Path(self.folder, *parts)
