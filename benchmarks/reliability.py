"""`python -m benchmarks.reliability [--only KIND ...] [--minutes N] [--continue]`: harm of every kind, and what survived it, as one table.

A whole soak takes hours. It writes benchmarks/results/reliability.json and reliability.md. `--continue` runs it in parts: of each kind, first what did
not survive the last time, then the trials that were not tried yet, and adds them to what is written.
"""

import argparse
import datetime
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.measure import RESULTS
from churn_model.records import from_plain
from resources.settings import PROJECT
from tests.harness.homes import Homes
from tests.harness.machine import NotPossible
from tests.reliability.damage import DAMAGE
from tests.reliability.full_disks import FULL_DISKS
from tests.reliability.hostile import HOSTILE
from tests.reliability.kills import KILLS
from tests.reliability.mangled import MANGLED
from tests.reliability.power_cuts import POWER_CUTS
from tests.reliability.trial import Kind, Trial

KINDS: Sequence[Kind] = (KILLS, POWER_CUTS, FULL_DISKS, DAMAGE, MANGLED, HOSTILE)


@dataclass
class Part:
    """A run of the soak: how many trials of a kind it tried, when, how long, of which commit."""

    date: str
    commit: str
    tried: int
    seconds: float


@dataclass
class Failure:
    """A trial that did not survive."""

    harms: int
    problems: list[str]


@dataclass
class Tally:
    """What became of the trials of one kind."""

    kind: str
    what: str
    asked: int = 0  # trials of a whole soak
    tried: int = 0
    next: int = 0  # the number of the first trial that was not reached
    not_possible: dict[str, str] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)

    @property
    def survived(self) -> int:
        return self.tried - sum(each.harms for each in self.failures.values())


def main() -> int:
    """Run the trials, print and write the table. Return 1 if anything did not survive."""
    names = [kind.name for kind in KINDS]
    parser = argparse.ArgumentParser("python -m benchmarks.reliability", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="KIND", help=", ".join(names))
    parser.add_argument("--minutes", type=float, help="begin no trial of a kind after so many minutes of it")
    parser.add_argument("--continue", dest="goes_on", action="store_true", help="go on with what is written")
    kept = "prepare working folders there, and use those that an earlier part with the same code left"
    parser.add_argument("--homes", type=Path, metavar="FOLDER", help=kept)
    parsed = parser.parse_args()
    known = _read()
    folder = Path(tempfile.mkdtemp(prefix="reliability-"))
    try:
        homes = Homes(parsed.homes.resolve() if parsed.homes else folder / "homes")
        tallies = [
            try_kind(kind, homes, folder, known.get(kind.name) if parsed.goes_on else None, parsed.minutes)
            for kind in KINDS
            if kind.name in parsed.only
        ]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(table(tallies))
    _write({**known, **{tally.kind: tally for tally in tallies}})
    return 1 if any(tally.failures for tally in tallies) else 0


def try_kind(kind: Kind, homes: Homes, folder: Path, known: Tally | None = None, minutes: float | None = None) -> Tally:
    """Run the trials of one kind, each in a folder of its own; after `known` ones, those that did not survive and those that follow."""
    tally = known or Tally(kind.name, kind.what)
    tally.what, tally.asked = kind.what, kind.count
    again, first, tried = set(tally.failures), tally.next, 0
    started = time.monotonic()
    for number, trial in enumerate(kind.trials(kind.count)):
        name = f"{number}: {trial.name}"
        if name not in again and name not in tally.not_possible and number < first:
            continue
        if minutes is not None and time.monotonic() - started > minutes * 60:
            break
        tally.next = max(tally.next, number + 1)
        tally.not_possible.pop(name, None)
        try:
            problems = _try(trial, homes, folder / f"{kind.name}-{number}")
        except NotPossible as reason:
            tally.not_possible[name] = str(reason)
            continue
        tally.tried += 0 if name in again else trial.harms
        tried += trial.harms
        tally.failures.pop(name, None)
        if problems:
            tally.failures[name] = Failure(trial.harms, problems)
        print(f"{kind.name} {name} of {kind.count}: {problems or 'survived'}", file=sys.stderr, flush=True)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    if tried:
        tally.parts.append(Part(today, _commit(), tried, round(time.monotonic() - started, 1)))
    return tally


def _try(trial: Trial, homes: Homes, place: Path) -> list[str]:
    place.mkdir()
    try:
        with redirect_stdout(io.StringIO()):  # what the commands say; failures repeat it
            return trial.run(homes, place)
    except NotPossible:
        raise
    except Exception:
        return [traceback.format_exc()]
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _commit() -> str:
    done = subprocess.run(
        ["git", "-C", str(PROJECT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def table(tallies: Sequence[Tally]) -> str:
    """Return the table, and below it what did not survive and what could not be tried."""
    lines = [
        "| kind | of a whole soak | tried | survived | what is done, and what has to hold |",
        "|---|---:|---:|---:|---|",
    ]
    lines += [
        f"| {each.kind} | {each.asked:,} | {each.tried:,} | {each.survived:,} | {each.what} |" for each in tallies
    ]
    for tally in tallies:
        lines += [
            f"\n- not survived, {tally.kind} {name}: {'; '.join(each.problems)}"
            for name, each in tally.failures.items()
        ]
        lines += [f"\n- not tried, {tally.kind} {name}: {reason}" for name, reason in tally.not_possible.items()]
    return "\n".join(lines) + "\n"


def _read() -> dict[str, Tally]:
    """Return what is written, by kind."""
    path = RESULTS / "reliability.json"
    found = json.loads(path.read_text("utf-8"))["kinds"] if path.exists() else []
    return {each["kind"]: from_plain(Tally, each) for each in found}


def _write(tallies: Mapping[str, Tally]) -> None:
    """Write the results."""
    found = [tallies[kind.name] for kind in KINDS if kind.name in tallies]
    machine = (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}"
    )
    runs = "\n".join(
        f"| {each.kind} | {part.date} | {part.commit} | {part.tried:,} | {part.seconds:,.0f} |"
        for each in found
        for part in each.parts
    )
    head = f"# Reliability\n\n`make soak` (`python -m benchmarks.reliability`) runs all of it; here in parts, by `--continue`. {machine}.\n\n"
    rows = f"## Runs\n\n| kind | date | commit | tried | seconds |\n|---|---|---|---:|---:|\n{runs}\n"
    (RESULTS / "reliability.md").write_text(f"{head}{table(found)}\n{rows}", "utf-8")
    content = {"machine": machine, "kinds": [asdict(tally) for tally in found]}
    (RESULTS / "reliability.json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
