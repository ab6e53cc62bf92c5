"""Damage: a file of a working folder is emptied, cut, overwritten or removed. It is made again or said, and never leads to another champion."""

from collections.abc import Callable, Iterator
from pathlib import Path

from tests.harness.home import Home
from tests.harness.homes import Homes, copied
from tests.reliability.kills import bad_words, command_of, differences
from tests.reliability.trial import Kind, Trial

HARMS: dict[str, Callable[[bytes], bytes | None]] = {
    "empty": lambda _: b"",
    "cut": lambda data: data[: len(data) // 2],
    "garbage": lambda data: bytes(each ^ 0x5A for each in data),
    "missing": lambda _: None,
}
# The command that meets the file, and the file.
TARGETS = (
    ("retrain", "lake/shop/champion.json"),
    ("score", "lake/shop/tuned_model/*/model.tar.gz"),
    ("score", "lake/shop/retention_list/ledger.json"),
    ("retrain", "lake/shop/raw_customers/*/rows/part-00000.parquet"),
    ("score", "lake/shop/batches/monday.json"),
    ("retrain", "lake/shop/tuned_model/*/model.tar.gz"),
    ("score", "lake/shop/champion.json"),
    ("score", "lake/shop/raw_batch/monday/*/rows/part-00000.parquet"),
    ("score", "lake/shop/batch_predictions/monday/*/predictions/part-00000.parquet"),
    ("score", "lake/shop/list_layout/monday/*/list.csv"),
    ("score", "lake/shop/retention_list/monday/current.json"),
    ("score", "lake/shop/retention_list/monday/*/_manifest.json"),
    ("retrain", "lake/shop/preprocessed_splits/*/_manifest.json"),
    ("retrain", "lake/shop/evaluation_report/*/report.json"),
    ("retrain", "lake/shop/evaluation_page/*/report.html"),
    ("retrain", "lake/shop/tuned_model/current.json"),
    ("score", "lake/lake.json"),
)
_UNREPAIRED = "lake/lake.json"  # nothing else records the layout's number: the message says how to write it


def try_damage(verb: str, pattern: str, how: str) -> Callable[[Homes, Path], list[str]]:
    """Return a trial: a file is damaged, the command that meets it is run, and what it says is done."""

    def run(homes: Homes, folder: Path) -> list[str]:
        with copied(homes.scored, folder / "copy") as home:
            (path,) = home.path.glob(pattern)
            whole = path.read_bytes()
            data = HARMS[how](whole)
            path.unlink() if data is None else path.write_bytes(data)
            ended = home.churn(*command_of(verb))
            problems = bad_words(ended)
            if ended.code == 1:
                if pattern == _UNREPAIRED:
                    path.write_bytes(whole)
                problems += _repair(home, verb)
            problems += home.problems()
            return problems + differences(home.contents(), homes.scored.contents())

    return run


def _repair(home: Home, verb: str) -> list[str]:
    """Do what messages say: verify and repair, make again what retrain makes, then the command."""
    problems = bad_words(home.churn("verify", "shop", "--repair"))
    for command in (("retrain", "shop"), command_of(verb)):
        ended = home.churn(*command)
        problems += bad_words(ended)
        if ended.code:
            problems.append(f"churn {command[0]} after the repair: {ended.said[-1000:]}")
    return problems


def _trials(_: int) -> Iterator[Trial]:
    for how in HARMS:
        for verb, pattern in TARGETS:
            yield Trial(f"{verb}: {pattern} {how}", try_damage(verb, pattern, how))


DAMAGE = Kind(
    name="damage",
    what="a file is emptied, cut, overwritten or removed: it is made again or said in words, and the folder ends as it was",
    count=len(TARGETS) * len(HARMS),
    trials=_trials,
)
