"""The page of an evaluation, from the reports of real steps."""

import copy
import re
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import numpy as np
import pyarrow as pa
import pytest

from churn_assets.reporting.evaluation_page import PageFacts, Period, page, plots
from churn_assets.reporting.page_templates import readable
from churn_model.checks import Check
from churn_model.evaluation.comparison import Comparison, Difference
from churn_model.evaluation.metrics import Estimate
from churn_model.evaluation.promotion import Decision
from churn_model.evaluation.promotion_facts import Fact
from churn_model.records import from_plain, to_plain
from churn_model.reports.evaluate import EvaluateReport
from churn_model.reports.ingest import IngestCounts, IngestReport
from churn_model.reports.preprocess import PreprocessReport
from churn_model.reports.step_report import StepReport
from churn_model.reports.train import TrainReport
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.costs import Contact, Costs, ValueColumn
from churn_model.spec.sections.label import Label
from churn_model.spec.sections.search import Search
from churn_model.spec.sections.split import Split
from churn_model.steps import evaluate, preprocess, train
from churn_model.tables import write_table
from tests.steps import run_in_folder

R = TypeVar("R")
SCRIPT = "<script>alert(1)</script>"
IMAGE = '"><img src=http://evil.example/x onerror=alert(1)>'
FORMULA = '=HYPERLINK("http://evil.example")'
DATASET = Dataset(
    name="shop",
    id="id",
    label=Label(column="left", positive=("yes",), means=f"cancelled <b>soon</b> {SCRIPT}"),
    split=Split(validation=0.3, test=0.3),
    search=Search(trials=2, parallel=2),
    known=("vouched <i>",),
)


def rows(n: int = 1200) -> pa.Table:
    """Customers whose columns have names that nobody should trust."""
    rng = np.random.default_rng(3)
    visits, level, worth = rng.normal(size=n), rng.integers(0, 3, n), 300 + 400 * rng.random(n)
    left = rng.random(n) < 1 / (1 + np.exp(-(1.6 * visits + level - 2.2)))
    hashes = np.sort(rng.integers(0, 2**63, n, dtype=np.uint64) * np.uint64(2))
    return pa.table(
        {
            "_id": [f"c{number}" for number in range(n)],
            "_hash": pa.array(hashes, pa.uint64()),
            "_label": pa.array(left.astype(np.int8)),
            SCRIPT: visits,
            IMAGE: pa.array(np.array([FORMULA, "plain", "{{ 7 * 7 }}"])[level].tolist()).dictionary_encode(),
            FORMULA: rng.normal(size=n),
            "$\\frac{客户 😀": rng.normal(size=n),
            "worth": worth,
            "vouched <i>": np.zeros(n),
        }
    )


def read(folders: dict[str, Path], dataset: Dataset) -> PageFacts:
    reports = [
        StepReport.from_json((folders[name] / "report.json").read_bytes())
        for name in ("splits", "training", "evaluation")
    ]
    evaluation = reports[2].read(EvaluateReport)
    failing = Check("every_record_is_accounted_for", False, "a", SCRIPT, "fix it")
    return PageFacts(
        dataset=dataset,
        table=IngestReport(
            counts=IngestCounts(records=1213, rows=1200, quarantined=13, files=2, positives=400),
            columns={},
            ignored_columns=(),
            reasons={"a blank id": 2, f"Expected a number; found {SCRIPT}": 11},
        ),
        splits=reports[0].read(PreprocessReport),
        training=reports[1].read(TrainReport),
        evaluation=evaluation,
        checks=(failing, *(check for report in reports for check in report.checks)),
        decision=evaluation.decision,
        versions={"candidate": "abc123", "champion": "none yet"},
        looks=3,
        trained_on="2026-05-04",
        landed_on="2026-05-03",
        period=Period("2025-01-31", "2026-04-30"),
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("steps")


@pytest.fixture(scope="module")
def folders(home: Path) -> dict[str, Path]:
    write_table(home / "table" / "rows", rows())
    splits = run_in_folder(preprocess.step, home / "preprocess", DATASET, rows=home / "table")
    model = run_in_folder(train.step, home / "train", DATASET, splits=splits)
    judged = run_in_folder(evaluate.step, home / "evaluate", DATASET, splits=splits, candidate=model)
    return {"splits": splits, "training": model, "evaluation": judged}


@pytest.fixture(scope="module")
def facts(folders: dict[str, Path]) -> PageFacts:
    return read(folders, DATASET)


@pytest.fixture(scope="module")
def pictures(facts: PageFacts) -> dict[str, bytes]:
    return plots(facts)


@pytest.fixture(scope="module")
def text(facts: PageFacts, pictures: dict[str, bytes]) -> str:
    return _Parsed(page(facts, pictures)).text


class _Parsed(HTMLParser):
    """Tags with their attributes, and the text that a reader sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.text = re.sub(r"\s+", " ", "".join(self.texts))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.texts += [" "] if tag in ("td", "th") else []

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def changed(value: R, path: str, part: Any) -> R:
    """The same value with the part at a path replaced; the part is given as a report holds it."""
    plain = to_plain(value)
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place: Any = plain
    for step in way:
        place = place[step]
    assert last in place if isinstance(place, dict) else 0 <= int(last) < len(place)
    place[last] = part
    return from_plain(type(value), plain)


def without_numbers(value: Any, name: str = "") -> Any:
    """None for every number that may be one that is not finite; shares and grids are always numbers."""
    if name in ("share", "success", "assumed_success", "a", "b", "c"):
        return value
    if isinstance(value, dict):
        return {key: without_numbers(part, key) for key, part in value.items()}
    if isinstance(value, list):
        return [without_numbers(part, name) for part in value]
    return None if isinstance(value, float) else value


def test_the_page_loads_nothing_and_runs_nothing(facts: PageFacts, pictures: dict[str, bytes]) -> None:
    html = page(facts, pictures)
    parsed = _Parsed(html)
    links = [
        value
        for _, attributes in parsed.tags
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "action")
    ]
    assert links
    assert all(link is not None and link.startswith(("data:", "#")) for link in links)
    names = {tag for tag, _ in parsed.tags}
    assert not names & {"script", "iframe", "object", "embed", "base", "form", "video"}
    assert not any(name.startswith("on") for _, attributes in parsed.tags for name in attributes)
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'" in html
    assert len(html.encode()) < 1_000_000


def test_links_within_the_page_lead_somewhere(facts: PageFacts, pictures: dict[str, bytes]) -> None:
    parsed = _Parsed(page(facts, pictures))
    places = {attributes.get("id") for _, attributes in parsed.tags}
    wanted = {href[1:] for _, attributes in parsed.tags if (href := attributes.get("href") or "").startswith("#")}
    assert len(wanted) >= 8
    assert wanted <= places


def test_names_and_values_from_data_are_text_and_nothing_else(facts: PageFacts, pictures: dict[str, bytes]) -> None:
    hostile = replace(facts, decision=replace(facts.decision, reason=f"<u>kept {SCRIPT}"), versions={SCRIPT: IMAGE})
    parsed = _Parsed(page(hostile, pictures))
    for name in (
        SCRIPT,
        IMAGE,
        FORMULA,
        "$\\frac{客户 😀",
        "vouched <i>",
        "cancelled <b>soon</b>",
        f"<u>kept {SCRIPT}",
    ):
        assert name in parsed.text
    assert "{{ 7 * 7 }}" in parsed.text
    assert not {tag for tag, _ in parsed.tags} & {"u", "script"}
    assert len([tag for tag, _ in parsed.tags if tag == "img"]) == 3


def test_the_same_facts_give_the_same_bytes(facts: PageFacts, pictures: dict[str, bytes]) -> None:
    assert page(facts) == page(copy.deepcopy(facts), pictures)


def test_the_label_the_decision_and_its_reason_come_first(facts: PageFacts, text: str) -> None:
    places = [
        text.index(words)
        for words in (
            "a leaver is a customer who cancelled",
            "First champion: This model",
            facts.decision.reason,
            "What it saves",
        )
    ]
    assert places == sorted(places)


def test_the_words_are_the_houses(text: str) -> None:
    assert "threshold" not in text.lower()
    assert "because" not in text.lower()


@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [
        (
            "evaluation.money.saving_better",
            {"value": 4321.12, "median": 0.0, "low": 4001.23, "high": 4999.87},
            "$4,001.23 to $4,999.87",
        ),
        (
            "evaluation.money.saving_better",
            {"value": 4321.12, "median": 0.0, "low": 4001.23, "high": 4999.87},
            "$4,321.12 on these rows",
        ),
        (
            "evaluation.money.saving_better",
            {"value": 4.0, "median": 0.0, "low": 3.21, "high": 5.43},
            "$3,210 to $5,430",
        ),
        ("evaluation.money.saving_everybody.value", 777.77, "$777.77"),
        ("evaluation.money.cost_nobody", 888.88, "Contact nobody $888.88"),
        ("evaluation.money.cost_perfect", 9.87, "$9.87"),
        (
            "evaluation.money.saving_at.1.saving",
            {"value": 31.13, "median": 0.0, "low": 21.12, "high": 41.14},
            "50 of 100 $31.13 $21.12 to $41.14",
        ),
        (
            "evaluation.money.saving_at.2.saving",
            {"value": -3.0, "median": 0.0, "low": -4.0, "high": -2.0},
            "30 of 100 loses money -$3.00 -$4.00 to -$2.00",
        ),
        ("evaluation.contacts.cutoff_lowest", 0.1234, "12.3%"),
        ("evaluation.contacts.calls_per_leaver", 61.76, "61.8"),
        ("evaluation.reach.0.leavers", 9876, "9,876"),
        ("evaluation.reach.1.calls_per_leaver", 3.21, "3.2"),
        ("evaluation.contacts.confusion.false_positives", 7654, "7,654"),
        ("evaluation.contacts.confusion.false_negatives_cost", 765432.0, "cost $765,432"),
        ("evaluation.ece.value", 0.0432, "4.3%"),
        ("evaluation.calibration_slope", {"value": 0.5, "median": 0.5, "low": 0.4, "high": 0.6}, "too bold here"),
        ("evaluation.calibration_slope", {"value": 1.5, "median": 1.5, "low": 1.4, "high": 1.6}, "too timid here"),
        ("evaluation.auc", {"value": 0.7654, "median": 0.7, "low": 0.7321, "high": 0.7987}, "0.765 0.732 to 0.799"),
        ("reasons.mean_size.0", 3.21, "3.21"),
        (
            "searched_cutoff",
            {"cutoff": 0.37, "low": 0.31, "high": 0.43, "cost": 12.34},
            "Searched: 37% (range 31% to 43%)",
        ),
        ("searched_cutoff", {"cutoff": 0.37, "low": 0.31, "high": 0.43, "cost": 12.34}, "is outside that range"),
        ("searched_cutoff", {"cutoff": 0.37, "low": 0.11, "high": 0.43, "cost": 12.34}, "the searched one $12.34"),
    ],
)
def test_every_figure_is_the_steps_own(
    facts: PageFacts, pictures: dict[str, bytes], text: str, path: str, value: Any, shown: str
) -> None:
    other = replace(facts, evaluation=changed(facts.evaluation, path, value))
    assert shown in _Parsed(page(other, pictures)).text
    assert shown not in text


@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [
        ("leaderboard.0.log_loss", 0.98765, "0.9877"),
        ("left_out", {SCRIPT: "one value only"}, "one value only"),
        ("searched_on", "validation", "on the validation rows"),
    ],
)
def test_what_training_said_is_shown(
    facts: PageFacts, pictures: dict[str, bytes], text: str, path: str, value: Any, shown: str
) -> None:
    other = replace(facts, training=changed(facts.training, path, value))
    assert shown in _Parsed(page(other, pictures)).text
    assert shown not in text


def test_counts_quarantine_checks_versions_and_looks_are_shown(text: str) -> None:
    for shown in (
        "Records in 2 files 1,213",
        "In quarantine 13",
        "looked at 3 times",
        "candidate abc123",
        "Every record is accounted for does not hold",
    ):
        assert shown in text
    assert text.index("a blank id 2") > text.index(f"Expected a number; found {SCRIPT} 11")


def test_numbers_that_are_not_there_are_said_to_be_missing(facts: PageFacts) -> None:
    empty = replace(
        facts,
        evaluation=from_plain(EvaluateReport, without_numbers(to_plain(facts.evaluation))),
        training=from_plain(TrainReport, without_numbers(to_plain(facts.training))),
    )
    text = _Parsed(page(empty)).text
    assert "not known" in text
    assert "none, contacting never pays" in text
    assert "None" not in text
    assert "nan" not in re.findall(r"[a-z]+", text.lower())


def test_a_candidate_is_shown_beside_the_champion(
    home: Path, folders: dict[str, Path], pictures: dict[str, bytes]
) -> None:
    judged = run_in_folder(
        evaluate.step,
        home / "again",
        DATASET,
        splits=folders["splits"],
        candidate=folders["training"],
        champion=folders["training"],
    )
    facts = read({**folders, "evaluation": judged}, DATASET)
    text = _Parsed(page(facts, pictures)).text
    assert "Champion kept: The champion goes on scoring" in text
    assert "give every customer the same probability" in text
    assert facts.evaluation.comparison
    loss = facts.evaluation.comparison.log_loss.champion
    assert f"{loss:.4f} {loss:.4f} 0.0000" in text
    assert "There was no champion" not in text


def test_a_champion_that_cannot_score_is_told_with_its_reason(facts: PageFacts, pictures: dict[str, bytes]) -> None:
    judged = replace(facts.evaluation, champion_version="old", champion_problem="Expected column a; found none")
    text = _Parsed(page(replace(facts, evaluation=judged), pictures)).text
    assert "The champion could not score these customers: Expected column a; found none" in text


def test_without_a_champion_that_is_said(text: str) -> None:
    assert "There was no champion to compare with" in text


def test_a_refused_candidate_is_shown_with_its_suspects_and_what_to_do(
    facts: PageFacts, pictures: dict[str, bytes]
) -> None:
    leak = {
        "column": SCRIPT,
        "kind": "name",
        "evidence": None,
        "why": "its name speaks of leaving",
        "todo": "List it under ignore",
    }
    fact = Fact(name="saves_money", holds=False, expected="more", found="less", todo="Look at costs")
    worth = {"auc_with": 0.91, "auc_without": 0.84, "log_loss_with": 0.25, "log_loss_without": 0.312}
    leaked = changed(changed(facts.splits, "suspects", [leak]), "worth", worth)
    refused = replace(facts, splits=leaked, decision=Decision(outcome="refused", reason="no", facts=(fact,)))
    text = _Parsed(page(refused, pictures)).text
    banner = text[: text.index("What it saves")]
    for shown in (
        "This candidate must not be used",
        f"{SCRIPT}: its name speaks of leaving",
        "List it under ignore",
        "Saves money does not hold",
        "Look at costs",
        "The model does without it",
        "without, a small model has an AUC of 0.84 and a log loss of 0.312 on train rows, with 0.91 and 0.250",
    ):
        assert shown in banner


def test_the_facts_shown_are_those_of_the_decision_that_was_taken(facts: PageFacts, pictures: dict[str, bytes]) -> None:
    fact = Fact(name="not_worse", holds=True, expected="e", found="only here", todo="")
    old = Decision(outcome="promoted", reason=facts.decision.reason, facts=(fact,))
    judged = replace(facts.evaluation, decision_when_old=old)
    aged = replace(facts, evaluation=judged, decision=judged.decision_for(champion_is_old=True))
    text = _Parsed(page(aged, pictures)).text
    assert "Promoted: This model replaces the champion" in text
    assert "only here" in text


def test_weak_groups_are_named(facts: PageFacts, pictures: dict[str, bytes]) -> None:
    segment = {
        **to_plain(facts.evaluation)["segments"][0],
        "column": SCRIPT,
        "value": IMAGE,
        "weak": True,
        "rows": 4321,
        "observed": 0.4321,
    }
    text = _Parsed(page(replace(facts, evaluation=changed(facts.evaluation, "segments", [segment])), pictures)).text
    assert "In this group the outcome differs" in text
    assert f"{SCRIPT}: {IMAGE} 4,321" in text
    assert "In no group of at least 50 rows" not in text


def test_costs_as_a_business_states_them_are_shown_with_a_cutoff_for_each_customer(
    facts: PageFacts, pictures: dict[str, bytes]
) -> None:
    contact = Contact(cost=40.0, success=0.25, value=ValueColumn(column=f"worth {SCRIPT}"))
    judged = changed(facts.evaluation, "evaluation.contacts.cutoff_highest", None)
    judged = changed(judged, "evaluation.money.assumed_success", 0.25)
    text = _Parsed(
        page(replace(facts, evaluation=judged, dataset=replace(DATASET, costs=Costs(contact=contact))), pictures)
    ).text
    for shown in (
        "one contact, offer included $40.00",
        "by customer, column worth <script>",
        "20% and up by worth",
        "25 of 100 assumed in the spec",
        "if 25% of contacted leavers stay",
    ):
        assert shown in text


def test_rows_of_the_same_customer_are_called_rows(facts: PageFacts, pictures: dict[str, bytes]) -> None:
    judged = changed(facts.evaluation, "evaluation.customers", 99)
    text = _Parsed(page(replace(facts, evaluation=judged), pictures)).text
    rows = facts.evaluation.evaluation
    assert (
        f"{rows.rows:,} rows of 99 customers (a row is a customer on one date), whom the model had never seen." in text
    )
    assert re.search(rf"{rows.leavers:,} of the rows \(\d+%\) are of a customer who was to leave\.", text)


@pytest.mark.parametrize(
    ("mean", "low", "high", "words"),
    [
        (-2.0, -3.5, -0.5, "this candidate saves $2.00 more per customer, $64.00 instead of $66.00 (saved: $0.50 to $3.50)."),
        (-2.0, -3.5, 0.5, "$64.00 instead of $66.00 (saved: -$0.50 to $3.50, so chance may explain it)."),
        (1.5, 0.5, 2.5, "this candidate costs $1.50 more per customer, $64.00 instead of $66.00 (saved: -$2.50 to -$0.50)."),
    ],
)  # fmt: skip
def test_a_decision_between_two_models_is_said_in_money(
    facts: PageFacts, pictures: dict[str, bytes], mean: float, low: float, high: float, words: str
) -> None:
    cost = Difference(
        candidate=64.0,
        champion=66.0,
        mean=mean,
        upper=high,
        spread=Estimate(value=mean, median=mean, low=low, high=high),
    )
    comparison = Comparison(
        rows=300,
        left_out=0,
        leavers=40,
        resamples=9,
        same_probabilities=False,
        log_loss=cost,
        cost=cost,
        auc_candidate=0.8,
        auc_champion=0.7,
        smallest_gain=0.1,
    )
    judged = replace(facts.evaluation, champion_version="old", comparison=comparison)
    text = _Parsed(page(replace(facts, evaluation=judged), pictures)).text
    assert "In money: against the champion this candidate" in text
    assert words in text


def test_the_page_says_of_when_data_and_model_are(facts: PageFacts, pictures: dict[str, bytes]) -> None:
    text = _Parsed(page(facts, pictures)).text
    assert "Data from 2025-01-31 to 2026-04-30. Read on 2026-05-03. Model trained on 2026-05-04." in text
    undated = _Parsed(page(replace(facts, period=None, landed_on=None), pictures)).text
    assert "Data from" not in undated
    assert "Model trained on 2026-05-04." in undated


@pytest.mark.parametrize(
    ("column", "label"),
    [
        ("tenure_months", "tenure months"),
        ("MonthlyCharges", "Monthly Charges"),
        ("customerID", "customerID"),
        ("Day Charge", "Day Charge"),
        ("__", "__"),
    ],
)
def test_a_column_reads_as_words(column: str, label: str) -> None:
    assert readable(column) == label


def test_the_plots_are_the_five_that_the_asset_shows_each_below_60_kb(pictures: dict[str, bytes]) -> None:
    assert set(pictures) == {"cost_curve", "calibration", "reasons", "contributions", "confusion"}
    assert all(len(png) < 60_000 for png in pictures.values())


def optional_sections(kind: type) -> list[str]:
    """The fields of a report that an older version may not have written."""
    hints = get_type_hints(kind)
    return [field.name for field in fields(kind) if field.default is None and type(None) in get_args(hints[field.name])]


OLDER = [
    (part, section)
    for part, kind in (("evaluation", EvaluateReport), ("training", TrainReport), ("table", IngestReport))
    for section in optional_sections(kind)
    if section != "champion_problem"
]


@pytest.mark.parametrize(("part", "section"), OLDER)
def test_a_section_that_an_older_report_does_not_have_is_not_evaluated_and_no_error(
    facts: PageFacts, part: str, section: str
) -> None:
    whole = getattr(facts, part)
    plain = to_plain(whole)
    del plain[section]
    older = replace(facts, **{part: from_plain(type(whole), plain)})
    if section == "comparison":
        older = replace(older, evaluation=replace(older.evaluation, champion_version="old"))
    text = _Parsed(page(older)).text
    shown_on_the_page = section not in (
        "kinds",
        "ignored_columns",
        "out_of_fold_curve",
        "averaged",
        "more_would_help",
        "engine",
        "missing_words",
        "remarks",
    )
    assert ("Not evaluated by the version that made this evaluation" in text) == shown_on_the_page
