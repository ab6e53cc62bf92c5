"""Which rates are asked for, what is said in the end, and which target follows."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn_assets.load_test.figures import Judged, Outcome, Sample, Step, judge, summarize
from churn_assets.load_test.knee import Found, next_rate, propose_target, reach_verdict
from churn_assets.load_test.run import LoadOptions, LoadTest
from churn_assets.load_test.target import Target, propose
from resources.ports.endpoint import IN_SERVICE, Candidate, Served

Server = Callable[[float], Judged]


def server(capacity: float, *, generator: float = 1e9) -> Server:
    """Return a server that is slow beyond its capacity, asked by a generator that is busy beyond its own."""

    def ask(rate: float) -> Judged:
        waited = 0.01 if rate <= min(capacity, generator) else 1.0
        busy = 0.99 if rate > generator else 0.3
        seen = Sample(waited=[waited] * 100, late=[0.001], errors={}, busy=busy, took=100 / rate)
        return judge(summarize(Step(rate=rate, seconds=100 / rate), [seen]), limit=200)

    return ask


def ramp(ask: Server, *, start: float = 50, most: float = 10_000) -> list[Judged]:
    judged: list[Judged] = []
    while rate := next_rate(judged, start=start, most=most):
        judged.append(ask(rate))
    return judged


def rates(judged: list[Judged]) -> list[float]:
    return [each.figures.step.rate for each in judged]


def test_rates_double_until_one_is_not_held_and_then_three_narrow_the_gap() -> None:
    judged = ramp(server(700))
    assert rates(judged) == [50, 100, 200, 400, 800, 566, 673, 734]
    verdict = reach_verdict(judged, processes=1)
    assert (verdict.found, verdict.knee) == (Found.KNEE, 673)
    assert verdict.text.startswith(
        "It held 673 requests a second, and 734 it did not: the 99th percentile was 1,000 ms"
    )


@given(capacity=st.floats(50, 9_999))
def test_the_knee_is_within_nine_percent_below_the_capacity(capacity: float) -> None:
    knee = reach_verdict(ramp(server(capacity)), processes=1).knee
    assert knee is not None
    assert knee <= capacity <= max(knee * 1.1, knee + 2)


def test_nothing_is_asked_above_the_most_and_the_knee_is_not_made_up() -> None:
    judged = ramp(server(5_000), most=300)
    assert rates(judged) == [50, 100, 200, 300]
    verdict = reach_verdict(judged, processes=1)
    assert (verdict.found, verdict.knee, verdict.is_failure) == (Found.ALL_HELD, None, False)
    assert "raise --most" in verdict.text


def test_where_not_even_the_first_rate_is_held_it_says_so() -> None:
    judged = ramp(server(20))
    assert rates(judged) == [50]
    verdict = reach_verdict(judged, processes=1)
    assert (verdict.found, verdict.is_failure) == (Found.NONE_HELD, True)
    assert "Begin lower with --rate" in verdict.text


def test_the_verdict_is_refused_where_the_generator_was_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    judged = ramp(server(5_000, generator=1_000))
    verdict = reach_verdict(judged, processes=2)
    assert (verdict.found, verdict.knee, verdict.is_failure) == (Found.REFUSED, None, True)
    assert (
        "No verdict: the generator was the limit at 1,037 requests a second: a process of it used 99% of a core"
        in verdict.text
    )
    assert "Give it more --processes than 2 (8 cores here), or ask from another machine" in verdict.text
    assert "The server held 951 a second; whether it holds more, this run cannot say" in verdict.text


def test_a_generator_that_was_the_limit_higher_up_only_does_not_spoil_the_knee() -> None:
    judged = ramp(server(700, generator=750))
    assert [each.outcome for each in judged][4] is Outcome.UNJUDGED
    assert reach_verdict(judged, processes=1).found is Found.KNEE


def test_a_generator_that_was_late_with_processor_to_spare_is_told_to_move() -> None:
    seen = Sample(waited=[1.0] * 100, late=[0.5] * 100, errors={}, busy=0.2, took=1.0)
    judged = judge(summarize(Step(rate=100, seconds=1), [seen]), limit=200)
    text = reach_verdict([judged], processes=1).text
    assert "it handed out requests up to 500 ms late" in text
    assert "Something else needed this machine's processor" in text
    assert "Nothing is known of the server" in text


def test_a_closed_loop_says_what_it_leaves_out_and_finds_no_knee() -> None:
    seen = Sample(waited=[0.01] * 100, late=[0.001], errors={}, busy=0.2, took=1.0)
    verdict = reach_verdict([judge(summarize(Step(users=4, seconds=1), [seen]), limit=200)], processes=1)
    assert (verdict.found, verdict.knee) == (Found.CLOSED_LOOP, None)
    assert "4 users in a closed loop got 100 answers a second" in verdict.text
    busy = Sample(waited=[0.01] * 100, late=[0.001], errors={}, busy=0.95, took=1.0)
    refused = reach_verdict([judge(summarize(Step(users=4, seconds=1), [busy]), limit=200)], processes=1)
    assert refused.found is Found.REFUSED
    assert "The figures are the generator's" in refused.text


@pytest.mark.parametrize(("knee", "instances", "target"), [(673, 1, 20_190), (673, 2, 10_095), (0.01, 1, 1)])
def test_half_of_the_knee_is_left_to_an_instance_by_the_minute(knee: float, instances: int, target: int) -> None:
    assert propose_target(knee, instances=instances) == target


class Endpoints:
    """An endpoint that is found as it is said to be."""

    def __init__(self, *, version: str = "d1", instances: int, candidate: Candidate | None = None) -> None:
        self.served = Served(
            name="churn-shop",
            status=IN_SERVICE,
            version=version,
            model="m1",
            since=0.0,
            candidate=candidate,
            instances=instances,
        )

    def find(self, dataset: str) -> Served:
        return self.served


def finished(before: Served | None, after: Endpoints) -> LoadTest:
    options = LoadOptions(rate=50, most=10_000, seconds=10, p99=200, users=0, processes=1)
    judged = ramp(server(700))
    test = LoadTest(
        dataset="shop",
        target="churn-shop",
        about="customers",
        began="2026-01-01T00:00:00+00:00",
        machine="2 cores",
        options=options,
        steps=tuple(judged),
        verdict=reach_verdict(judged, processes=1),
    )
    return propose(test, Target("churn-shop", {}, before), after)  # type: ignore[arg-type]


def test_a_target_is_proposed_for_instances_that_stayed_as_they_were() -> None:
    two = Endpoints(instances=2)
    proposal = finished(two.served, two).proposal
    assert proposal is not None
    assert (proposal.invocations, proposal.instances) == (10_095, 2)
    assert "`invocations: 10095`" in proposal.text
    alone = finished(None, two).proposal
    assert alone is not None
    assert "if an instance holds as much as this server" in alone.text


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (Endpoints(instances=3), "has scaled, while it was asked"),
        (Endpoints(instances=2, version="d2"), "was changed"),
    ],
)
def test_of_an_endpoint_that_changed_meanwhile_no_target_follows(after: Endpoints, words: str) -> None:
    test = finished(Endpoints(instances=2).served, after)
    assert test.proposal is None
    assert words in test.verdict.text


def test_with_a_candidate_beside_the_champion_no_target_follows() -> None:
    """Each variant has machines of its own, and the deployment that registers a target would take the candidate back."""
    both = Endpoints(instances=2, candidate=Candidate(name="candidate", model="m2", share=0.1))
    test = finished(both.served, both)
    assert test.proposal is None
    assert "a candidate answered beside the champion" in test.verdict.text


def test_a_serverless_endpoint_has_no_target() -> None:
    none = Endpoints(instances=0)
    test = finished(none.served, none)
    assert test.proposal is None
    assert "serverless endpoint has no instances" in test.verdict.text
