"""Who answers which customer: uniform, the same always, another division for another test; and faults of one model."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from churn_model.scoring import ReasonsFor
from churn_model.serving.dividing import Division, respond_divided
from churn_model.serving.plan import Answer, Plan
from churn_model.serving.protocol import Request
from churn_model.serving.requests import Limits
from churn_model.serving.shadow import respond_in_shadow
from tests.churn_model.serving.shop import DATASETS, landed, made_bundle

NAMES = [f"C{n}" for n in range(20_000)]


def test_positions_are_uniform_and_another_salt_divides_anew() -> None:
    one, other = Division(salt="a", share=0.1), Division(salt="b", share=0.1)
    places = np.array([one.position(name) for name in NAMES]) / 2.0**64
    counts, _ = np.histogram(places, bins=20, range=(0, 1))
    assert ((counts - 1_000) ** 2 / 1_000).sum() < 50, "chi-square with 19 degrees of freedom"
    mine, theirs = ({name for name in NAMES if each.is_challenger(name)} for each in (one, other))
    assert 1_800 < len(mine) < 2_200
    assert len(mine & theirs) == pytest.approx(200, abs=60)
    assert one.position("C1") == 6670579443356195164, "stable over releases"


def test_who_is_in_a_small_share_is_in_a_larger_one() -> None:
    small, large = Division(salt="a", share=0.1), Division(salt="a", share=0.3)
    assert all(large.is_challenger(name) for name in NAMES if small.is_challenger(name))
    assert not small.is_challenger(None)
    assert not any(Division(salt="a", share=0.0).is_challenger(name) for name in NAMES[:100])
    assert all(Division(salt="a", share=1.0).is_challenger(name) for name in NAMES[:100])


class BuggyPlan(Plan):
    """A plan with a bug."""

    def answer(self, record: Mapping[str, Any], *, reasons: ReasonsFor = "contacted") -> Answer:
        raise ZeroDivisionError


def test_a_bug_in_the_challenger_is_an_error_of_the_challenger() -> None:
    bundle = made_bundle("boosted_trees")
    champion = Plan(replace(bundle, about={"version": "a"}), DATASETS["shop"])
    challenger = BuggyPlan(replace(bundle, about={"version": "b"}), DATASETS["shop"])
    row = {name: values[0] for name, values in landed(1, seed=5).items()}
    request = Request(body=json.dumps(row).encode())
    divided = respond_divided(champion, challenger, Division(salt="a", share=1.0), request, Limits())
    assert (divided.response.status, divided.is_challenger.tolist()) == (500, [True])
    assert isinstance(divided.fault, ZeroDivisionError)
    whole = respond_divided(champion, challenger, Division(salt="a", share=0.0), request, Limits())
    assert (whole.response.status, whole.fault) == (200, None)
    response, shadow = respond_in_shadow(champion, challenger, request, Limits())
    assert (response.status, shadow.unanswered) == (200, 1)
    assert isinstance(shadow.fault, ZeroDivisionError)
