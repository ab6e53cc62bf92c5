"""What a test of a candidate notes and keeps, over days, workers and restarts, and when the guard is heard."""

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from churn_assets.cli.summaries.variant import variant_summary
from churn_assets.model_server import ab_test
from churn_assets.model_server.ab_test import TESTS, AbTest, find_tests
from churn_assets.model_server.options import Candidate
from churn_model.errors import ChurnError
from churn_model.serving.shadow import Shadow
from resources.file_locks import try_lock
from tests.churn_assets.model_server.served import SPEC
from tests.conftest import Workspace

NAME = "candidate"


@dataclass
class Watch:
    """A test of a candidate with half of the customers, at a time that is set."""

    folder: Path
    now: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)
    alerts: list[str] = field(default_factory=list)

    def worker(self, *, withdraw: bool = True) -> AbTest:
        return AbTest(
            self.folder,
            "shop",
            Candidate(NAME, "v2", 0.5, withdraw),
            on_alarm=self.alerts.append,
            now=lambda: self.now,
            look_every=timedelta(0),
        )

    def ask(self, worker: AbTest, customers: int, *, slower: float = 1.0, failing: float = 0.0, seed: int = 1) -> None:
        """Let customers 0 to n ask once, every second of whom is the candidate's."""
        random = np.random.default_rng(seed)
        for number in range(customers):
            is_challenger = number % 2 == 0
            worker.observe(
                number,
                is_challenger=is_challenger,
                failed=is_challenger and random.random() < failing,
                seconds=float(random.lognormal(-4, 0.3)) * (slower if is_challenger else 1.0),
                probability=float(random.random()),
            )

    def next_day(self) -> None:
        self.now += timedelta(days=1)


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    return Watch(tmp_path / "shop-candidate-v2-0.5")


def test_equal_variants_are_silent_for_days(watch: Watch) -> None:
    worker = watch.worker()
    for day in range(4):
        watch.ask(worker, 400, seed=day)
        assert not worker.look()
        watch.next_day()
    assert not worker.look()
    assert not watch.alerts


def test_an_alarm_of_another_worker_that_had_the_lock_until_now_is_not_told_again(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, other, late = watch.worker(), watch.worker(), watch.worker()
    watch.ask(worker, 400, failing=0.5)

    def wait_for_the_other(handle: IO[str]) -> bool:
        monkeypatch.undo()
        assert other.look()
        watch.ask(late, 400, failing=0.5)  # it does not know of the alarm yet
        return try_lock(handle)

    monkeypatch.setattr(ab_test, "try_lock", wait_for_the_other)
    assert not worker.look()
    assert len(watch.alerts) == 1


def test_errors_ring_on_the_same_day_and_once(watch: Watch) -> None:
    worker, other = watch.worker(), watch.worker()
    watch.ask(worker, 400, failing=0.5)
    assert [alarm.figure.name for alarm in worker.look()] == ["errors"]
    assert not other.look()
    assert worker.is_withdrawn
    assert other.is_withdrawn
    assert watch.worker().is_withdrawn, "a restart knows it"
    assert len(watch.alerts) == 1


def test_a_slow_candidate_rings_when_the_day_is_over(watch: Watch) -> None:
    worker = watch.worker()
    watch.ask(worker, 2_000, slower=1.5)
    assert not worker.look()
    watch.next_day()
    assert "slow_0.75" in [alarm.figure.name for alarm in watch.worker().look()]
    assert "are answered slower than three quarters of all (champion " in watch.alerts[0]
    assert "Which model is better is not said by this" in watch.alerts[0]


def test_without_the_setting_an_alarm_withdraws_nothing(watch: Watch) -> None:
    worker = watch.worker(withdraw=False)
    watch.ask(worker, 400, failing=0.5)
    assert worker.look()
    assert not worker.is_withdrawn
    assert "champion's again" not in watch.alerts[0]


def test_a_customer_counts_once_a_day_with_the_first_request_whichever_workers_answer(watch: Watch) -> None:
    for worker in (watch.worker(), watch.worker()):
        for _ in range(300):
            worker.observe(1, is_challenger=True, failed=True, seconds=0.1, probability=float("nan"))
            worker.observe(2, is_challenger=False, failed=False, seconds=0.1, probability=0.5)
    assert not watch.worker().look()


def test_days_that_are_over_keep_counts_and_no_requests(watch: Watch) -> None:
    watch.ask(watch.worker(), 50)
    watch.next_day()
    watch.worker().look()
    assert {path.name for path in watch.folder.iterdir()} == {"2026-03-01.json", "looking", "seen"}
    assert len((watch.folder / "seen").read_bytes()) == 50 * 8


@pytest.mark.parametrize(
    "torn", ["12,1", "12,1,0,0.001000,1.2e", "12,1,0,0.001000,n", "12,1,0,0.001000,0.49", "12,1,0,0.0\n"]
)
def test_a_line_that_a_dying_worker_left_unfinished_is_passed_over(watch: Watch, torn: str) -> None:
    worker = watch.worker()
    (watch.folder / "2026-03-01.csv").write_text(torn)
    assert not worker.look()
    watch.ask(worker, 400, failing=0.5)  # its first line is lost with the torn one
    assert worker.look()


def test_a_file_in_which_nothing_was_noted_yet_is_a_day_without_customers(watch: Watch) -> None:
    worker = watch.worker()
    (watch.folder / "2026-03-01.csv").touch()
    assert not worker.look()


@pytest.mark.parametrize("withdraw", [True, False])
def test_after_an_alarm_nothing_is_noted_and_no_note_is_kept(watch: Watch, withdraw: bool) -> None:
    worker, other = watch.worker(withdraw=withdraw), watch.worker(withdraw=withdraw)
    watch.ask(worker, 400, failing=0.5)
    assert worker.look()
    watch.ask(other, 10)  # it has not looked since
    assert not other.look()
    watch.next_day()
    for each in (worker, other, watch.worker(withdraw=withdraw)):
        watch.ask(each, 10)
        assert not each.look()
    assert {path.name for path in watch.folder.iterdir()} == {"alarm.txt", "looking"}


def test_an_alarm_that_cannot_be_told_withdraws_all_the_same(watch: Watch) -> None:
    def fail(_: str) -> None:
        raise OSError("no way to tell")

    worker = watch.worker()
    worker._on_alarm = fail
    watch.ask(worker, 400, failing=0.5)
    with pytest.raises(OSError, match="no way to tell"):
        worker.look()
    assert watch.worker().is_withdrawn


def test_a_person_withdraws_a_candidate_in_all_workers_and_for_good(watch: Watch) -> None:
    worker = watch.worker(withdraw=False)
    with worker.served():
        watch.ask(worker, 20)
        (test,) = find_tests(watch.folder.parent, "shop")
        test.withdraw()
        assert not worker.look()
        assert worker.is_withdrawn
    assert watch.worker(withdraw=False).is_withdrawn, "a restart knows it"
    assert not watch.alerts
    state = test.read_state()
    assert (state.ended or "").startswith("Withdrawn by hand, ")
    assert not state.is_served
    assert not list(watch.folder.glob("*.csv"))


def test_the_notes_say_how_a_test_goes_with_a_server_and_without_and_reading_changes_nothing(watch: Watch) -> None:
    worker = watch.worker()
    with worker.served():
        watch.ask(worker, 300)
        watch.next_day()
        watch.ask(worker, 100, seed=2)
        before = {path.name: path.read_bytes() for path in watch.folder.iterdir()}
        state = worker.read_state()
    assert {path.name: path.read_bytes() for path in watch.folder.iterdir()} == before
    assert (state.is_served, state.ended, state.about.since) == (True, None, "2026-03-01T12:00:00+00:00")
    assert [sum(day.customers) for day in state.days] == [300, 100]
    assert state.today is not None
    assert len(state.today.failed) == 100
    said = variant_summary("shop", "v1", [state, replace(state, is_served=False, ended="An alarm.")])
    for words in (
        "candidate (model v2) beside the champion (model v1), for 50% of the customers, since 2026-03-01T12:00:00+00:00",
        "A server runs it.",
        "A server ran it; none does now.",
        "Ended: An alarm.",
        "are answered slower than 99% of all: ",
        "it rings at 20.00",
        "`churn variant shop withdraw`",
    ):
        assert words in said
    assert "No candidate of shop was tried." in variant_summary("shop", "v1", [])


def test_what_two_models_decide_in_the_shadow_is_added_up_over_workers_and_restarts(watch: Watch) -> None:
    option = Candidate(NAME, "v2", 0.0, shadow=True)
    for _ in range(2):
        worker = AbTest(watch.folder, "shop", option, on_alarm=watch.alerts.append, now=lambda: watch.now)
        with worker.served():
            worker.observe_shadow(Shadow(both=2, only_champion=1, at_stake=1.5))
            worker.observe_shadow(Shadow(neither=3))
            assert not worker.look()
    state = worker.read_state()
    assert state.shadow == Shadow(both=4, only_champion=2, neither=6, at_stake=3.0)
    said = variant_summary("shop", "v1", [state])
    assert "4 contacted by both, 2 by the champion alone, 0 by the candidate alone, 6 by neither" in said
    assert "$3.00" in said


def test_after_an_alarm_that_withdraws_nothing_a_person_still_can(tmp_path: Path) -> None:
    shop = Workspace(tmp_path)
    shop.write_spec("shop", SPEC)
    watch = Watch(tmp_path / "home" / TESTS / "shop-candidate-v2-0.5")
    worker = watch.worker(withdraw=False)
    with worker.served():
        watch.ask(worker, 400, failing=0.5)
        assert worker.look()
        assert not worker.is_withdrawn
        assert shop.churn("variant", "shop", "status") == 0
        assert "Ended: shop: candidate (model v2) does not answer as the champion does" in shop.output
        assert "`churn variant shop withdraw`" in shop.output
        assert shop.churn("variant", "shop", "withdraw") == 0
        assert "`churn variant shop withdraw`" not in shop.output
        worker.look()
        assert worker.is_withdrawn
    assert shop.churn("variant", "shop", "withdraw") == 2
    assert "Nothing to withdraw" in shop.output


def test_looking_takes_at_most_a_hundredth_of_a_workers_time(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = AbTest(
        watch.folder, "shop", Candidate(NAME, "v2", 0.5), on_alarm=watch.alerts.append, now=lambda: watch.now
    )
    clock = count(step=2.0)  # each look takes two seconds
    monkeypatch.setattr(ab_test, "monotonic", lambda: next(clock))
    watch.ask(worker, 20)
    assert not worker.look()
    watch.ask(worker, 400, failing=0.9)
    watch.now += timedelta(seconds=199)
    assert not worker.look()
    watch.now += timedelta(seconds=1)
    assert worker.look()


def test_a_day_whose_notes_and_counts_are_both_there_is_one_day(watch: Watch) -> None:
    worker = watch.worker()
    watch.ask(worker, 50)
    notes = watch.folder / "2026-03-01.csv"
    before = notes.read_bytes()
    watch.next_day()
    with worker.served():
        worker.look()
        notes.write_bytes(before)  # as while another process counts it, or after one that died in between
        assert [sum(day.customers) for day in worker.read_state().days] == [50]


def test_notes_that_another_process_removes_meanwhile_are_passed_over(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = watch.worker()
    with worker.served():
        watch.ask(worker, 20)
        read = Path.read_bytes

        def remove_first(path: Path) -> bytes:
            if path.suffix == ".csv":
                path.unlink(missing_ok=True)
            return read(path)

        monkeypatch.setattr(Path, "read_bytes", remove_first)
        assert [sum(day.customers) for day in worker.read_state().days] == [0]


def test_a_test_is_served_as_long_as_one_of_its_servers_runs(watch: Watch) -> None:
    """A server that takes another's place begins before that one ends."""
    second, test = ExitStack(), watch.worker()
    with watch.worker().served():
        second.enter_context(watch.worker().served())
    with second:
        assert test.read_state().is_served
    assert not test.read_state().is_served


def test_what_was_decided_in_the_shadow_is_not_lost_where_it_cannot_be_kept_at_once(watch: Watch) -> None:
    worker = AbTest(watch.folder, "shop", Candidate(NAME, "v2", 0.0, shadow=True), on_alarm=watch.alerts.append)
    with worker.served():
        worker.observe_shadow(Shadow(both=2, at_stake=1.5))
        elsewhere = watch.folder.rename(watch.folder.with_name("elsewhere"))
        with pytest.raises(FileNotFoundError):
            worker.keep_shadow()
        elsewhere.rename(watch.folder)
        worker.observe_shadow(Shadow(neither=1))
        worker.keep_shadow()
        assert worker.read_state().shadow == Shadow(both=2, neither=1, at_stake=1.5)


def test_what_a_test_is_that_cannot_be_read_is_said(watch: Watch) -> None:
    with watch.worker().served():
        pass
    (watch.folder / "test.json").write_text("{}")
    with pytest.raises(
        ChurnError, match=r"Expected what a test is in .*test\.json; found RecordError. Remove its folder"
    ):
        find_tests(watch.folder.parent, "shop")
