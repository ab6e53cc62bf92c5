"""What is asked: one customer a request, with the raw values of a row that landed. Nothing of it is ever printed."""

import json
from dataclasses import dataclass

from churn_assets.model_server.customers import example_customer, list_batches, read_customers
from churn_model.serving.fields import RefusedRow
from churn_model.serving.plan import Plan
from churn_model.wording import counted
from resources.ports.lake import Lake

_MOST = 500


@dataclass(frozen=True)
class Bodies:
    """Requests in JSON, and whose customers they ask about, in words."""

    requests: tuple[str, ...]
    about: str


def make_bodies(lake: Lake, plan: Plan) -> Bodies:
    """Return requests about the first customers of the latest batch; about the model's most usual customer if there is none it can answer."""
    for batch in list_batches(lake, plan.dataset.name)[:1]:
        records = [each for each in read_customers(lake, plan, batch, _MOST) if _is_answered(plan, each)]
        if records:
            about = f"{counted(len(records), 'customer')} of batch {batch} in turn"
            return Bodies(tuple(json.dumps(each) for each in records), about)
    return Bodies((json.dumps(example_customer(plan)),), "the model's most usual customer")


def _is_answered(plan: Plan, record: dict[str, str | None]) -> bool:
    try:
        plan.answer(record, reasons="none")
    except RefusedRow:
        return False
    return True
