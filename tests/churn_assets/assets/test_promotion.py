"""A gate that asks a person: the candidate waits, is approved, and takes the path of every promotion."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import dagster as dg
import numpy as np
import pytest

from churn_assets.assets.champion_model import champion_model, plan_promotion
from churn_model.decisions.policy import Policy
from churn_model.evaluation.metrics import Evaluation, Scores, evaluate
from churn_model.evaluation.promotion import Decision, Outcome
from churn_model.reports.evaluate import EvaluateCounts, EvaluateReport
from churn_model.reports.step_report import REPORT, Report, StepReport
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.costs import Costs
from churn_model.spec.sections.gate import Gate
from resources.catalog.decisions import find_waiting, list_decisions
from resources.catalog.names import EVALUATION_REPORT, TUNED_MODEL, current_key, version_prefix
from resources.catalog.pointers import Current, point_to, read_champion
from resources.errors import PromotionError, RegistryError
from resources.local.lake import LocalLake
from resources.local.registry import LocalRegistry
from resources.local.run_locks import LocalRunLocks
from resources.ports.lake import Manifest


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    rng = np.random.default_rng(0)
    p = rng.random(100)
    y = (rng.random(100) < p).astype(np.int8)
    return evaluate(Scores(ids=np.arange(100), y=y, p=p), Policy(Costs()), draws=20)


@dataclass
class House:
    """A dataset whose gate asks a person, and what its asset needs."""

    lake: LocalLake
    resources: Mapping[str, object]
    dataset: Dataset
    evaluation: Evaluation
    instance: dg.DagsterInstance

    def candidate(self, version: str, outcome: Outcome, against: str | None = None) -> None:
        """Publish a candidate and what the gate says of it."""
        decision = Decision(outcome=outcome, reason=f"{outcome} it is.", facts=())
        report = EvaluateReport(
            counts=EvaluateCounts(rows=100, leavers=50, customers=100, contacted=1),
            candidate_version=version,
            champion_version=against,
            evaluation=self.evaluation,
            decision=decision,
            decision_when_old=decision,
        )
        for asset, content in ((TUNED_MODEL, Report()), (EVALUATION_REPORT, Report(content=report))):
            prefix = version_prefix("telco", asset, f"{version}{against or ''}" if content.content else version)
            self.lake.put(prefix + REPORT, StepReport.of(asset, content, {}).to_json())
            self.lake.publish(prefix, Manifest(version, {}, {TUNED_MODEL: version}))
            point_to(self.lake, current_key("telco", asset), Current(prefix.split("/")[-2], prefix))

    def decide(self, promote: str = "") -> Mapping[str, dg.MetadataValue]:
        """Materialize the asset, and return its metadata."""
        made = self.materialize(promote)
        return made.asset_materializations_for_node("telco__champion_model")[0].metadata

    def materialize(self, promote: str = "") -> dg.ExecuteInProcessResult:
        config = {"ops": {"telco__champion_model": {"config": {"promote": promote}}}} if promote else {}
        return dg.materialize(
            [champion_model(self.dataset)], resources=self.resources, instance=self.instance, run_config=config
        )

    @property
    def champion(self) -> str:
        champion = read_champion(self.lake, "telco")
        return champion.version if champion else ""


@pytest.fixture
def house(
    lake: LocalLake,
    run_locks: LocalRunLocks,
    dataset: Dataset,
    evaluation: Evaluation,
    instance: dg.DagsterInstance,
) -> House:
    manual = replace(dataset, gate=Gate(promotion="manual"))
    resources = {"lake": lake, "registry": LocalRegistry(), "run_locks": run_locks}
    return House(lake, resources, manual, evaluation, instance)


def test_a_candidate_that_proved_itself_waits_and_scores_once_a_person_approves(house: House) -> None:
    house.candidate("m1", "first")
    assert house.decide()["outcome"].value == "waiting"
    assert house.champion == ""
    house.decide()  # a retrain of the same data: it still waits, and the history does not grow
    waiting = find_waiting(house.lake, "telco")
    assert waiting is not None
    assert waiting.reason == "Waits for approval (churn promote telco). Once approved: first it is."

    assert plan_promotion(house.lake, house.dataset) == "m1"
    assert house.decide("m1")["outcome"].value == "first"
    assert house.champion == "m1"
    assert find_waiting(house.lake, "telco") is None
    assert house.decide("m1")["outcome"].value == "unchanged"  # approved twice is approved once
    history = [(each.version, each.outcome, each.reason) for each in list_decisions(house.lake, "telco")]
    assert history[1:] == [("m1", "first", "first it is. Approved by a person.")]
    assert len(history) == 2


def test_a_person_approves_nothing_that_the_gate_would_keep(house: House) -> None:
    house.candidate("m1", "refused")
    with pytest.raises(PromotionError, match=r"that the gate would promote; found m1: refused it is\. A person may"):
        plan_promotion(house.lake, house.dataset)
    with pytest.raises(dg.Failure, match=r"A person may approve what has proved itself"):
        house.decide("candidate")
    assert house.champion == ""


def test_an_approval_is_of_one_candidate_and_against_one_champion(house: House) -> None:
    house.candidate("m1", "first")
    house.decide()
    house.candidate("m2", "first")
    house.decide()
    with pytest.raises(dg.Failure, match=r"Expected m1 to be the candidate of telco; found a newer one, m2"):
        house.decide("m1")
    house.decide("m2")
    house.candidate("m3", "promoted", against="m1")
    with pytest.raises(dg.Failure, match=r"found another one, promoted meanwhile\. Run `churn retrain telco`"):
        house.decide("m3")
    assert house.champion == "m2"


def test_a_gate_that_asks_nobody_promotes_as_ever(house: House) -> None:
    house.dataset = replace(house.dataset, gate=Gate())
    house.candidate("m1", "first")
    assert house.decide()["outcome"].value == "first"
    assert house.champion == "m1"


class Unreachable(LocalRegistry):
    """A registry that refuses."""

    def mirror(self, dataset: str) -> None:
        raise RegistryError(f"Expected to register a model of {dataset}; found AccessDenied. Grant it")


def test_a_registry_that_cannot_be_reached_undoes_no_promotion_and_is_seen(house: House) -> None:
    house.dataset = replace(house.dataset, gate=Gate())
    house.resources = {**house.resources, "registry": Unreachable()}
    house.candidate("m1", "first")
    made = house.materialize()
    assert house.champion == "m1"
    (check,) = [each for each in made.get_asset_check_evaluations() if each.check_name == "registry_shows_the_decision"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "found AccessDenied" in str(check.description)
    house.resources = {**house.resources, "registry": LocalRegistry()}
    made = house.materialize()
    assert all(each.passed for each in made.get_asset_check_evaluations() if "registry" in each.check_name)
