"""How often the guard of an A/B test rings: for two equal variants over 30 days, and for a challenger that is worse, within its first day.

    python -m benchmarks.ab_guard

Traffic is made up: some customers come more often than others, their requests take longer, some fail every fifth time; days differ in speed.
"""

import argparse
import datetime
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.machine import machine
from churn_model.evaluation.variant_guard import Answers, Day, count_day, find_alarms

RESULTS = Path(__file__).parent / "results" / "ab_guard.md"
DAYS = 30
SHARES = (0.5, 0.1)
LOOKS = 4
"""A day. `churn serve` looks every few seconds, which finds errors a little sooner."""
POPULATION = 10_000
DAILY = 1_000
TRAFFIC = (2_000, 5_000, 10_000, 20_000)
WANTED = 0.95


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is wrong with a challenger: time as a factor, errors as a share added, scores moved by standard deviations (log odds)."""

    slower: float = 1.0
    errors: float = 0.0
    shift: float = 0.0


FAULTS: Mapping[str, Fault] = {
    "20% slower": Fault(slower=1.2),
    "1% more errors": Fault(errors=0.01),
    "scores up by 0.25 sd": Fault(shift=0.25),
    "scores down by 0.5 sd": Fault(shift=-0.5),
}


@dataclass(kw_only=True)
class Traffic:
    """A service with `customers` of its own, each with a speed, a score and a chance of an error; `share` of them are the challenger's."""

    customers: int
    share: float
    random: np.random.Generator
    seen: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        n, random = self.customers, self.random
        self.seen = np.zeros(n, dtype=bool)
        self.is_challenger = random.random(n) < self.share
        self.slowness = random.normal(0, 0.2, n)
        self.log_odds = random.normal(-1.5, 1.0, n)
        self.fails = np.where(random.random(n) < 0.01, 0.2, 0.001)
        self.visits = random.lognormal(0, 1, n)

    def day(self, requests: int, fault: Fault | None = None) -> Day:
        """Return the counts of a day on which so many customers ask, when it is over."""
        return count_day(self.answers(requests, fault))

    def answers(self, requests: int, fault: Fault | None = None) -> Answers:
        """Return a day on which so many customers ask, in the order in which they do."""
        random, fault = self.random, fault or Fault()
        # Exponential clocks: who comes often comes first. As many different customers as a weighted draw without replacement.
        who = np.argpartition(random.exponential(size=self.customers) / self.visits, requests - 1)[:requests]
        random.shuffle(who)
        is_challenger, is_new = self.is_challenger[who], ~self.seen[who]
        self.seen[who] = True
        pace = random.normal(0, 0.3) + self.slowness[who] + random.normal(0, 0.45, requests)
        failed = random.random(requests) < self.fails[who] + np.where(is_challenger, fault.errors, 0.0)
        odds = self.log_odds[who] + np.where(is_challenger, fault.shift, 0.0)
        return Answers(
            is_challenger=is_challenger,
            is_new=is_new,
            failed=failed,
            seconds=0.01 * np.exp(pace) * np.where(is_challenger, fault.slower, 1.0),
            score=np.where(failed, np.nan, 1 / (1 + np.exp(-odds))),
        )


def rings_on(traffic: Traffic, requests: int, days: int, fault: Fault | None = None) -> int | None:
    """Return the day (from 1) on which the guard rings first, None if it does not. It looks `LOOKS` times a day, the last time when it is over."""
    counted: list[Day] = []
    for number in range(1, days + 1):
        answers = traffic.answers(requests, fault)
        for look in range(1, LOOKS):
            running = count_day(first_of(answers, look * requests // LOOKS), errors_alone=True)
            if find_alarms([*counted, running], traffic.share):
                return number
        counted.append(count_day(answers))
        if find_alarms(counted, traffic.share):
            return number
    return None


def first_of(answers: Answers, count: int) -> Answers:
    """Return the first of a day's answers."""
    return Answers(**{name: column[:count] for name, column in vars(answers).items()})


def false_alarms(share: float, runs: int, *, seed: int, days: int = DAYS, customers: int = POPULATION) -> int:
    """Return in how many of `runs` tests of two equal variants the guard rings."""
    random = np.random.default_rng(seed)
    rung = 0
    for _ in range(runs):
        traffic = Traffic(customers=customers, share=share, random=random)
        rung += rings_on(traffic, customers // (POPULATION // DAILY), days) is not None
    return rung


def caught(fault: Fault, share: float, requests: int, runs: int, *, seed: int) -> float:
    """Return the share of tests in which a challenger is caught after its first day, with so many customers on it."""
    random = np.random.default_rng(seed)
    found = 0
    for _ in range(runs):
        traffic = Traffic(customers=requests, share=share, random=random)
        found += rings_on(traffic, requests, 1, fault) is not None
    return found / runs


def markdown(
    alarms: Mapping[float, int], runs: int, power: Mapping[tuple[str, float, int], float], power_runs: int
) -> str:
    """Return the results as tables."""
    lines = ["# The guard of an A/B test", "", f"`{_command()}`: {_today()}, {machine()}.", ""]
    lines += [
        f"Two equal variants, {DAYS} days, {DAILY:,} of {POPULATION:,} customers a day, looked at {LOOKS} times a day (at most 5% may ring):",
        "",
        "| the challenger's share | tests | rung |",
        "|---|---|---|",
        *(f"| {share:.0%} | {runs:,} | {rung} ({rung / runs:.1%}) |" for share, rung in alarms.items()),
        "",
        f"A worse challenger, caught on its first day (**bold**: in at least {WANTED:.0%}), by the customers of that day; {power_runs} tests each:",
        "",
        "| | share | " + " | ".join(f"{n:,}" for n in TRAFFIC) + " |",
        "|---|---|" + "---|" * len(TRAFFIC),
    ]
    for name in FAULTS:
        for share in SHARES:
            cells = [power[name, share, n] for n in TRAFFIC]
            shown = " | ".join(f"**{cell:.1%}**" if cell >= WANTED else f"{cell:.1%}" for cell in cells)
            lines.append(f"| {name} | {share:.0%} | {shown} |")
    lines += [
        "",
        "The champion fails in 0.3% of requests; the logarithm of its time has a standard deviation of 0.5 (0.2 of it between customers).",
    ]
    return "\n".join(lines) + "\n"


def _command() -> str:
    return " ".join(["python -m benchmarks.ab_guard", *sys.argv[1:]])


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def main() -> None:
    """Simulate, print and keep the results."""
    parser = argparse.ArgumentParser("python -m benchmarks.ab_guard", description="How often the guard rings.")
    parser.add_argument("--runs", type=int, default=1_000, help="of equal variants, at each share")
    parser.add_argument("--power-runs", type=int, default=400, help="of each fault, at each share and traffic")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parsed = parser.parse_args()
    alarms = {share: false_alarms(share, parsed.runs, seed=8) for share in SHARES}
    power = {
        (name, share, n): caught(fault, share, n, parsed.power_runs, seed=9)
        for name, fault in FAULTS.items()
        for share in SHARES
        for n in TRAFFIC
    }
    text = markdown(alarms, parsed.runs, power, parsed.power_runs)
    print(text)
    parsed.out.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
