"""A step's figures, what makes it one that was not held, and when the generator itself was the limit."""

from collections.abc import Iterator, Mapping

import pytest

from churn_assets.load_test.figures import Outcome, Sample, Step, judge, summarize

LIMIT = 200.0


def sample(
    waited: list[float], *, late: float = 0.001, errors: Mapping[str, int] | None = None, busy: float = 0.1
) -> Sample:
    return Sample(waited=waited, late=[late] * 100, errors=errors or {}, busy=busy, took=1.0)


def stalled(
    rate: float, seconds: float, *, begins: float, lasts: float, answer: float
) -> Iterator[tuple[float, float]]:
    """Yield of each request when it was due and when it was answered, by a server that answers one at a time and does nothing for a while."""
    free = 0.0
    for number in range(round(rate * seconds)):
        due = number / rate
        start = max(due, free)
        if begins <= start < begins + lasts:
            start = begins + lasts
        free = start + answer
        yield due, free


def test_a_stall_is_seen_by_everybody_who_came_meanwhile() -> None:
    """Counted from when they were sent, one request in a thousand would have waited for the server's second."""
    waited = [answered - due for due, answered in stalled(100, 10, begins=5, lasts=1, answer=0.002)]
    found = summarize(Step(rate=100, seconds=10), [sample(waited)])
    assert found.requests == 1000
    assert found.p50 == pytest.approx(2)
    assert found.p90 > 100
    assert found.p99 > 850
    assert found.longest == pytest.approx(1002)
    assert judge(found, limit=LIMIT).exceeded == ("the 99th percentile was 930 ms, more than 200",)


def test_processes_are_counted_together_and_each_has_its_own_processor_time() -> None:
    step = Step(rate=8, seconds=1)
    seen = [sample([0.001, 0.002], busy=0.2), sample([0.003, 0.004], busy=0.9, errors={"status 503": 1})]
    found = summarize(step, seen)
    assert (found.requests, found.reached) == (4, 3)
    assert [found.p50, found.p99] == pytest.approx([3, 4])
    assert found.busy == (0.2, 0.9)
    assert found.errors == {"status 503": 1}


def test_percentiles_are_values_that_were_seen() -> None:
    found = summarize(Step(rate=10, seconds=1), [sample([*[0.001] * 9, 0.5])])
    assert [found.p50, found.p90, found.p99] == pytest.approx([1, 500, 500])


@pytest.mark.parametrize(
    ("errors", "outcome"), [(0, Outcome.HELD), (1, Outcome.HELD), (2, Outcome.NOT_HELD)], ids=["none", "one", "two"]
)
def test_one_request_in_a_thousand_may_fail(errors: int, outcome: Outcome) -> None:
    found = summarize(Step(rate=1000, seconds=1), [sample([0.001] * 1000, errors={"status 503": errors})])
    judged = judge(found, limit=LIMIT)
    assert judged.outcome is outcome
    if outcome is Outcome.NOT_HELD:
        assert judged.exceeded == ("0.2% of requests failed",)


@pytest.mark.parametrize(
    ("late", "busy", "words"),
    [
        (0.03, 0.3, "it handed out requests up to 30 ms late (99th percentile)"),
        (0.001, 0.85, "a process of it used 85% of a core"),
    ],
)
def test_a_step_that_is_not_held_while_the_generator_was_the_limit_is_unjudged(
    late: float, busy: float, words: str
) -> None:
    step = Step(rate=100, seconds=1)
    slow = judge(summarize(step, [sample([0.3] * 100, late=late, busy=busy)]), limit=LIMIT)
    assert (slow.outcome, slow.generator) == (Outcome.UNJUDGED, (words,))
    quick = judge(summarize(step, [sample([0.1] * 100, late=late, busy=busy)]), limit=LIMIT)
    assert quick.outcome is Outcome.HELD  # all that was asked was reached, however hard it was


def test_in_a_closed_loop_a_busy_generator_has_set_the_pace() -> None:
    step = Step(users=4, seconds=1)
    assert judge(summarize(step, [sample([0.1] * 100, busy=0.9)]), limit=LIMIT).outcome is Outcome.UNJUDGED
    assert judge(summarize(step, [sample([0.1] * 100)]), limit=LIMIT).outcome is Outcome.HELD


def test_a_step_without_any_request_has_figures() -> None:
    found = summarize(Step(users=1, seconds=1), [Sample(waited=[], late=[], errors={}, busy=0.0, took=0.0)])
    assert (found.requests, found.p99, found.reached) == (0, 0.0, 0.0)
