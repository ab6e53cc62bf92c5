import threading
from dataclasses import replace

import pytest

from resources.catalog.decisions import Decision, list_champions, list_decisions, record_decision
from resources.errors import LakeError
from resources.local.lake import LocalLake

FIRST = Decision("v1", "e1", "first", "it is good", "2026-01-01T00:00:00+00:00", {"auc": 0.8, "f1": None})


def test_a_dataset_has_no_history_at_first(lake: LocalLake) -> None:
    assert list_decisions(lake, "telco") == list_champions(lake, "telco") == []


def test_decisions_are_listed_in_the_order_in_which_they_were_made_whatever_the_clock_said(lake: LocalLake) -> None:
    outcomes = ["first", "kept", "refused", "promoted", *["kept"] * 6, "rolled_back", "kept"]
    made = [
        replace(FIRST, version=f"v{number}", outcome=outcome, decided_at=f"{2040 - number}-01-01T00:00:00+00:00")
        for number, outcome in enumerate(outcomes)
    ]
    for decision in made:
        record_decision(lake, "telco", decision)
    assert list_decisions(lake, "telco") == made
    assert [decision.version for decision in list_champions(lake, "telco")] == ["v0", "v3", "v10"]
    assert list_decisions(lake, "other") == []


def test_a_repeated_decision_is_recorded_once_and_an_earlier_one_that_comes_back_again(lake: LocalLake) -> None:
    again = replace(FIRST, decided_at="2026-02-02T00:00:00+00:00")
    other = replace(FIRST, version="v2", outcome="promoted")
    for decision in (FIRST, again, other, again):
        record_decision(lake, "telco", decision)
    assert list_decisions(lake, "telco") == [FIRST, other, again]


def test_of_several_runs_that_decide_at_once_each_is_recorded(lake: LocalLake) -> None:
    made = [replace(FIRST, version=f"v{number}") for number in range(12)]
    threads = [threading.Thread(target=record_decision, args=(lake, "telco", decision)) for decision in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(decision.version for decision in list_decisions(lake, "telco")) == sorted(d.version for d in made)


@pytest.mark.parametrize("damage", [b"{half a", b'{"version": 1}'])
def test_a_damaged_decision_is_reported_with_its_place(lake: LocalLake, damage: bytes) -> None:
    record_decision(lake, "telco", FIRST)
    lake.put("telco/decisions/000001.json", damage)
    with pytest.raises(LakeError, match=r"a decision in .*telco/decisions/000001\.json.*Restore the file"):
        list_champions(lake, "telco")
