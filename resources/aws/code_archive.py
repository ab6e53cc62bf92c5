"""The code that travels to jobs: one archive under its digest, the same bytes for the same code wherever it is packed.

It holds `churn_model` and the pure-Python libraries that the managed image lacks. Nothing is installed in a job, which has no network.
"""

import functools
import gzip
import io
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from churn_model.errors import problem
from resources.aws.container.start import ARCHIVE
from resources.catalog.digests import digest_of, digest_of_parts
from resources.errors import StepFailed
from resources.ports.lake import Lake

TRAVELS = ("optuna", "colorlog", "tqdm", "openpyxl", "et-xmlfile", "chardet")
"""Distributions that run as pure Python: the search, the reader of landed workbooks, the detection of encodings."""
START = "start.py"
_LIMIT = 2_000_000
# Parts of them that no step imports: plots, dashboards, command lines, storage in databases.
_LEFT_OUT = ("optuna/visualization/", "optuna/storages/_rdb/alembic/", "tqdm/contrib/", "openpyxl/chart/tests/")
_uploaded: set[str] = set()  # addresses of the code that this process has seen in a lake


@dataclass(frozen=True)
class Code:
    """The files of the code, by name: the archive and the entrypoint. `digest` is that of their content before it is compressed."""

    digest: str
    files: Mapping[str, bytes]


@functools.cache
def pack_code(project: Path) -> Code:
    """Pack the code. Raise StepFailed if the archive is larger than 2 MB."""
    modules = dict(sorted({**dict(_own(project)), **dict(_libraries())}.items()))
    archive, start = _archive(modules), (Path(__file__).parent / "container" / START).read_bytes()
    if len(archive) > _LIMIT:
        raise StepFailed(
            problem(
                expected=f"an archive of code of at most {_LIMIT:,} bytes",
                found=f"{len(archive):,}",
                todo="remove data from churn_model/, or libraries from what travels",
            )
        )
    digest = digest_of_parts(f"{name}={digest_of(content)}" for name, content in {**modules, START: start}.items())
    return Code(digest, {ARCHIVE: archive, START: start})


def upload_code(lake: Lake, project: Path) -> str:
    """Put the code into the lake if it is not there, and return its prefix, which ends with `/`."""
    code = pack_code(project)
    prefix = f"code/{code.digest}/"
    if lake.uri(prefix) not in _uploaded:
        there = {entry.key for entry in lake.list(prefix)}
        for name, content in code.files.items():
            if prefix + name not in there:
                lake.put(prefix + name, content)
        _uploaded.add(lake.uri(prefix))
    return prefix


def _own(project: Path) -> Iterator[tuple[str, bytes]]:
    for path in (project / "churn_model").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(project).as_posix(), path.read_bytes()


@functools.cache
def _libraries() -> tuple[tuple[str, bytes], ...]:
    """Return the modules of the libraries that travel, with their licences."""
    found = []
    for name in TRAVELS:
        for file in distribution(name).files or ():
            path = file.as_posix()
            is_module = path.endswith((".py", ".bin")) and not path.startswith(_LEFT_OUT) and "/tests/" not in path
            if path.startswith("../") or not (is_module or "LICEN" in file.name.upper()):
                continue
            found.append((path, Path(str(file.locate())).read_bytes()))
    return tuple(found)


def _archive(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as stream,
        tarfile.open(mode="w", fileobj=stream, format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()
