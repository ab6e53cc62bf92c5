"""The summary of a batch, for the manager who decides whether the list is sent."""

import re
from dataclasses import replace
from typing import Any

import pytest

from churn_assets.reporting.batch_page import BatchFacts, page, spread_saving
from churn_model.checks import Check
from churn_model.decisions.holdout import Power
from churn_model.evaluation.metrics import Estimate, Money
from churn_model.reports.ingest import IngestCounts, IngestReport
from churn_model.reports.list_layout import LayoutCounts, ListLayoutReport
from churn_model.reports.retention_list import Holdout, ListCounts, ListMoney, ListReport
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.costs import Contact, Costs
from churn_model.spec.sections.label import Label
from churn_model.spec.sections.retention_list import RetentionList

SCRIPT = "<script>alert(1)</script>"
COUNTS = ListCounts(
    rows=1000,
    listed=120,
    held_out=12,
    to_contact=108,
    below_the_cutoff=700,
    another_row_of_this_customer=100,
    opted_out=30,
    listed_not_long_ago=20,
    beyond_the_capacity=25,
    beyond_the_budget=5,
    customers=900,
)
MONEY = ListMoney(
    contact_cost=4320.0,
    expected_saving=1000.0,
    value_at_stake=64_800.0,
    expected_loss=21_600.0,
    expected_loss_of_all=90_000.0,
)
POWER = Power(compared=120, held_out=12, expected_churn=0.25, half_width=0.1, smallest_effect=0.2)
SAVING = Estimate(value=5.0, median=5.0, low=3.0, high=8.0)
SPREAD = Money(
    assumed_success=0.3,
    cost=SAVING,
    cost_nobody=1.0,
    cost_everybody=1.0,
    cost_perfect=0.0,
    saving_nobody=SAVING,
    saving_everybody=SAVING,
    saving_better=SAVING,
    better_without_model="nobody",
    saving_at=(),
)


def facts(**other: Any) -> BatchFacts:
    dataset = Dataset(
        name="shop",
        id="id",
        label=Label(column="left", positive=("yes",), means=f"cancelled {SCRIPT}"),
        costs=Costs(contact=Contact(cost=40.0, success=0.3, value=600.0)),
        list=RetentionList(budget=5000.0, columns=("name", SCRIPT)),
    )
    row = {
        "rank": 1,
        "id": SCRIPT,
        "name": "Ada\nLovelace",
        SCRIPT: None,
        "churn_probability": 0.712,
        "value_at_stake": 600.0,
        "expected_saving": 88.16,
        "reason_1": f"plan: {SCRIPT}",
    }
    plain = BatchFacts(
        dataset=dataset,
        batch="2026-05",
        listed=ListReport(
            counts=COUNTS,
            metrics=MONEY,
            holdout=Holdout(drawn=120, drawn_held_out=12, ratio_p=None, phases=1, power=POWER),
        ),
        layout=ListLayoutReport(counts=LayoutCounts(contacts=108), reasons={f"plan: {SCRIPT}": 60, "tenure: …": 30}),
        table=IngestReport(
            counts=IngestCounts(records=1003, rows=1000, quarantined=3, files=1), columns={}, reasons={SCRIPT: 3}
        ),
        money=SPREAD,
        problems=[],
        first=[row],
        listed_on="2026-05-02",
        trained_on="2026-04-27",
    )
    return replace(plain, **other)


def shown(text: str) -> str:
    """Return what a reader sees, on one line."""
    body = text.partition("<body>")[2]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body)).replace("&#39;", "'")


def test_the_decision_stands_on_top_with_what_is_at_stake() -> None:
    text = shown(page(facts()))
    for words in (
        "Listed on 2026-05-02 (UTC); the model was trained on 2026-04-27.",
        "Contact 108 customers, the best first",
        "To contact 108 of 900 customers (1,000 rows) scored",
        "$4,320 $40.00 each; budget $5,000",
        "$21,600 expected loss among those to contact, of $90,000 among all",
        "$600 to $1,600 if 30% of contacted leavers stay",
        "12 of 120 customers are held out; 25% of them are expected to leave without a contact.",
        "Records in quarantine, not scored 3",
    ):
        assert words in text


def test_every_row_is_in_one_line_of_the_table() -> None:
    table = page(facts()).partition('id="others"')[2].partition("</table>")[0]
    numbers = [int(number.replace(",", "")) for number in re.findall(r'<td class="n">(?:<b>)?([\d,]+)', table)]
    *parts, rows, quarantined = numbers
    assert (sum(parts), rows, quarantined) == (1000, 1000, 3)


def test_nothing_of_the_data_is_more_than_text() -> None:
    html = page(facts(problems=[Check("known", False, "a", SCRIPT, SCRIPT)], notes=(SCRIPT,), provisional=SCRIPT))
    assert "<script" not in html.lower()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "Ada Lovelace" in shown(html)


NOBODY_LEFT_OUT = dict.fromkeys(
    ("opted_out", "listed_not_long_ago", "beyond_the_capacity", "beyond_the_budget", "held_out"), 0
)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (NOBODY_LEFT_OUT, "a contact is expected to cost more than it saves"),
        ({}, "everyone worth a contact is left out, for the reasons below"),
    ],
)
def test_an_empty_list_says_why(counts: dict[str, int], words: str) -> None:
    empty = ListReport(
        counts=replace(COUNTS, to_contact=0, **counts), metrics=ListMoney(contact_cost=0, expected_saving=0)
    )
    layout = ListLayoutReport(counts=LayoutCounts(contacts=0), reasons={})
    note = "This batch had a list on 2026-04-30."
    text = shown(page(facts(listed=empty, layout=layout, first=[], notes=(note,))))
    assert f"Nobody to contact: {words}" in re.sub("for each customer ", "", text)
    assert note in text
    assert "The first" not in text.partition("What became of every row")[2]


def test_what_failed_and_what_is_provisional_is_said() -> None:
    check = Check(
        "the_batch_looks_like_training", False, "as in training", "fee: a hundred times larger", "land it again"
    )
    text = shown(page(facts(problems=[check], provisional="Nothing is promoted: too small.")))
    assert "PROVISIONAL: the gate refused this model. Nothing is promoted: too small." in text
    assert "The batch looks like training does not hold. fee: a hundred times larger land it again." in text


def test_a_report_of_earlier_code_says_what_it_did_not_evaluate() -> None:
    old = ListReport(
        counts=replace(COUNTS, customers=None), metrics=ListMoney(contact_cost=4320.0, expected_saving=1000.0)
    )
    text = shown(page(facts(listed=old, layout=ListLayoutReport(counts=LayoutCounts(contacts=108)), money=None)))
    assert text.lower().count("not evaluated by that version") == 3
    assert "$1,000" in text


def test_a_saving_spreads_as_the_models_savings_do() -> None:
    found = spread_saving(1000.0, SPREAD)
    assert found is not None
    assert (found.low, found.high) == (600.0, 1600.0)
    assert spread_saving(1000.0, None) is None
    assert spread_saving(1000.0, replace(SPREAD, saving_nobody=replace(SAVING, value=0.0))) is None
