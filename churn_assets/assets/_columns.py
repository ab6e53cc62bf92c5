"""What the columns of our tables hold, in words: for Dagster's column schemas and the reference."""

import re

from churn_model.decisions.retention_list import REASONS
from churn_model.spec.dataset import Dataset

PREDICTIONS = {
    "id": "The customer's id, exactly as landed.",
    "as_of": "The snapshot's date, where the spec names one.",
    "churn_probability": "Calibrated, from 0 to 1.",
    "will_churn": "Whether contacting this customer is expected to pay: the probability is at or above the cutoff.",
    "expected_saving": "Money that a contact is expected to save, its cost taken off.",
    "reason": "What raised the risk most, in words. Null unless `will_churn`, and where there is no further reason.",
    "contribution": "The size of that reason, in log odds.",
    "model_version": "The model that scored the row.",
}
ASSIGNMENTS = {
    "value_at_stake": "Money that is lost if the customer leaves without a contact, from `costs`.",
    "listed": "On the list, held out or not.",
    "held_out": "On the list, and not contacted, so that the effect can be measured.",
    "contacted": "To be contacted.",
    "propensity": "The chance of being contacted that the customer was drawn with; 0 off the list, 1 without a hold-out. Compare customers of one value.",
    "left_out": f"Why it is not on the list: {', '.join(REASONS[1:])}.",
}
_OWN = {
    "_id": PREDICTIONS["id"],
    "_as_of": PREDICTIONS["as_of"],
    "_hash": "A hash of the id, by which rows are split and sorted.",
    "_label": "1 if the customer left, 0 if the customer stayed.",
}


def describe_prediction_column(name: str) -> str | None:
    """Return what a column of predictions or of a list holds, or None for one that is not ours."""
    key = re.sub(r"^reason_\d(_contribution)?$", lambda found: found[1] or "_reason", name).removeprefix("_")
    return PREDICTIONS.get(key) or ASSIGNMENTS.get(name)


def describe_landed_column(dataset: Dataset, name: str) -> str | None:
    """Return what a column of an ingested table holds, as far as the spec says it: our own columns, those of the policy, and words."""
    if name in _OWN:
        return f"{_OWN[name]} {dataset.label.means.capitalize()}." if name == "_label" else _OWN[name]
    folded = name.casefold()
    sentences = [
        "Never a feature." if folded in map(str.casefold, dataset.ignore) else "",
        "The customer must not be contacted." if folded == (dataset.list.opt_out or "").casefold() else "",
        next((f"Reads: {words}" for column, words in dataset.words.items() if column.casefold() == folded), ""),
    ]
    return " ".join(text for text in sentences if text) or None
