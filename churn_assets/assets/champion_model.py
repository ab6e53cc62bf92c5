"""The champion: the gate's decision carried out. The one place that moves the champion's pointer."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from churn_assets.assets._checks import check_results, check_specs
from churn_assets.assets._errors import user_errors_as_failures
from churn_assets.assets._metadata import MODEL_TEAM, retrain_freshness
from churn_assets.assets._registry import IN_REGISTRY, mirror_decisions
from churn_model.checks import Check, Claim
from churn_model.errors import ChurnError, problem
from churn_model.evaluation import promotion_facts
from churn_model.evaluation.promotion_facts import Fact
from churn_model.evaluation.promotion_reasons import describe_saving
from churn_model.reports.evaluate import EvaluateReport
from churn_model.reports.step_report import StepReport
from churn_model.spec.dataset import Dataset
from churn_model.spec.durations import seconds
from resources.catalog.decisions import WAITING, Decision, list_champions, record_decision
from resources.catalog.integrity import read_manifest
from resources.catalog.names import (
    CHAMPION_MODEL,
    EVALUATION_REPORT,
    TUNED_MODEL,
    asset_key,
    champion_key,
    version_prefix,
)
from resources.catalog.pointers import (
    Champion,
    Current,
    parse_champion,
    read_champion,
    read_pointer,
    require_current,
    to_bytes,
    utc_now,
)
from resources.catalog.publish import read_published, require_published
from resources.errors import DamagedError, PromotionError, RollbackError
from resources.ports.lake import Lake
from resources.ports.registry import Registry
from resources.ports.run_locks import RunLocks

IS_CHAMPION = Claim(
    "is_the_champion",
    description="The candidate scores from now on. If not, the reason says why the champion stays.",
    blocking=False,
)
CLAIMS = (*promotion_facts.CLAIMS, IS_CHAMPION)
_PROMOTIONS = ("first", "promoted")
PREVIOUS = "previous"
CANDIDATE = "candidate"


class ChampionConfig(dg.Config):
    """Empty for what the gate decides by itself.

    rollback_to   for a rollback the model to go back to, or `previous`: the champion before the last promotion
    promote       the candidate that a person has approved, or `candidate`: the present one
    """

    rollback_to: str = ""
    promote: str = ""


def champion_model(dataset: Dataset) -> dg.AssetsDefinition:
    """Return the asset of the model of a dataset that scores."""
    key = asset_key(dataset.name, CHAMPION_MODEL)

    @dg.asset(
        key=key,
        deps=[asset_key(dataset.name, TUNED_MODEL), asset_key(dataset.name, EVALUATION_REPORT)],
        group_name=dataset.name,
        owners=MODEL_TEAM,
        freshness_policy=retrain_freshness(dataset),
        kinds={"xgboost"},
        description="The model that scores. It is replaced only by a candidate that has proved itself better on rows that neither has seen.",
        check_specs=check_specs(key, (*CLAIMS, IN_REGISTRY)),
    )
    def asset(config: ChampionConfig, lake: Lake, registry: Registry, run_locks: RunLocks) -> dg.MaterializeResult:
        with user_errors_as_failures():
            back = config.rollback_to
            result = _roll_back(lake, dataset, back) if back else _apply_decision(lake, dataset, config.promote)
        shown = check_results((IN_REGISTRY,), [mirror_decisions(registry, dataset)])
        return result._replace(check_results=[*(result.check_results or ()), *shown])

    return asset


def _unchanged_reason(champion: Champion, evaluation: Current, report: StepReport) -> str:
    """Return why the champion stays if the candidate is the champion: with its figures of today if it was evaluated again."""
    if evaluation.prefix == champion.evaluation:
        return f"The champion is made from this very data: {champion.reason}"
    saving = describe_saving(report.read(EvaluateReport).evaluation)
    return f"The champion is made from this very data, and is evaluated at today's costs: {saving}."


def _apply_decision(lake: Lake, dataset: Dataset, approved: str) -> dg.MaterializeResult:
    """Carry out what the gate says of the candidate, against the champion that it was compared with. `approved`: by a person, "" for none."""
    model = require_current(lake, dataset.name, TUNED_MODEL)
    if approved:
        _require_candidate(dataset, approved, model.version)
    evaluation = require_current(lake, dataset.name, EVALUATION_REPORT)
    report = require_published(lake, evaluation.prefix)
    evaluated = read_manifest(lake, evaluation.prefix).upstream[TUNED_MODEL]
    if evaluated != model.version:
        raise ChurnError(
            problem(
                expected=f"an evaluation of the candidate {model.version}",
                found=f"one of {evaluated}",
                todo=f"materialize {EVALUATION_REPORT}, or run the job again",
            )
        )
    before = read_pointer(lake, champion_key(dataset.name))
    champion = parse_champion(lake, dataset.name, before)
    _complete_record(lake, dataset, champion)
    if champion and champion.version == model.version:
        return _materialize_result(
            champion, report, _Verdict("unchanged", _unchanged_reason(champion, evaluation, report))
        )
    _require_compared(dataset, report, champion, approved)
    verdict = _decide(report, champion, dataset, model.version)
    if approved and verdict.outcome not in _PROMOTIONS:
        raise PromotionError(_not_promoted(dataset, model.version, verdict.reason))
    if verdict.outcome in _PROMOTIONS and dataset.gate.promotion == "manual":
        verdict = _approve(verdict) if approved else _wait_for_approval(verdict, dataset)
    if verdict.outcome in _PROMOTIONS:
        previous, barred = (champion.version, champion.barred) if champion else (None, ())
        champion = Champion(
            model.version, model.prefix, evaluation.prefix, utc_now(), verdict.outcome, verdict.reason, previous, barred
        )
        lake.swap(champion_key(dataset.name), before, to_bytes(champion))
    record_decision(
        lake,
        dataset.name,
        Decision(model.version, evaluation.version, verdict.outcome, verdict.reason, utc_now(), report.metrics),
    )
    return _materialize_result(champion, report, verdict)


def _require_candidate(dataset: Dataset, approved: str, candidate: str) -> None:
    if approved not in (CANDIDATE, candidate):
        raise PromotionError(
            problem(
                expected=f"{approved} to be the candidate of {dataset.name}",
                found=f"a newer one, {candidate}",
                todo=f"look at it, and approve it: churn promote {dataset.name}",
            )
        )


def _require_compared(dataset: Dataset, report: StepReport, champion: Champion | None, approved: str) -> None:
    """Raise ChurnError if the candidate was compared with another champion than the present one."""
    if report.read(EvaluateReport).champion_version != (champion.version if champion else None):
        raise ChurnError(
            problem(
                expected="the champion that the candidate was compared with",
                found="another one, promoted meanwhile",
                todo=f"run `churn retrain {dataset.name}`, which compares them again"
                if approved
                else "run the job again",
            )
        )


def _not_promoted(dataset: Dataset, candidate: str, reason: str) -> str:
    return problem(
        expected=f"a candidate of {dataset.name} that the gate would promote",
        found=f"{candidate}: {reason.rstrip('.')}",
        todo="a person may approve what has proved itself, and nothing else",
    )


def _approve(verdict: "_Verdict") -> "_Verdict":
    return replace(verdict, reason=f"{verdict.reason} Approved by a person.")


def _wait_for_approval(verdict: "_Verdict", dataset: Dataset) -> "_Verdict":
    """Return the decision of a gate that asks a person before it promotes."""
    reason = f"Waits for approval (churn promote {dataset.name}). Once approved: {verdict.reason}"
    return _Verdict(WAITING, reason, verdict.facts)


def plan_promotion(lake: Lake, dataset: Dataset) -> str:
    """Return the candidate that a person may promote, or the champion if it is the candidate already. Nothing is written.

    Raise ChurnError if there is none, or PromotionError if the gate would not promote it.
    """
    model = require_current(lake, dataset.name, TUNED_MODEL)
    evaluation = require_current(lake, dataset.name, EVALUATION_REPORT)
    report, champion = require_published(lake, evaluation.prefix), read_champion(lake, dataset.name)
    if champion and champion.version == model.version:
        return model.version
    _require_compared(dataset, report, champion, model.version)
    verdict = _decide(report, champion, dataset, model.version)
    if verdict.outcome not in _PROMOTIONS:
        raise PromotionError(_not_promoted(dataset, model.version, verdict.reason))
    return model.version


def _is_recorded(lake: Lake, dataset: Dataset, champion: Champion) -> bool:
    """Return whether the history holds the decision that made this champion."""
    champions = list_champions(lake, dataset.name)
    return bool(champions) and (champions[-1].version, champions[-1].outcome) == (champion.version, champion.outcome)


def _complete_record(lake: Lake, dataset: Dataset, champion: Champion | None) -> None:
    """Record the move that made this champion, where the run that moved the pointer died before it could."""
    if champion is None or _is_recorded(lake, dataset, champion):
        return
    evaluation = champion.evaluation.rstrip("/").rpartition("/")[2]
    try:
        metrics = require_published(lake, champion.evaluation).metrics
    except DamagedError:  # the decision counts, not its figures
        metrics = {}
    record_decision(
        lake,
        dataset.name,
        Decision(champion.version, evaluation, champion.outcome, champion.reason, champion.since, metrics),
    )


@dataclass(frozen=True)
class _Verdict:
    """What happens to the champion, why, and the facts that were weighed (none if the gate was not asked)."""

    outcome: str
    reason: str
    facts: tuple[Fact, ...] = ()


def _decide(report: StepReport, champion: Champion | None, dataset: Dataset, candidate: str) -> _Verdict:
    """Return the gate's decision. The evaluation holds it for a young and for an old champion: only here is there a clock."""
    if champion and candidate in champion.barred:
        return _Verdict(
            "kept",
            "The champion stays: this candidate was rolled back by hand. New data or another spec makes another candidate.",
        )
    is_old = champion is not None and age_seconds(champion) > seconds(dataset.gate.max_age)
    decision = report.read(EvaluateReport).decision_for(champion_is_old=is_old)
    return _Verdict(decision.outcome, decision.reason, decision.facts)


def age_seconds(champion: Champion) -> float:
    """How long a champion has been one."""
    return (datetime.now(UTC) - datetime.fromisoformat(champion.since)).total_seconds()


@dataclass(frozen=True)
class Rollback:
    """The present champion, the model to go back to, and the evaluation of the one that is then champion.

    `earlier` is None if the champion was rolled back to already: what was asked for is done. So a rollback that was killed, at any moment and
    even after its last write, can be run again and ends at the same champion.
    """

    champion: Champion
    earlier: Decision | None
    evaluation: StepReport


def plan_rollback(lake: Lake, dataset: Dataset, target: str) -> Rollback:
    """Return what a rollback to `target`, a version or PREVIOUS, would do. Nothing is written. Raise RollbackError if it cannot be done."""
    champion = read_champion(lake, dataset.name)
    if champion is None:
        raise RollbackError(
            problem(
                expected=f"a champion of {dataset.name} to roll back from",
                found="none",
                todo=f"run `churn retrain {dataset.name}`",
            )
        )
    if champion.outcome == "rolled_back" and target in (PREVIOUS, champion.version):
        return Rollback(champion, None, require_published(lake, champion.evaluation))
    version = champion.previous if target == PREVIOUS else target
    known = {record.version: record for record in list_champions(lake, dataset.name)}
    if version not in known or version == champion.version:
        others = ", ".join(each for each in known if each != champion.version)
        raise RollbackError(
            problem(
                expected="a model that was champion before",
                found=version or "no earlier one",
                todo=f"the earlier champions of {dataset.name}: {others}" if others else "keep it: there was no other",
            )
        )
    report = read_published(lake, _evaluation_prefix(dataset, known[version]))
    if report is None or read_published(lake, version_prefix(dataset.name, TUNED_MODEL, version)) is None:
        raise RollbackError(
            problem(
                expected=f"model {version} and its evaluation in the lake",
                found="them removed",
                todo="roll back to another model",
            )
        )
    return Rollback(champion, known[version], report)


def _evaluation_prefix(dataset: Dataset, record: Decision) -> str:
    return version_prefix(dataset.name, EVALUATION_REPORT, record.evaluation)


def _roll_back(lake: Lake, dataset: Dataset, target: str) -> dg.MaterializeResult:
    """Move the pointer to a model that was champion before, and bar the one that is left from coming back by itself."""
    before = read_pointer(lake, champion_key(dataset.name))
    found = plan_rollback(lake, dataset, target)
    champion, earlier, report = found.champion, found.earlier, found.evaluation
    _complete_record(lake, dataset, champion)
    if earlier is None:
        return _materialize_result(champion, report, _Verdict("rolled_back", champion.reason))
    prefix = version_prefix(dataset.name, TUNED_MODEL, earlier.version)
    evaluation = _evaluation_prefix(dataset, earlier)
    reason = f"Rolled back by hand from {champion.version}."
    barred = tuple(each for each in (*champion.barred, champion.version) if each != earlier.version)
    back = Champion(earlier.version, prefix, evaluation, utc_now(), "rolled_back", reason, champion.version, barred)
    lake.swap(champion_key(dataset.name), before, to_bytes(back))
    record_decision(
        lake,
        dataset.name,
        Decision(earlier.version, earlier.evaluation, "rolled_back", reason, utc_now(), report.metrics),
    )
    return _materialize_result(back, report, _Verdict("rolled_back", reason))


def _materialize_result(champion: Champion | None, report: StepReport, verdict: _Verdict) -> dg.MaterializeResult:
    """Return the decision as Dagster shows it. Without a champion, too: nothing was promoted, and why."""
    facts = verdict.facts or report.read(EvaluateReport).decision.facts
    checks = [Check(fact.name, fact.holds, fact.expected, fact.found, fact.todo) for fact in facts]
    is_champion = verdict.outcome in ("first", "promoted", "unchanged", "rolled_back")
    todo = "nothing: a kept champion is a success" if champion else "see the other checks"
    if verdict.outcome == WAITING:
        todo = "approve it, or leave it"
    checks.append(
        IS_CHAMPION.check(is_champion, expected="a candidate that proved itself", found=verdict.reason, todo=todo)
    )
    metadata: dict[str, Any] = {
        "reused": verdict.outcome == "unchanged",
        "outcome": verdict.outcome,
        "reason": verdict.reason,
        "champion": champion.version if champion else "none",
    }
    return dg.MaterializeResult(
        data_version=dg.DataVersion(champion.version if champion else "none"),
        metadata=metadata,
        check_results=check_results(CLAIMS, checks, report.metrics),
    )
