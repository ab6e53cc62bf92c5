"""Hostile inputs: names, paths and things that are no files beside a batch, and cells in it. The batch is scored, and nothing of them is run or shown raw."""

import csv
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
from pyarrow import csv as arrow_csv

from tests.harness.home import Home
from tests.harness.homes import Homes, copied, customers_of_month
from tests.harness.machine import UNPRIVILEGED, NotPossible
from tests.reliability.kills import bad_words, differences
from tests.reliability.trial import Kind, Trial

_SCORE = ("score", "shop", "monday")
_ROW = b"customer_id\n1\n"
NAMES = (
    "-rf.csv",
    "$(touch touched).csv",
    "`id`;.csv",
    "line\nbreak.csv",
    "tab\t.csv",
    "\u202efdp.csv",
    "\U0001f600.csv",
    "<img src=x onerror=alert(1)>.csv",
    "%2e%2e%2fup.csv",
    "a" * 240 + ".csv",
    ".hidden.csv",
    "_SUCCESS",
    "churn_probability=0",
    "ledger.json",
    "current.json",
    "con.csv",
    "no ending",
    b"latin-1 \xe9.csv",
)


def _file(path: Path) -> None:
    path.write_bytes(_ROW)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _link_up(path: Path) -> None:
    path.symlink_to(path.parent.parent)


def _link_out(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the address of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path.name)
    finally:
        os.chdir(here)


def _device(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 3))
    except PermissionError as error:
        raise NotPossible("needs the right to make devices") from error


def _deep(path: Path) -> None:
    path.mkdir()
    here = Path.cwd()
    os.chdir(path)
    try:
        for _ in range(300):
            Path("deep").mkdir()
            os.chdir("deep")
        Path("lost.csv").write_bytes(_ROW)
    finally:
        os.chdir(here)


def _closed(path: Path) -> None:
    if os.geteuid() == 0 and not shutil.which(UNPRIVILEGED[0]):
        raise NotPossible(f"needs {UNPRIVILEGED[0]}: nothing is closed to the superuser")
    path.mkdir(0o000)


THINGS: dict[str, Callable[[Path], None]] = {
    "a pipe": _pipe,
    "a link at itself": _loop,
    "a link upwards": _link_up,
    "a link out of the lake": _link_out,
    "a socket": _socket,
    "a device": _device,
    "folders 300 deep": _deep,
    "a closed folder": _closed,
}
CELLS = (
    "=1+1",
    "\uff1d1+1",
    '+cmd|" /C calc"!A0',
    "-2+3",
    "@sum(1)",
    "\t=1",
    "<script>alert(1)</script>",
    "{{7*7}}",
    "'; drop table x; --",
    "\x1b[31mred",
    "\u202eabc",
    "a" * 50_000,
    "+" + " " * 50_000 + "x",
    "%s%n{0}",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def beside(make: Callable[[Path], None], name: str | bytes) -> Callable[[Homes, Path], list[str]]:
    """Return a trial: something is put beside a batch, as a batch of its own, and the batch is scored."""

    def run(homes: Homes, folder: Path) -> list[str]:
        with copied(homes.batch, folder / "copy") as copy:
            home = replace(copy, starts_with=UNPRIVILEGED if os.geteuid() == 0 and make is _closed else ())
            score = home.path / "lake" / "landing" / "shop" / "score"
            make(score / (os.fsdecode(name) if isinstance(name, bytes) else name))
            ended = home.churn(*_SCORE)
            problems = bad_words(ended) if ended.code == 0 else [f"exit code {ended.code}: {ended.said[-1000:]}"]
            if list(home.root.rglob("touched")):
                problems.append("a name was run")
            return problems + differences(_made(home), _made(homes.scored))

    return run


def _made(home: Home) -> dict[str, object]:
    lake: dict[str, object] = home.contents()["lake"]
    return {key: value for key, value in lake.items() if key.startswith("shop/")}


def in_a_cell(cell: str, column: int) -> Callable[[Homes, Path], list[str]]:
    """Return a trial: every customer of a batch has this cell in one column, the first of which is the id, with a number behind it there."""

    def run(homes: Homes, folder: Path) -> list[str]:
        with copied(homes.retrained, folder / "copy") as home:
            rows = customers_of_month()
            values = [f"{cell}{n}" if column == 0 else cell for n in range(rows.num_rows)]
            table = rows.set_column(column, rows.column_names[column], pa.array(values))
            file = folder / "b.csv"
            arrow_csv.write_csv(table, file)
            home.require(0, "land", "shop", str(file), "--batch", "monday")
            problems = bad_words(home.churn(*_SCORE))
            return problems + [text for path in home.path.rglob("list*.csv") for text in _formulas(path)] + _raw(home)

    return run


def _formulas(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        found = [
            cell for row in csv.reader(stream) for cell in row if cell.startswith(_FORMULA) and not _is_number(cell)
        ]
    return [f"{path.name} holds the formula {found[0][:60]!r}"] if found else []


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _raw(home: Home) -> list[str]:
    scripts = ("<script>alert(1)", "<img src=x")
    pages = [path for path in home.path.rglob("*.html") if any(each in path.read_text("utf-8") for each in scripts)]
    return [f"{path.name} shows a script of the data" for path in pages]


def _trials(_: int) -> Iterator[Trial]:
    for what, make in THINGS.items():
        yield Trial(f"{what} beside a batch", beside(make, "strange"))
    for cell in CELLS:
        yield Trial(f"ids {cell[:20]!r}", in_a_cell(cell, 0))
    for name in NAMES:
        yield Trial(f"the name {name[:30]!r}", beside(_file, name))
    for cell in CELLS:
        yield Trial(f"values {cell[:20]!r}", in_a_cell(cell, 2))


HOSTILE = Kind(
    name="hostile",
    what="names, paths and things that are no files beside a batch, and cells in it: the batch is scored, or refused in words; no name or cell is run, "
    "no list holds a formula, no page a script",
    count=len(THINGS) + len(NAMES) + 2 * len(CELLS),
    trials=_trials,
)
