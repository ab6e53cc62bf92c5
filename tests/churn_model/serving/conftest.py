"""Plans of every family, with and without an id, a date and a worth."""

import pytest

from churn_model.serving.plan import Plan
from churn_model.spec.sections.search import Family
from tests.churn_model.serving.shop import DATASETS, made_bundle


@pytest.fixture(params=["boosted_trees", "random_forest", "linear"])
def family(request: pytest.FixtureRequest) -> Family:
    found: Family = request.param
    return found


@pytest.fixture(params=DATASETS)
def plan(request: pytest.FixtureRequest, family: Family) -> Plan:
    return Plan(made_bundle(family, request.param), DATASETS[request.param])
