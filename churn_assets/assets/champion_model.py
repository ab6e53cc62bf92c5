"""The champion: the gate's decision carried out. The one place that moves the champion's pointer."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from churn_assets.assets._metadata import MODEL_TEAM, retrain_freshness
from churn_assets.assets._stage import Claim, check_results, now, published, required, user_errors_as_failures
from churn_model.errors import ChurnError
from churn_model.spec.dataset import Dataset, seconds
from resources.catalog.pointers import Champion, champion_key, encoded, read_bytes, read_champion
from resources.errors import RegistryError
from resources.ports.lake import MANIFEST, Lake, Manifest
from resources.ports.registry import ModelRecord, Registry
from resources.ports.runner import StepReport

# What the gate weighs are facts, not faults: a kept champion is a success.
CLAIMS = (
    Claim(
        "enough_customers_to_judge",
        "The test and validation splits hold enough of both classes to tell a good model from luck.",
        blocking=False,
    ),
    Claim(
        "ranks_leavers_better_than_chance",
        "With 99 % confidence the model ranks leavers better than chance.",
        blocking=False,
    ),
    Claim(
        "saves_money",
        "With 95 % confidence the model is cheaper than contacting nobody and than contacting everybody.",
        blocking=False,
    ),
    Claim(
        "no_suspected_leak",
        "No column looks as if it were written after the fact, or the spec vouches for it.",
        blocking=False,
    ),
    Claim(
        "is_the_champion",
        "The candidate scores from now on. Where not, the reason says why the champion stays.",
        blocking=False,
    ),
)


class ChampionConfig(dg.Config):
    """Empty for a promotion; for a rollback the model to go back to, or `previous`."""

    rollback_to: str = ""


def champion_model(dataset: Dataset) -> dg.AssetsDefinition:
    """The model of a dataset that scores."""
    key = dg.AssetKey([dataset.name, "champion_model"])

    @dg.asset(
        key=key,
        deps=[[dataset.name, "tuned_model"], [dataset.name, "evaluation_report"]],
        group_name=dataset.name,
        owners=MODEL_TEAM,
        freshness_policy=retrain_freshness(dataset),
        kinds={"xgboost"},
        description="The model that scores. It is replaced only by a candidate that has proved itself better on rows that neither has seen.",
        check_specs=[claim.spec(key) for claim in CLAIMS],
    )
    def asset(config: ChampionConfig, lake: Lake, registry: Registry) -> dg.MaterializeResult:
        with user_errors_as_failures():
            if config.rollback_to:
                return _rolled_back(lake, registry, dataset, config.rollback_to)
            return _decided(lake, registry, dataset)

    return asset


def _decided(lake: Lake, registry: Registry, dataset: Dataset) -> dg.MaterializeResult:
    """Carry out what the gate says of the candidate, against the champion that it was compared with."""
    model, evaluation = required(lake, dataset, "tuned_model"), required(lake, dataset, "evaluation_report")
    report = published(lake, evaluation.prefix)
    if report is None:
        raise ChurnError(
            f"expected a published evaluation at {evaluation.prefix}; found none; run `churn retrain {dataset.name}` again"
        )
    judged = Manifest.from_json(lake.read(evaluation.prefix + MANIFEST)).upstream["tuned_model"]
    if judged != model.version:
        raise ChurnError(
            f"expected an evaluation of the candidate {model.version}; found one of {judged}; materialise evaluation_report, or run the job again"
        )
    before = read_bytes(lake, champion_key(dataset.name))
    champion = read_champion(lake, dataset.name)
    _make_good(lake, registry, dataset, champion)
    if champion and champion.version == model.version:
        return _told(
            champion, report, _Verdict("unchanged", f"The champion is made of just this data: {champion.reason}")
        )
    if report.detail["champion_version"] != (champion.version if champion else None):
        raise ChurnError(
            "expected the champion that the candidate was judged against; found another, promoted meanwhile; run the job again"
        )
    verdict = _verdict(report, champion, dataset, model.version)
    if verdict.outcome in ("first", "promoted"):
        previous, barred = (champion.version, champion.barred) if champion else (None, ())
        champion = Champion(
            model.version, model.prefix, evaluation.prefix, now(), verdict.outcome, verdict.reason, previous, barred
        )
        lake.swap(champion_key(dataset.name), before, encoded(champion))
    registry.record(
        dataset.name,
        ModelRecord(model.version, evaluation.version, verdict.outcome, verdict.reason, now(), report.metrics),
    )
    return _told(champion, report, verdict)


def _is_recorded(registry: Registry, dataset: Dataset, champion: Champion) -> bool:
    """Whether the registry knows the move that made this champion."""
    approved = registry.approved(dataset.name)
    return bool(approved) and (approved[-1].version, approved[-1].outcome) == (champion.version, champion.outcome)


def _make_good(lake: Lake, registry: Registry, dataset: Dataset, champion: Champion | None) -> None:
    """Record the move that made this champion, where the run that moved the pointer died before it could."""
    if champion is None or _is_recorded(registry, dataset, champion):
        return
    report, evaluation = published(lake, champion.evaluation), champion.evaluation.rstrip("/").rpartition("/")[2]
    metrics = report.metrics if report else {}
    registry.record(
        dataset.name,
        ModelRecord(champion.version, evaluation, champion.outcome, champion.reason, champion.since, metrics),
    )


@dataclass(frozen=True)
class _Verdict:
    outcome: str
    reason: str


def _verdict(report: StepReport, champion: Champion | None, dataset: Dataset, candidate: str) -> _Verdict:
    """The gate's decision. The evaluation holds it for a young and for an old champion: only here is there a clock."""
    if champion and candidate in champion.barred:
        return _Verdict(
            "kept",
            "The champion stays: this candidate was taken back by hand. New data or another spec makes another candidate.",
        )
    is_old = champion is not None and age_seconds(champion) > seconds(dataset.gate.max_age)
    decision = report.detail["decision_when_old" if is_old else "decision"]
    return _Verdict(decision["outcome"], decision["reason"])


def age_seconds(champion: Champion) -> float:
    """How long a champion has been one."""
    return (datetime.now(UTC) - datetime.fromisoformat(champion.since)).total_seconds()


@dataclass(frozen=True)
class Rollback:
    """The present champion, and the model to go back to with its evaluation; no model where only a killed run is to be completed."""

    champion: Champion
    earlier: ModelRecord | None
    evaluation: StepReport


def rollback(lake: Lake, registry: Registry, dataset: Dataset, target: str) -> Rollback:
    """What a rollback would do; nothing is written. Raises RegistryError where it cannot be done."""
    champion = read_champion(lake, dataset.name)
    if champion is None:
        raise RegistryError(
            f"expected a champion of {dataset.name} to roll back from; found none; run `churn retrain {dataset.name}`"
        )
    asked_for = champion.outcome == "rolled_back" and target in ("previous", champion.version)
    if asked_for and not _is_recorded(registry, dataset, champion):
        report = published(lake, champion.evaluation)
        if report:  # the run before this one was killed between its two writes: this one completes it, and does not go further back
            return Rollback(champion, None, report)
    version = champion.previous if target == "previous" else target
    known = {record.version: record for record in registry.approved(dataset.name)}
    if version not in known or version == champion.version:
        others = ", ".join(each for each in known if each != champion.version) or "none"
        raise RegistryError(
            f"expected a model that was champion before; found {version or 'no earlier one'}; the earlier champions of {dataset.name}: {others}"
        )
    report = published(lake, _evaluation(dataset, known[version]))
    if report is None or published(lake, f"{dataset.name}/tuned_model/{version}/") is None:
        raise RegistryError(
            f"expected model {version} and its evaluation in the lake; found them removed; roll back to another model"
        )
    return Rollback(champion, known[version], report)


def _evaluation(dataset: Dataset, record: ModelRecord) -> str:
    return f"{dataset.name}/evaluation_report/{record.evaluation}/"


def _rolled_back(lake: Lake, registry: Registry, dataset: Dataset, target: str) -> dg.MaterializeResult:
    """Move the pointer to a model that was champion before, and bar the one that is left from coming back by itself."""
    before = read_bytes(lake, champion_key(dataset.name))
    found = rollback(lake, registry, dataset, target)
    champion, earlier, report = found.champion, found.earlier, found.evaluation
    _make_good(lake, registry, dataset, champion)
    if earlier is None:
        return _told(champion, report, _Verdict("rolled_back", champion.reason))
    prefix, evaluation = f"{dataset.name}/tuned_model/{earlier.version}/", _evaluation(dataset, earlier)
    reason = f"Rolled back by hand from {champion.version}."
    barred = tuple(each for each in (*champion.barred, champion.version) if each != earlier.version)
    back = Champion(earlier.version, prefix, evaluation, now(), "rolled_back", reason, champion.version, barred)
    lake.swap(champion_key(dataset.name), before, encoded(back))
    registry.record(
        dataset.name, ModelRecord(earlier.version, earlier.evaluation, "rolled_back", reason, now(), report.metrics)
    )
    return _told(back, report, _Verdict("rolled_back", reason))


def _told(champion: Champion | None, report: StepReport, verdict: _Verdict) -> dg.MaterializeResult:
    """The decision as Dagster shows it. Without a champion the asset still has its say: nothing was promoted, and why."""
    facts = {fact["name"]: {**fact, "passed": fact["holds"]} for fact in report.detail["decision"]["facts"]}
    is_champion = verdict.outcome in ("first", "promoted", "unchanged", "rolled_back")
    facts["is_the_champion"] = {
        "name": "is_the_champion",
        "passed": is_champion,
        "expected": "a candidate that proved itself",
        "found": verdict.reason,
        "todo": "nothing: a kept champion is a success" if champion else "see the other checks",
    }
    metadata: dict[str, Any] = {
        "reused": verdict.outcome == "unchanged",
        "outcome": verdict.outcome,
        "reason": verdict.reason,
        "champion": champion.version if champion else "none",
    }
    return dg.MaterializeResult(
        data_version=dg.DataVersion(champion.version if champion else "none"),
        metadata=metadata,
        check_results=check_results(CLAIMS, list(facts.values())),
    )
