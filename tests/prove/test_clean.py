"""`churn clean` beside runs, killed half way, and before what may still need a version."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.home import Home
from tests.harness.homes import Homes
from tests.reliability.kills import Point, differences

pytestmark = pytest.mark.prove
ALL = ("clean", "shop", "--older-than", "0", "--yes")


def test_what_is_left_can_be_rolled_back_and_is_found_again(homes: Homes, copied: Callable[[Home], Home]) -> None:
    home = copied(homes.twice_retrained)
    home.require(0, *ALL)
    assert home.problems() == []
    started = len(home.steps_started())
    home.require(0, "retrain", "shop")
    assert len(home.steps_started()) == started
    home.require(0, "rollback", "shop")
    assert home.problems() == []


def test_a_clean_that_was_killed_half_way_goes_on_and_loses_nothing(
    homes: Homes, copied: Callable[[Home], Home]
) -> None:
    home = copied(homes.twice_retrained)
    before = home.problems()
    plan = Point("clean", "resources.local.lake:LocalLake.withdraw", "shop/", "after").plan(home.root)
    home.require(-signal.SIGKILL, *ALL, plan=plan)
    assert home.problems() == before == []
    home.require(0, *ALL)
    assert home.problems() == []


def test_a_clean_beside_a_retrain_waits_for_it_and_takes_nothing_from_it(
    homes: Homes, copied: Callable[[Home], Home]
) -> None:
    home = copied(homes.landed)
    plan = {
        **Point("retrain", "resources.local.lake:LocalLake.swap", "shop/raw_customers/current").plan(home.root),
        "then": "wait",
    }
    retrain = home.start("retrain", "shop", plan=plan)
    mark = Path(plan["mark"])
    while not mark.exists():
        assert retrain.poll() is None
        time.sleep(0.05)
    cleaning = home.start(*ALL)
    home.wait_until_said(cleaning, "Waiting for another run to end")
    mark.with_suffix(".go").touch()
    assert home.end_of(retrain).code == 0
    assert home.end_of(cleaning).code == 0
    assert differences(home.contents(), homes.retrained.contents()) == []
