"""One decision is the batch's decision, bit for bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn_model.decisions.policy import Policy
from churn_model.ingest.values import WORTH_LIMIT
from churn_model.serving.decision import make_decider
from churn_model.spec.sections.costs import Contact, Costs, ValueColumn

MONEY = st.floats(0.01, 1e6)
CELLS = st.builds(
    lambda fn, more, fp, tn: Costs(
        false_negative=fn + more, true_positive=fn, false_positive=tn + fp, true_negative=tn
    ),
    MONEY,
    MONEY,
    MONEY,
    MONEY,
)
# A contact that can pay: what it saves is more than what it costs.
CONTACT = st.builds(
    lambda cost, success, more: Costs(contact=Contact(cost=cost, success=success, value=(cost + more) / success)),
    MONEY,
    st.floats(0.01, 1.0),
    MONEY,
)
WORTH = st.builds(
    lambda cost, success: Costs(contact=Contact(cost=cost, success=success, value=ValueColumn(column="worth"))),
    MONEY,
    st.floats(0.01, 1.0),
)


@given(costs=st.one_of(CELLS, CONTACT, WORTH), p=st.floats(0, 1), worth=st.floats(0, WORTH_LIMIT))
def test_one_customer_is_decided_as_a_batch_decides(costs: Costs, p: float, worth: float) -> None:
    policy = Policy(costs)
    found = make_decider(policy)(p, worth)
    many = policy.decide(np.array([p, 0.5]), np.array([worth, 1.0]) if costs.value_column else None)
    cutoff = np.broadcast_to(many.cutoff, (2,))
    assert found == (bool(many.contact[0]), float(many.expected_saving[0]), float(cutoff[0]))


def test_costs_that_read_a_worth_do_not_decide_without_one() -> None:
    costs = Costs(contact=Contact(cost=1.0, success=0.5, value=ValueColumn(column="worth")))
    with pytest.raises(ValueError, match="the costs read a worth, and there is none"):
        make_decider(Policy(costs))(0.5, None)
