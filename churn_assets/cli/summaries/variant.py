"""The summary of `churn variant`: a test as the server's own notes have it."""

from collections.abc import Iterator, Sequence

import numpy as np

from churn_assets.model_server.ab_test import State
from churn_model.arrays import FloatArray
from churn_model.evaluation.variant_guard import (
    ERRORS,
    FIGURES,
    LOG_BOUND,
    Answers,
    Day,
    average_evidence,
    log_evidence_of_all,
    measure,
)
from churn_model.wording import counted, decimal, number_text, percent, usd

_MOST = float(np.log(1e9))


def variant_summary(dataset: str, champion: str, states: Sequence[State]) -> str:
    """Return how each test goes, the last one first."""
    if not states:
        return f"No candidate of {dataset} was tried. `churn serve {dataset} --variant candidate=VERSION:0 --shadow` begins with the shadow."
    return "\n".join(line for state in states for line in ("", *_describe(dataset, champion, state))).strip()


def _describe(dataset: str, champion: str, state: State) -> Iterator[str]:
    option, about = state.about.candidate, state.about
    share = "in the shadow" if option.shadow else f"for {percent(option.share)} of the customers"
    yield f"{option.name} (model {option.version}) beside the champion (model {champion}), {share}, since {about.since}"
    yield f"  A server {'runs' if state.is_served else 'ran'} it{'' if state.is_served else '; none does now'}."
    if state.ended:
        yield f"  Ended: {state.ended}"
    if option.shadow:
        yield from _shadow_lines(state)
    else:
        yield from _customer_lines(state)
        yield from _guard_lines(state)
    if not state.is_withdrawn:
        yield f"  To withdraw it: `churn variant {dataset} withdraw`. All customers are then the champion's, within a second."


def _shadow_lines(state: State) -> Iterator[str]:
    found = state.shadow
    yield (
        f"  Rows that both scored: {found.both:,} contacted by both, {found.only_champion:,} by the champion alone, "
        f"{found.only_challenger:,} by the candidate alone, {found.neither:,} by neither; {found.unanswered:,} not answered by both."
    )
    yield f"  At stake in those decided otherwise, by the champion's probabilities: {usd(found.at_stake)}."


def _customer_lines(state: State) -> Iterator[str]:
    """Return what each variant has answered: customers and errors of all days, times and probabilities of the running one."""
    champion = sum(day.customers.champion for day in state.days)
    candidate = sum(day.customers.challenger for day in state.days)
    if not champion + candidate:
        yield "  No customer was counted, or an end has removed the notes."
        return
    errors = measure(FIGURES[0], state.days)
    yield _line("", "champion", state.about.candidate.name)
    yield _line(f"customers, each once a day, {counted(len(state.days), 'day')}", f"{champion:,}", f"{candidate:,}")
    yield _line("  with an error", percent(errors.champion), percent(errors.challenger))
    if state.today is not None:
        yield from _today_lines(state.today)


def _today_lines(answers: Answers) -> Iterator[str]:
    groups = (~answers.is_challenger, answers.is_challenger)
    for label, q in (("today's time, half within", 0.5), ("  99% within", 0.99)):
        yield _line(label, *(_milliseconds(answers.seconds[rows], q) for rows in groups))
    for label, q in (
        ("today's probabilities, lowest tenth below", 0.1),
        ("  half below", 0.5),
        ("  highest tenth from", 0.9),
    ):
        yield _line(label, *(_probability(answers.score[rows], q) for rows in groups))


def _guard_lines(state: State) -> Iterator[str]:
    if not state.days or state.ended:
        return
    evidence = log_evidence_of_all(state.days, state.about.candidate.share)
    done = "leaves all customers to the champion" if state.about.candidate.withdraw else "is told, and changes nothing"
    so_far, bound = _evidence(average_evidence(evidence)), _evidence(LOG_BOUND)
    yield f"  The guard: evidence {so_far}; it rings at {bound}, and equal variants have 1 on average. An alarm {done}."
    yield "  Of the candidate's customers"
    known = [figure for figure in FIGURES if _is_known(figure.name, state.days)]
    for figure in known:
        found = measure(figure, state.days)
        shares = f"{percent(found.challenger)} (champion {percent(found.champion)})"
        yield f"    {figure.words}: {shares}; evidence {_evidence(evidence[figure.name])}"
    if len(known) < len(FIGURES):
        yield "    Times and probabilities are looked at when the day (UTC) is over."


def _is_known(name: str, days: Sequence[Day]) -> bool:
    return name == ERRORS or any(name in day.events for day in days)


def _evidence(logarithm: float) -> str:
    return "more than 1,000,000,000" if logarithm > _MOST else decimal(float(np.exp(logarithm)), 2)


def _milliseconds(seconds: FloatArray, q: float) -> str:
    return f"{number_text(1000 * float(np.quantile(seconds, q)))} ms" if len(seconds) else "-"


def _probability(scores: FloatArray, q: float) -> str:
    known = scores[~np.isnan(scores)]
    return percent(float(np.quantile(known, q))) if len(known) else "-"


def _line(label: str, champion: str, candidate: str) -> str:
    return f"  {label:<44}{champion:>12}{candidate:>14}"
