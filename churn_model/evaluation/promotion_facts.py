"""The facts that the gate weighs, each with what was expected, what was found and what to do if it does not hold."""

import json
import re
from dataclasses import dataclass

from churn_model.checks import Claim
from churn_model.evaluation.comparison import LEAST_GAIN, Comparison
from churn_model.evaluation.metrics import Evaluation
from churn_model.spec.sections.gate import Gate
from churn_model.training.leaks import Leak, SharedLabel, WorthWithout
from churn_model.training.shares import Shares
from churn_model.training.split_shares import suggest_split
from churn_model.wording import one_line, usd

KEYED = Claim(
    "customers_have_a_key",
    description="The spec says what names a customer: a column, or none, if each row is a customer of its own.",
    blocking=False,
)
NO_OTHER_KEY = Claim(
    "no_other_column_names_customers",
    description="No column but the id has values that name groups of rows with one label, as customers' names do, or the spec vouches for it.",
    blocking=False,
)
NO_SUSPECTED_LEAK = Claim(
    "no_suspected_leak",
    description="No column looks as if it were written after the fact, or the spec vouches for it. The model does without a column that does.",
    blocking=False,
)
ENOUGH = Claim(
    "enough_customers_to_judge",
    description="The test and validation splits hold enough of both classes to tell a good model from luck.",
    blocking=False,
)
RANKS = Claim(
    "ranks_leavers_better_than_chance",
    description="With 99% confidence the model ranks leavers better than chance.",
    blocking=False,
)
SAVES = Claim(
    "saves_money",
    description="With 95% confidence the model is cheaper than contacting nobody and than contacting everybody.",
    blocking=False,
)
CLAIMS = (KEYED, NO_OTHER_KEY, ENOUGH, RANKS, SAVES, NO_SUSPECTED_LEAK)
"""What the gate asks of every candidate. These are facts to weigh, not faults: a kept champion is a success."""

LEAST_TEST = 30
LEAST_VALIDATION = 50
LEAST_IN_FOLDS = 60
"""Of each class in the whole table, if it is judged by outer folds. What the gate makes of noise: benchmarks/results/noise_labels.md."""
NOT_WORSE = 0.05
"""With `promotion: not_worse`: how much more a candidate may cost at worst, as a share of the champion's cost."""

WITHOUT_MODEL = "the better of contacting nobody and contacting everybody"
"""What a model has to beat: in each resample whichever of the two is cheaper there, so its range is a little below that against either."""


@dataclass(frozen=True, kw_only=True)
class ComparedChampion:
    """The present champion as the gate sees it. `is_old`: older than `gate.max_age`."""

    comparison: Comparison
    is_old: bool


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that the gate weighs.

    leaks     those that the spec lists neither under ignore nor under known
    worth     what the leaks bring to a model; None if it is not known
    names     columns that seem to name customers, though the spec does not call them the id
    has_key   whether the spec says what names a customer: a column, or `none`
    shares    how the table is split, and whether the spec leaves that open; None if it is not known
    champion  None for the first
    """

    candidate: Evaluation
    validation_leavers: int
    validation_stayers: int
    leaks: tuple[Leak, ...] = ()
    worth: WorthWithout | None = None
    names: tuple[SharedLabel, ...] = ()
    has_key: bool = True
    shares: Shares | None = None
    champion: ComparedChampion | None = None
    gate: Gate = Gate()  # noqa: RUF009 - frozen


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One claim that the gate checked; `todo` says what to do if it does not hold, `remedy` holds lines for the spec that do it."""

    name: str
    holds: bool
    expected: str
    found: str
    todo: str
    remedy: tuple[str, ...] = ()


def find_key(evidence: Evidence) -> Fact:
    """Return whether the spec says what names a customer."""
    return Fact(
        name=KEYED.name,
        holds=evidence.has_key,
        expected="a spec that says what names a customer",
        found="an id" if evidence.has_key else "the spec does not say what names a customer",
        todo="Name the column under id. Only if each row is a customer of its own, and no customer has two rows, write id: none",
        remedy=()
        if evidence.has_key
        else ("id: none  # or the column that names a customer, such as id: customer_id",),
    )


def find_other_names(evidence: Evidence) -> Fact:
    """Return whether no column but the id seems to name customers."""
    names = [one for one in evidence.names if one.column]
    first = names[0] if names else None
    found = "none"
    if first:
        found = (
            f"{first.rows:,} rows share their {one_line(first.column, 40)} with another row, and nearly always the label too, "
            "as rows of one customer do; the figures may come from customers recognised, not from what leavers have in common"
        )
    elif evidence.names:
        found = f"{evidence.names[0].rows:,} rows equal another in everything, the label included, as customers that landed twice do"
    column = _as_yaml(first.column) if first else ""
    return Fact(
        name=NO_OTHER_KEY.name,
        holds=not evidence.names,
        expected="no column but the id whose values name customers",
        found=found,
        todo=f"Write id: {column} (and as_of, if customers have a row for each date); if rows with the same value are different "
        f"customers, write known: [{column}]"
        if first
        else "Land each customer once, or name the column that tells customers apart under id",
        remedy=(f"id: {column}  # or, if its rows are different customers: known: [{column}]",) if first else (),
    )


def find_leaks(evidence: Evidence) -> Fact:
    """Return whether no column seems to be written after the customer left."""
    names = [one_line(leak.column, 40) for leak in evidence.leaks]
    listing = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    columns = [_as_yaml(leak.column) for leak in evidence.leaks]
    return Fact(
        name=NO_SUSPECTED_LEAK.name,
        holds=not names,
        expected="no column that seems to be written after the customer left",
        found=f"{listing} may be known only after a customer has left" if names else "none",
        todo=f"List {'it' if len(names) == 1 else 'each'} in the spec: under ignore, or under known if it is known in time",
        remedy=(
            f"known: [{', '.join(columns)}]  # what is known before a customer leaves; list the others under ignore",
        )
        if columns
        else (),
    )


def count_customers(evidence: Evidence) -> Fact:
    """Return whether there are enough customers of both classes to judge by."""
    candidate = evidence.candidate
    if candidate.outer_folds:
        return _count_in_folds(candidate)
    test = min(candidate.leavers, candidate.rows - candidate.leavers)
    validation = min(evidence.validation_leavers, evidence.validation_stayers)
    remedy = suggest_split(evidence.shares, LEAST_IN_FOLDS) if evidence.shares else ()
    return Fact(
        name=ENOUGH.name,
        holds=test >= LEAST_TEST and validation >= LEAST_VALIDATION,
        expected=f"at least {LEAST_TEST} who left and {LEAST_TEST} who stayed in test, {LEAST_VALIDATION} of each to choose the model by",
        found=f"{candidate.leavers:,} left and {candidate.rows - candidate.leavers:,} stayed in test, "
        f"{evidence.validation_leavers:,} and {evidence.validation_stayers:,} to choose the model by",
        todo=f"Write {remedy[0].split('  #')[0]} in the spec, or land more customers"
        if remedy
        else "Land more customers",
        remedy=remedy,
    )


def _count_in_folds(candidate: Evaluation) -> Fact:
    left, stayed = candidate.leavers, candidate.rows - candidate.leavers
    return Fact(
        name=ENOUGH.name,
        holds=min(left, stayed) >= LEAST_IN_FOLDS,
        expected=f"at least {LEAST_IN_FOLDS} who left and {LEAST_IN_FOLDS} who stayed, to be judged by outer folds",
        found=f"{left:,} left and {stayed:,} stayed in the whole table",
        todo="Land more customers",
    )


def measure_ranking(evidence: Evidence) -> Fact:
    """Return whether the model ranks leavers better than chance."""
    candidate = evidence.candidate
    return Fact(
        name=RANKS.name,
        holds=bool(candidate.auc_lower_99 > 0.5),
        expected="an AUC that is above 0.5 with 99% confidence",
        found=f"AUC {candidate.auc.value:.3f}, at least {candidate.auc_lower_99:.3f}",
        todo="Land columns that say more about customers, or more customers",
    )


def measure_saving(evidence: Evidence) -> Fact:
    """Return whether the model is cheaper than doing without one."""
    saving = evidence.candidate.money.saving_better
    return Fact(
        name=SAVES.name,
        holds=bool(saving.low > 0),
        expected=f"cheaper than {WITHOUT_MODEL}, with 95% confidence",
        found=f"saves {usd(saving.value)} per customer, at least {usd(saving.low)}",
        todo="Look at costs in the spec: what a contact costs, how often it works, what a customer is worth",
    )


def count_comparable(comparison: Comparison) -> Fact:
    """Return whether enough customers are new to both models."""
    found = f"{comparison.leavers} who left and {comparison.stayers} who stayed are new to both models"
    if comparison.left_out:
        found += f" ({comparison.left_out} rows may have trained the champion: the split has changed)"
    return Fact(
        name="comparable_with_the_champion",
        holds=min(comparison.leavers, comparison.stayers) >= LEAST_TEST,
        expected=f"at least {LEAST_TEST} who left and {LEAST_TEST} who stayed, new to both models",
        found=found,
        todo="Restore the champion's split in the spec, or land more customers"
        if comparison.left_out
        else "Land more customers",
    )


def compare_models(comparison: Comparison) -> tuple[Fact, Fact, Fact]:
    """Return whether the candidate predicts better than the champion, by enough to matter, at no higher cost."""
    log_loss, cost = comparison.log_loss, comparison.cost
    share = -log_loss.mean / log_loss.champion if log_loss.champion > 0 else 0.0
    return (
        Fact(
            name="predicts_better_than_the_champion",
            holds=bool(log_loss.upper < 0),
            expected="a lower log loss than the champion's, with 97.5% confidence",
            found=f"{log_loss.candidate:.4f} against {log_loss.champion:.4f}; the difference is at most {log_loss.upper:+.4f}",
            todo=f"Nothing: the smallest gain that this test could have shown is {comparison.smallest_gain:.4f}",
        ),
        Fact(
            name="gain_worth_a_change",
            holds=bool(share >= LEAST_GAIN),
            expected=f"a log loss lower by at least {LEAST_GAIN:.0%} of the champion's",
            found=f"{share:.1%}",
            todo="Nothing: a change so small is not worth a new model",
        ),
        Fact(
            name="costs_no_more_than_the_champion",
            holds=bool(cost.mean <= 0),
            expected="a cost at most the champion's, at today's costs",
            found=f"{usd(cost.candidate)} against {usd(cost.champion)} per customer",
            todo="Nothing, or look at costs in the spec",
        ),
    )


def measure_extra_cost(champion: ComparedChampion, gate: Gate) -> Fact:
    """Return whether the candidate costs hardly more than an old champion at worst, as a share of its cost."""
    cost = champion.comparison.cost
    room = NOT_WORSE * abs(cost.champion)
    return Fact(
        name="not_worse_than_an_old_champion",
        holds=bool(cost.upper <= room),
        expected=f"at most {usd(room)} per customer more than the champion, with 97.5% confidence, which is older than {gate.max_age}",
        found=f"{usd(cost.mean)} per customer more, at most {usd(cost.upper)}",
        todo="Nothing: the next candidate is weighed again",
    )


def _as_yaml(name: str) -> str:
    """Return a column's name as a spec may hold it anywhere: in quotes unless it is plain words."""
    plain = re.fullmatch(r"[A-Za-z_]+[A-Za-z_0-9]*( [A-Za-z_0-9]+)*", name)
    words = ("true", "false", "yes", "no", "on", "off", "y", "n", "null", "none")
    return name if plain and name.lower() not in words else json.dumps(name, ensure_ascii=False)
