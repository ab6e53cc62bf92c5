"""What the page and the assistant's door say of an answer, word for word the same; the page's script has its own copy."""

from churn_model.serving.plan import Answer
from churn_model.wording import one_line, usd

LOOKED_AT = (
    "They tell what the model looked at, not why somebody leaves, nor what would happen if a value were changed."
)
NO_REASON = "Nothing raises the risk by much."
NO_BATCH = "There is no such batch."
NO_CUSTOMER = "There is no such customer in this batch."
OUTSIDE = "outside of what nine of ten had"


def percent_of(p: float) -> str:
    """Return a probability with one decimal: 34.6%."""
    return f"{100 * p:.1f}%"


def describe_decision(answer: Answer) -> str:
    """Return the decision in a word or three."""
    return "contact" if answer.will_churn else "do not contact"


def describe_answer(answer: Answer) -> list[str]:
    """Return the probability and the decision, from where on a contact pays, what it saves, and which values are unknown."""
    never = answer.cutoff == float("inf")
    unknown = f"Training did not know the value of {', '.join(map(one_line, answer.unknown))}; the model takes it for missing."
    return [
        f"{percent_of(answer.churn_probability)}: {describe_decision(answer)}.",
        "A contact never pays for this customer." if never else f"A contact pays from {percent_of(answer.cutoff)} on.",
        f"A contact is expected to save {usd(answer.expected_saving)}.",
        *([unknown] if answer.unknown else []),
    ]


def describe_since(before: Answer, after: Answer) -> str:
    """Return what the model says of a customer in two batches."""
    return f"{percent_of(before.churn_probability)} then, {percent_of(after.churn_probability)} now, by this model."


def describe_sum(total: float) -> str:
    """Return what the differences of two answers' parts sum to."""
    return f"The differences sum to {total:.2f} log odds."
