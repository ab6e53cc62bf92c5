"""A challenger in the shadow: both models score each row, the champion answers, and it is counted where they decide otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from churn_model.serving.answers import Outcome
from churn_model.serving.dividing import answer_again, count_rows
from churn_model.serving.plan import Answer, Plan
from churn_model.serving.protocol import Request, Response, TooLate, answer_rows, read_task, refuse, to_response
from churn_model.serving.requests import BadRequest, Limits


@dataclass(frozen=True, kw_only=True)
class Shadow:
    """Rows by whom the two models contact, and what is at stake.

    unanswered  rows that one of the models did not answer
    fault       a bug that the challenger ran into
    at_stake    money that the champion expects to save, or to lose, by the rows that are decided otherwise, without its sign
    """

    both: int = 0
    only_champion: int = 0
    only_challenger: int = 0
    neither: int = 0
    unanswered: int = 0
    at_stake: float = 0.0
    fault: Exception | None = None

    def __add__(self, other: "Shadow") -> "Shadow":
        """Return both together, without their faults."""
        return Shadow(**{name: getattr(self, name) + getattr(other, name) for name in vars(self) if name != "fault"})


def respond_in_shadow(champion: Plan, challenger: Plan, request: Request, limits: Limits) -> tuple[Response, Shadow]:
    """Answer with the champion, and say where the challenger decides otherwise. Nothing that it does reaches the answer. Raise TooLate."""
    try:
        task = read_task(champion, request, limits)
    except BadRequest as bad:
        return refuse(bad), Shadow()
    # Objects of ours, not yet JSON: their decisions are compared.
    task = replace(task, wanted=task.wanted.as_objects())
    first = answer_rows(champion, task.rows, task.wanted)
    response = to_response(champion, task, first)
    try:
        second = answer_again(challenger, task, request, limits, np.ones(count_rows(task.rows), dtype=bool))
    except TooLate:
        return response, Shadow()  # the champion was in time
    except Exception as error:  # whatever is wrong with the challenger, the champion has answered
        return response, Shadow(unanswered=len(first), fault=error)
    return response, compare_decisions(first, second)


def compare_decisions(first: Sequence[Outcome], second: Sequence[Outcome]) -> Shadow:
    """Count the rows that both models answered by whom they contact; the champion's answers come first."""
    pairs = [
        (one, other)
        for one, other in zip(first, second, strict=True)
        if isinstance(one, Answer) and isinstance(other, Answer)
    ]
    decided = [(one.will_churn, other.will_churn) for one, other in pairs]
    return Shadow(
        both=decided.count((True, True)),
        only_champion=decided.count((True, False)),
        only_challenger=decided.count((False, True)),
        neither=decided.count((False, False)),
        unanswered=len(first) - len(pairs),
        at_stake=sum(abs(one.expected_saving) for one, other in pairs if one.will_churn != other.will_churn),
    )
