"""The gate: decide whether a candidate becomes the champion.

The rules are here. What they weigh is in `promotion_facts`, the sentences a manager reads are in `promotion_reasons`. Moving the pointer is not the
gate's.
"""

from dataclasses import dataclass, replace
from typing import Literal

from churn_model.evaluation import promotion_facts as facts_of
from churn_model.evaluation import promotion_reasons as reasons
from churn_model.evaluation.promotion_facts import ComparedChampion, Evidence, Fact
from churn_model.spec.sections.gate import Gate

Outcome = Literal["first", "promoted", "kept", "refused"]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What happens to the candidate, why in a manager's words, and the facts behind it.

    first: it becomes the first champion. promoted: it replaces the champion. kept: the champion stays. refused: it must not be used.
    """

    outcome: Outcome
    reason: str
    facts: tuple[Fact, ...]

    @property
    def moves_pointer(self) -> bool:
        """Whether the candidate is the champion from now on."""
        return self.outcome in ("first", "promoted")

    @property
    def remedies(self) -> tuple[str, ...]:
        """The lines for the spec that answer the facts that do not hold."""
        return tuple(line for fact in self.facts if not fact.holds for line in fact.remedy)


def decide(evidence: Evidence) -> Decision:
    """Return what the rules say: the same evidence, the same decision. The candidate does without suspected leaks; the reason names them."""
    leaks = facts_of.find_leaks(evidence)
    decision = _decide(evidence, leaks)
    if leaks.holds:
        return decision
    columns = "a column" if len(evidence.leaks) == 1 else f"{len(evidence.leaks)} columns"
    worth = f"; {evidence.worth}" if evidence.worth else ""
    without = f"The candidate does without {columns}: {leaks.found}{worth}. {leaks.todo}."
    return replace(decision, reason=f"{decision.reason} {without}")


def _decide(evidence: Evidence, leaks: Fact) -> Decision:
    stops = (facts_of.find_key(evidence), facts_of.find_other_names(evidence))
    judged = (
        facts_of.count_customers(evidence),
        facts_of.measure_ranking(evidence),
        facts_of.measure_saving(evidence),
    )
    facts, champion = (*stops, leaks, *judged), evidence.champion
    for fact in stops:
        if not fact.holds:
            return Decision(outcome="refused", reason=f"Nothing is promoted: {fact.found}. {fact.todo}.", facts=facts)
    if champion and champion.comparison.same_probabilities:
        reason = "The champion stays: the candidate gives every customer the same probability."
        return Decision(outcome="kept", reason=reason, facts=facts)
    why_not = reasons.explain_unusable(evidence.candidate, *judged)
    if why_not and champion:
        return Decision(outcome="kept", reason=f"The champion stays: {why_not}", facts=facts)
    if why_not:
        return Decision(outcome="refused", reason=f"Nothing is promoted: {why_not}", facts=facts)
    if champion is None:
        return Decision(outcome="first", reason=reasons.explain_first(evidence.candidate), facts=facts)
    return _weigh_against(champion, evidence.gate, facts)


def _weigh_against(champion: ComparedChampion, gate: Gate, facts: tuple[Fact, ...]) -> Decision:
    comparison = champion.comparison
    comparable = facts_of.count_comparable(comparison)
    facts = (*facts, comparable)
    if not comparable.holds:
        reason = f"The champion stays: {comparable.found}, too few to compare the two models. {comparable.todo}."
        return Decision(outcome="kept", reason=reason, facts=facts)
    better = facts_of.compare_models(comparison)
    facts = (*facts, *better)
    if all(fact.holds for fact in better):
        return Decision(outcome="promoted", reason=reasons.explain_promoted(comparison), facts=facts)
    if gate.promotion == "not_worse" and champion.is_old:
        fact = facts_of.measure_extra_cost(champion, gate)
        reason = reasons.explain_old(comparison, gate, promoted=fact.holds)
        return Decision(outcome="promoted" if fact.holds else "kept", reason=reason, facts=(*facts, fact))
    return Decision(outcome="kept", reason=reasons.explain_kept(comparison, *better), facts=facts)
