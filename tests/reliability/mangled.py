"""Mangled inputs: files of every format, changed anywhere. Each is read or refused in words; no record is lost, nothing crashes, hangs or swells."""

import gzip
import io
import json
import random
import select
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from openpyxl import Workbook
from pyarrow import csv

from resources.specs.loader import load_spec
from tests.harness.homes import Homes, training_rows
from tests.reliability.trial import Kind, Trial

_SECONDS = 60  # for one file of a hundred rows, on a busy machine too
_ROWS = 100
_PIECES = (
    b"\x00",
    b"\xff",
    b'"',
    b",",
    b"\n",
    b"\r",
    b"\xef\xbb\xbf",
    b"=",
    b"9" * 400,
    b" " * 5_000,
    b"{",
    b"[" * 300,
    b"\\",
    b"\xed\xa0\x80",
)
ENDINGS = ("csv", "csv.gz", "parquet", "jsonl", "xlsx")


@cache
def whole(ending: str) -> bytes:
    """Return a whole file of a format, with the same rows as the others."""
    rows = training_rows(200).slice(0, _ROWS)
    sink = io.BytesIO()
    if ending == "parquet":
        pq.write_table(rows, sink)
    elif ending == "jsonl":
        return "".join(json.dumps(row, default=str) + "\n" for row in rows.to_pylist()).encode()
    elif ending == "xlsx":
        _write_workbook(rows, sink)
    else:
        csv.write_csv(rows, sink)
    return gzip.compress(sink.getvalue(), mtime=0) if ending == "csv.gz" else sink.getvalue()


def _write_workbook(rows: pa.Table, sink: io.BytesIO) -> None:
    book = Workbook()
    sheet = book.active
    sheet.append(rows.column_names)
    for row in rows.to_pylist():
        sheet.append(list(row.values()))
    book.save(sink)


def mangle(ending: str, chance: random.Random) -> bytes:
    """Return a file of a format that was changed in one to three places; in half of the packed ones what is packed is changed."""
    data = whole(ending)
    if ending == "csv.gz" and chance.random() < 0.5:
        return gzip.compress(_change(gzip.decompress(data), chance), mtime=0)
    if ending == "xlsx" and chance.random() < 0.5:
        return _repack(data, chance)
    return _change(data, chance)


def _repack(data: bytes, chance: random.Random) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as new:
        names = old.namelist()
        changed = chance.choice([name for name in names if name.endswith(".xml")])
        for name in names:
            new.writestr(name, _change(old.read(name), chance) if name == changed else old.read(name))
    return sink.getvalue()


def _change(data: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.randint(1, 3)):
        at, length = chance.randrange(len(data) + 1), chance.choice((1, 4, 40, 2_000))
        piece = data[at : at + length]
        how = chance.randrange(6)
        if how == 0:
            data = data[:at] + bytes(each ^ (1 << chance.randrange(8)) for each in piece) + data[at + len(piece) :]
        elif how == 1:
            data = data[:at]
        elif how == 2:
            data = data[:at] + piece * 2 + data[at + len(piece) :]
        elif how == 3:
            data = data[:at] + data[at + len(piece) :]
        elif how == 4:
            data = data[:at] + chance.choice(_PIECES) + data[at:]
        else:
            data = data[:at] + chance.randbytes(length) + data[at + length :]
    return data


_WORKER = """
import json, sys, resource, tempfile
from pathlib import Path
from churn_model.errors import ChurnError
from churn_model.ingest.canonical_rows import ingest
from churn_model.ingest.formats.base import LandedFile
from churn_model.spec.dataset import Dataset
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
dataset = Dataset.from_json(Path(sys.argv[1]).read_text())
for line in sys.stdin:
    path = Path(line.strip())
    try:
        with tempfile.TemporaryDirectory() as out:
            made = ingest([LandedFile(path.name, path)], dataset, Path(out) / "out", expected=None)
        answer = "" if made.records == made.rows + made.quarantined else f"lost records: {made}"
    except ChurnError as error:
        answer = "" if "xpected" in str(error) else f"no words: {error}"
    except BaseException as error:
        answer = f"{type(error).__name__}: {str(error)[:500]}"
    print(json.dumps(answer), flush=True)
"""


class Reader:
    """A process that ingests one file after the other. It is started again if it dies or hangs."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def problem(self, homes: Homes, file: Path) -> str:
        """Return what is wrong with how a file was taken; nothing if it was read or refused in words."""
        process = self._process = self._process or self._start(homes)
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("no pipes")
        process.stdin.write(f"{file}\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], _SECONDS)
        answer = process.stdout.readline() if ready else ""
        if answer:
            return str(json.loads(answer))
        self.end()
        return f"ended by {process.returncode}" if ready else f"no answer within {_SECONDS} s"

    def end(self) -> None:
        """End the process."""
        if self._process:
            self._process.kill()
            with self._process:  # closes its pipes
                self._process.wait()
            self._process = None

    def _start(self, homes: Homes) -> "subprocess.Popen[str]":
        home = homes.landed
        dataset = load_spec(next((home.root / "datasets").glob("shop.yaml")))
        described = Path(tempfile.mkdtemp()) / "dataset.json"
        described.write_text(dataset.to_json())
        return subprocess.Popen(
            [sys.executable, "-c", _WORKER, str(described)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=homes.code,
        )


_READER = Reader()


def try_mangled(number: int) -> Callable[[Homes, Path], list[str]]:
    """Return a trial: the input of this number, the same one every time."""

    def run(homes: Homes, folder: Path) -> list[str]:
        ending = ENDINGS[number % len(ENDINGS)]
        file = folder / f"customers.{ending}"
        file.write_bytes(mangle(ending, random.Random(number)))
        problem = _READER.problem(homes, file)
        return [problem] if problem else []

    return run


def _trials(count: int) -> Iterator[Trial]:
    for number in range(count):
        yield Trial(f"{ENDINGS[number % len(ENDINGS)]} {number}", try_mangled(number))
    _READER.end()


MANGLED = Kind(
    name="mangled",
    what="CSV, gzip, Parquet, JSON Lines and Excel files changed in one to three places: each is read with every record counted, or refused in words",
    count=2000,
    trials=_trials,
)
