"""What is made again when a place of the source, the lock or a spec is edited. Only versions are computed: nothing runs."""

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from churn_assets.assets.evaluation_report import PAGE_MAKER as EVALUATION_PAGE_MAKER
from churn_assets.assets.exploration_report import PAGE_MAKER as EXPLORATION_PAGE_MAKER
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.costs import Costs
from churn_model.spec.sections.gate import Gate
from churn_model.spec.sections.label import Label
from churn_model.spec.sections.retention_list import RetentionList
from churn_model.spec.sections.schedule import Schedule
from churn_model.spec.sections.search import Search
from resources.catalog import names
from resources.catalog.source_code import locked_releases, trace_source
from resources.catalog.versions import Maker, step_maker, version_of
from resources.settings import PROJECT

LIST_CSV = "churn_model/decisions/list_csv.py"
RAW_CUSTOMERS, RAW_BATCH = names.RAW_CUSTOMERS, names.RAW_BATCH
SPLITS, MODEL, EVALUATION = names.PREPROCESSED_SPLITS, names.TUNED_MODEL, names.EVALUATION_REPORT
PAGE, EXPLORATION, COMPARISON = names.EVALUATION_PAGE, names.EXPLORATION_REPORT, names.MODEL_COMPARISON
PREDICTIONS, LIST, LAYOUT = names.BATCH_PREDICTIONS, names.RETENTION_LIST, names.LIST_LAYOUT
SHADOW = names.SHADOW


@dataclass(frozen=True)
class Made:
    """How an asset is made: by whom, and from which assets."""

    maker: Maker
    upstream: tuple[str, ...] = ()


GRAPH: Mapping[str, Made] = {
    RAW_CUSTOMERS: Made(step_maker("ingest")),
    SPLITS: Made(step_maker("preprocess"), (RAW_CUSTOMERS,)),
    MODEL: Made(step_maker("train"), (SPLITS,)),
    EVALUATION: Made(step_maker("evaluate"), (SPLITS, MODEL)),
    PAGE: Made(EVALUATION_PAGE_MAKER, (EVALUATION,)),
    EXPLORATION: Made(EXPLORATION_PAGE_MAKER, (RAW_CUSTOMERS,)),
    COMPARISON: Made(step_maker("compare"), (SPLITS, MODEL)),
    RAW_BATCH: Made(step_maker("ingest")),  # and the columns that the champion needs, not its version
    PREDICTIONS: Made(step_maker("score"), (RAW_BATCH, MODEL)),
    LIST: Made(step_maker("retention_list"), (PREDICTIONS,)),
    LAYOUT: Made(step_maker("list_layout"), (LIST,)),
    SHADOW: Made(step_maker("shadow"), (RAW_BATCH, MODEL)),
}
EVERYTHING = set(GRAPH)
FROM_SPLITS = EVERYTHING - {RAW_CUSTOMERS, RAW_BATCH, EXPLORATION}
FROM_MODEL = FROM_SPLITS - {SPLITS}
NOTHING: set[str] = set()


@pytest.fixture(scope="module")
def plain() -> Dataset:
    return Dataset(name="telco", id="customer", label=Label(column="left", positive=("yes",), means="cancelled"))


Edit = Callable[[str], str]


def add_statement(text: str) -> str:
    return text + "\n_ADDED = 1\n"


def add_comment(text: str) -> str:
    return "# Another comment.\n" + text + "\n\n\n# And one more.\n"


def edit_docstrings(text: str) -> str:
    return text.replace('"""', '"""Other words. ', 1).replace(':\n    """', ':\n    """Other words. ')


def edit_todo(text: str) -> str:
    """Edit the first message that a check or an error gives."""
    return re.sub(r'todo=(f?)"', r'todo=\1"please ', text, count=1)


def edit_expected(text: str) -> str:
    return re.sub(r'expected=(f?)"', r'expected=\1"really ', text, count=1)


def edit_text(old: str, new: str) -> Edit:
    return lambda text: text.replace(old, new, 1)


def bump(distribution: str) -> Edit:
    return lambda text: re.sub(rf"(?m)^({distribution}==)\S+", r"\g<1>99.0", text)


LOCK = "requirements.lock"
TEMPLATES = "churn_assets/reporting/templates"
EDITS: list[tuple[str, str, Edit, set[str]]] = [
    # Each asset has a place of its own that makes it again, and what is made from it.
    ("a step's code", "churn_model/steps/ingest.py", add_statement, EVERYTHING),
    ("how files are read", "churn_model/ingest/formats/csv_records.py", add_statement, EVERYTHING),
    ("how rows are split", "churn_model/training/splits.py", add_statement, FROM_SPLITS),
    ("leak detection", "churn_model/training/leak_detection.py", add_statement, FROM_SPLITS | {EXPLORATION}),
    ("the search", "churn_model/training/search.py", add_statement, FROM_MODEL),
    ("the gate", "churn_model/evaluation/promotion.py", add_statement, {EVALUATION, PAGE}),
    ("a metric", "churn_model/evaluation/metrics.py", add_statement, {EVALUATION, PAGE, COMPARISON}),
    ("the comparison", "churn_model/steps/compare.py", add_statement, {COMPARISON}),
    ("a model in the shadow", "churn_model/steps/shadow.py", add_statement, {SHADOW}),
    ("scoring", "churn_model/scoring.py", add_statement, {PREDICTIONS, LIST, LAYOUT}),
    ("a reason's words", "churn_model/models/reasons.py", add_statement, {EVALUATION, PAGE, PREDICTIONS, LIST, LAYOUT}),
    (
        "how figures read",
        "churn_model/wording.py",
        add_statement,
        {EVALUATION, PAGE, PREDICTIONS, LIST, LAYOUT, EXPLORATION},
    ),
    (
        "how reasons are computed",
        "churn_model/models/tree_shap.py",
        add_statement,
        {EVALUATION, PAGE, PREDICTIONS, LIST, LAYOUT},
    ),
    ("the cost curve", "churn_model/evaluation/cost_curve.py", add_statement, {EVALUATION, PAGE, COMPARISON}),
    ("what an evaluation reports", "churn_model/reports/evaluate.py", add_statement, {EVALUATION, PAGE}),
    ("who is listed", "churn_model/decisions/retention_list.py", add_statement, {LIST, LAYOUT}),
    ("the list's CSV", LIST_CSV, add_statement, {LAYOUT, SHADOW}),
    ("a caller's columns", "churn_model/ingest/list_columns.py", add_statement, {LAYOUT}),
    ("a plot", "churn_assets/reporting/plots.py", add_statement, {PAGE}),
    ("the evaluation page", "churn_assets/reporting/evaluation_page.py", add_statement, {PAGE}),
    ("its template", f"{TEMPLATES}/report.html.j2", edit_text("<title>", "<title>New "), {PAGE}),
    ("the pages' style", f"{TEMPLATES}/report.css.j2", edit_text("{", "{ "), {PAGE, EXPLORATION}),
    ("the exploration page", "churn_assets/reporting/exploration_page.py", add_statement, {EXPLORATION}),
    ("its template", f"{TEMPLATES}/exploration.html.j2", edit_text("<title>", "<title>New "), {EXPLORATION}),
    ("a claim about the landed table", "churn_model/steps/claims/ingest.py", add_statement, EVERYTHING),
    ("a claim about the splits", "churn_model/steps/claims/preprocess.py", add_statement, FROM_SPLITS),
    ("a claim about predictions", "churn_model/steps/claims/score.py", add_statement, {PREDICTIONS, LIST, LAYOUT}),
    # What is no code.
    (
        "a claim's words",
        "churn_model/steps/claims/score.py",
        edit_text('description="', 'description="Really: '),
        NOTHING,
    ),
    (
        "a claim's words",
        "churn_model/evaluation/promotion_facts.py",
        edit_text('description="', 'description="Really: '),
        NOTHING,
    ),
    ("a comment", "churn_model/steps/ingest.py", add_comment, NOTHING),
    ("a comment everywhere is read", "churn_model/spec/dataset.py", add_comment, NOTHING),
    ("docstrings", "churn_model/training/search.py", edit_docstrings, NOTHING),
    ("a check's message", "churn_model/steps/score_report.py", edit_todo, NOTHING),
    ("a check's other message", "churn_model/steps/preprocess.py", edit_expected, NOTHING),
    ("an error's message", "churn_model/models/bundle.py", edit_expected, NOTHING),
    ("an asset's description", "churn_assets/assets/tuned_model.py", add_statement, NOTHING),
    ("the command line", "churn_assets/cli/app.py", add_statement, NOTHING),
    ("a job", "jobs/retrain.py", add_statement, NOTHING),
    # The lock.
    ("a library that nothing computes with", LOCK, bump("rich"), NOTHING),
    ("the library of the search", LOCK, bump("optuna"), FROM_MODEL),
    ("what draws the pages", LOCK, bump("matplotlib"), {PAGE, EXPLORATION}),
    ("what a library needs", LOCK, bump("scipy"), FROM_SPLITS | {EXPLORATION}),
    ("what every step reads with", LOCK, bump("pyarrow"), EVERYTHING),
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source that may be edited."""
    copy = tmp_path_factory.mktemp("project")
    for room in ("churn_model", "churn_assets", "resources", "jobs"):
        shutil.copytree(PROJECT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / LOCK, copy / LOCK)
    return copy


@pytest.fixture(scope="module")
def before(project: Path, plain: Dataset) -> dict[str, str]:
    """The versions before any edit."""
    return versions(project, plain)


def versions(project: Path, dataset: Dataset) -> dict[str, str]:
    """The version of each asset, from those upstream."""
    trace_source.cache_clear()
    locked_releases.cache_clear()
    found: dict[str, str] = {}
    for asset, made in GRAPH.items():
        libraries = locked_releases(made.maker.source(project).libraries, project)
        upstream = {name: found[name] for name in made.upstream}
        found[asset] = version_of(made.maker, dataset, upstream, libraries=libraries, project=project)
    return found


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    return {asset for asset in GRAPH if before[asset] != after[asset]}


@pytest.mark.parametrize(("file", "edit", "remade"), [pytest.param(*case[1:], id=case[0]) for case in EDITS])
def test_an_edit_remakes_what_it_changes_and_what_is_made_from_that(
    project: Path, plain: Dataset, before: Mapping[str, str], file: str, edit: Edit, remade: set[str]
) -> None:
    path = project / file
    original = path.read_text("utf-8")
    edited = edit(original)
    assert edited != original
    path.write_text(edited, "utf-8")
    try:
        assert changed(before, versions(project, plain)) == remade
    finally:
        path.write_text(original, "utf-8")


SPECS: list[tuple[str, Callable[[Dataset], Dataset], set[str]]] = [
    (
        "a price: no model is fitted again",
        lambda d: replace(d, costs=Costs(false_negative=900)),
        {EVALUATION, PAGE, COMPARISON, PREDICTIONS, LIST, LAYOUT, SHADOW},
    ),
    ("the schedule", lambda d: replace(d, schedule=Schedule(retrain="0 0 * * 0")), NOTHING),
    ("the search", lambda d: replace(d, search=Search(trials=3)), FROM_MODEL),
    (
        "a caller's columns: nobody is listed anew",
        lambda d: replace(d, list=RetentionList(columns=("name",))),
        {LAYOUT},
    ),
    ("a mark for Excel", lambda d: replace(d, list=RetentionList(excel=True)), {LAYOUT, SHADOW}),
    ("the capacity", lambda d: replace(d, list=RetentionList(capacity=9)), {LIST, LAYOUT}),
]


@pytest.mark.parametrize(("edit", "remade"), [pytest.param(*case[1:], id=case[0]) for case in SPECS])
def test_a_spec_remakes_what_reads_it(
    project: Path, plain: Dataset, before: Mapping[str, str], edit: Callable[[Dataset], Dataset], remade: set[str]
) -> None:
    assert changed(before, versions(project, edit(plain))) == remade


def test_a_price_refits_the_model_if_the_search_is_by_cost(project: Path, plain: Dataset) -> None:
    by_cost = replace(plain, search=Search(metric="cost"))
    dearer = replace(by_cost, costs=Costs(false_negative=900))
    assert changed(versions(project, by_cost), versions(project, dearer)) == FROM_MODEL


def test_who_approves_a_candidate_remakes_its_page_alone(
    project: Path, plain: Dataset, before: Mapping[str, str]
) -> None:
    assert changed(before, versions(project, replace(plain, gate=Gate(promotion="manual")))) == {PAGE}
    assert EVALUATION in changed(before, versions(project, replace(plain, gate=Gate(promotion="not_worse"))))
