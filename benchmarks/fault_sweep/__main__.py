"""Every call of the graph to AWS fails once in turn: `python -m benchmarks.fault_sweep`, by hand, about an hour. Writes into aws_faults.md.

A point is a command, a phase of it, an operation, which call of it, and a way in which it fails. Each is tried on an account and a working folder of
its own, forked from the state before the command. Jobs run with the real steps once for each command; in the points a job of the same version is
completed by the files that it left then. At the end everything that is there is compared with what is there without a fault.
"""

import argparse
import datetime
import os
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.fault_sweep.account import Account
from benchmarks.fault_sweep.forks import call_in_fork, call_in_forks
from benchmarks.fault_sweep.graphs import GRAPHS, Command, Graph, make_users_table
from benchmarks.fault_sweep.orders import Order, Part, parts_of
from benchmarks.fault_sweep.points import (
    LATER,
    MODEL,
    RIGHT,
    WORDS,
    WRONG,
    Point,
    Taken,
    advance,
    list_points,
    replaying,
    take,
    try_point,
)
from benchmarks.fault_sweep.state import differences
from benchmarks.machine import machine
from benchmarks.measure import RESULTS
from tests.aws.account import IMAGE_PYTHON
from tests.aws.faults import WAYS
from tests.aws.sagemaker.containers import Containers
from tests.aws.sagemaker.replay import Left, Work
from tests.aws.sagemaker.service import Scripted

_HEAD = "\n## Every call of the graph\n"
_NEXT = "\n## "
_PART = "\n### "
_ABOUT = f"""
Written by `python -m benchmarks.fault_sweep`. The graph of a small table on stand-ins. The first call of each operation of a command fails in every
way. In each further phase the first call that reads is denied; the first that changes something is answered and the answer is lost, or it is denied, or
the worker is killed after it; and so is each further one (of writes without a condition, which may be sent twice: killed). The rest ends in botocore, or
is another point: a kill after a read leaves what a kill after the write before it leaves. What failed, or was killed, is run again.

At the end all is compared with a run without a fault: every object of the bucket, tables and partitions, jobs (each once, completed, none running), the
registry, the files for people, Dagster's runs. A phase is an asset, up to its job, during it and after it; for an asset's phases that asset alone is
run, and that the assets one by one leave what the whole command leaves is checked. A job's work is done by the real steps once; in the points the files
that it left are laid down again. Not compared: what is below `queries/` and `jobs/unload-`, which nobody reads again and which expires.
Nor are crawls and queries counted: a worker that is killed after it has started a crawl starts another, since that one may have passed by what is new.

*{RIGHT}*: the run itself ends right; of *killed after*, the next one. *words*: {WORDS}. *later*: {LATER}: the run ends right with a warning, for the
registry is a mirror, and the next run completes it. *model*: {MODEL}, which costs nothing. *calls*: how many were tried, if more than one.
"""
_MEMORY = "/dev/shm"  # databases are synchronised at every event of a run


@dataclass
class Swept:
    """The outcomes of a graph's points, by command and point."""

    graph: str
    outcomes: list[tuple[str, Point, str]] = field(default_factory=list)


def main() -> int:
    """Try the points, print what is wrong, and write the table if everything was tried."""
    parser = argparse.ArgumentParser("python -m benchmarks.fault_sweep", description=__doc__)
    parser.add_argument("--graph", choices=[graph.name for graph in GRAPHS], help="only this one")
    parser.add_argument("--every", type=int, default=1, help="only every so many points; then nothing is written")
    parser.add_argument("--at-once", type=int, default=2)
    parsed = parser.parse_args()
    counts: Counter[str] = Counter()
    for graph in (each for each in GRAPHS if parsed.graph in (None, each.name)):
        begin = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="sweep-", dir=_MEMORY if Path(_MEMORY).is_dir() else None) as name:
            folder = Path(name)
            swept = call_in_fork(partial(sweep, graph, folder, parsed.every, parsed.at_once))
        lines = render(graph, swept, (time.monotonic() - begin) / 60)
        counts += Counter(outcome for _, _, outcome in swept.outcomes)
        if parsed.every == 1:
            write(graph, lines)
        else:
            print("\n".join(lines))
    print(dict(counts))
    return 1 if counts[WRONG] else 0


def sweep(graph: Graph, root: Path, every: int, at_once: int) -> Swept:
    """Try the points of a graph's commands, one command after the other."""
    folder = root / graph.name
    account = Account(folder / "account", job_options=graph.job_options)
    with account.answering(lambda _s3, _logs: Scripted({})):
        account.set_up(graph.spec, graph.land())
        if graph.has_table:
            make_users_table(account.lake.session)
    call_in_fork(account.open_home)
    swept, left, names = Swept(graph.name), dict[Work, Left](), list[str]()
    for number, command in enumerate(graph.commands):
        if command.spec:
            account.describe(command.spec)
        names.append(f"{command.arguments[0]}{' again' * sum(name.startswith(command.arguments[0]) for name in names)}")
        place = folder / str(number)
        place.mkdir()
        real = _take_really(account, place, command, left)
        known = set[str]()
        for part in parts_of(command.arguments, command.assets, command.alone):
            where = place / f"part-{len(list(place.iterdir()))}"
            where.mkdir()
            clean = call_in_fork(partial(take, account, where / "clean", part.order, replaying(left)))
            points = list(list_points(clean.calls, part.phases, known))[::every]
            print(f"{graph.name}, {names[-1]} {part.order.asset}: {len(points)} points", flush=True)
            outcomes: dict[Point, str] = {}
            for point, (outcome, problems) in _try_all(account, where, part, left, clean, points, at_once):
                outcomes[point] = outcome
                if problems:
                    print(f"{outcome}: {graph.name}, {names[-1]}: {point}", flush=True)
                    print("".join(f"    {line}\n" for line in problems), flush=True)
            swept.outcomes += [(names[-1], point, outcomes[point]) for point in points]
            if part.moves:
                account = advance(account, where / "next", part.order, left)
        if found := differences(real.state, clean.state):
            raise RuntimeError(f"{command.arguments} by its assets leaves something else:\n" + "\n".join(found))
    return swept


def _take_really(account: Account, place: Path, command: Command, left: dict[Work, Left]) -> Taken:
    """Run a command with the real steps. Add to what is known of jobs, and return how it went."""

    def with_steps(s3: object, logs: object) -> Containers:
        machines = place / "machines"
        machines.mkdir()
        return Containers(s3, logs, machines, python=IMAGE_PYTHON)

    order = Order(command.arguments, command.alone)
    real = call_in_fork(partial(take, account, place / "real", order, with_steps, remembers=True))
    if real.codes != [0]:
        raise RuntimeError(f"{command.arguments} fails without a fault: {real.said[-3000:]}")
    left.update(real.left)
    account.modules = real.modules
    account.import_modules()
    return real


def _try_all(
    account: Account,
    place: Path,
    part: Part,
    left: dict[Work, Left],
    clean: Taken,
    points: Sequence[Point],
    at_once: int,
) -> Iterator[tuple[Point, tuple[str, list[str]]]]:
    calls = {
        str(number): partial(try_point, account, place / f"point-{number}", part.order, point, left, clean)
        for number, point in enumerate(points)
    }
    for name, result in call_in_forks(calls.items(), at_once):
        yield points[int(name)], result


def write(graph: Graph, lines: Sequence[str]) -> None:
    """Put the table of a graph into the file of results, in the place of the one before."""
    path = RESULTS / "aws_faults.md"
    before, _, rest = path.read_text("utf-8").partition(_HEAD)
    ours, _, after = rest.partition(_NEXT)
    if not rest:
        before, _, after = before.partition(_NEXT)
    parts = ours.split(_PART)
    tables = {part.partition("\n")[0]: part for part in parts[1:]} | {graph.about: "\n".join(lines)}
    ordered = [_PART + tables[each.about].rstrip("\n") + "\n" for each in GRAPHS if each.about in tables]
    path.write_text(f"{before}{_HEAD}{_ABOUT}{''.join(ordered)}{_NEXT}{after}", "utf-8")


def render(graph: Graph, swept: Swept, minutes: float) -> list[str]:
    """Return the table of a graph."""
    counts = Counter(outcome for _, _, outcome in swept.outcomes)
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    return [
        graph.about,
        "",
        f"{counts.total()} points: {', '.join(f'{count} {outcome}' for outcome, count in counts.most_common())}. "
        f"Run: {date}, {machine()}, load {os.getloadavg()[0]:.0f}, {minutes:.0f} minutes.",
        "",
        *_rows(swept),
    ]


def _rows(swept: Swept) -> Iterator[str]:
    yield f"| command | phase | operation | calls | {' | '.join(WAYS)} |"
    yield f"|---|---|---|---|{'---|' * len(WAYS)}"
    cells: dict[tuple[str, str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    numbers: Counter[tuple[str, str, str]] = Counter()
    for command, point, outcome in swept.outcomes:
        row = (command, point.phase, point.operation)
        cells[row][point.way].append(outcome)
        numbers[row] = max(numbers[row], point.number)
    for (command, phase, operation), ways in cells.items():
        count = numbers[command, phase, operation]
        yield (
            f"| {command} | {phase} | {operation} | {count if count > 1 else ''} | "
            f"{' | '.join(_cell(ways.get(way, [])) for way in WAYS)} |"
        )


def _cell(outcomes: Sequence[str]) -> str:
    short: Mapping[str, str] = {RIGHT: "right", WORDS: "words", LATER: "later", MODEL: "model", WRONG: "WRONG"}
    counts = Counter(short[each] for each in outcomes)
    if len(counts) < 2:
        return next(iter(counts), "-")
    return ", ".join(f"{count} {word}" for word, count in counts.items())


if __name__ == "__main__":
    sys.exit(main())
