from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.costs import Contact, Costs, ValueColumn
from churn_model.spec.sections.endpoint import Endpoint, Idle, Scaling
from churn_model.spec.sections.file_format import FileFormat
from churn_model.spec.sections.gate import Gate
from churn_model.spec.sections.retention_list import RetentionList
from churn_model.spec.sections.schedule import Schedule
from churn_model.spec.sections.search import Search
from churn_model.spec.sections.source import Source
from churn_model.spec.sections.split import Split
from resources.catalog.source_code import trace_source
from resources.catalog.versions import READS, Maker, restrict_dataset, step_maker, version_of

CHANGES: dict[str, Callable[[Dataset], Dataset]] = {
    "costs": lambda d: replace(d, costs=Costs(false_negative=900)),
    "worth": lambda d: replace(d, costs=Costs(contact=Contact(cost=1, value=ValueColumn(column="worth")))),
    "schedule": lambda d: replace(d, schedule=Schedule(retrain="0 0 * * 0")),
    "search": lambda d: replace(d, search=Search(trials=3)),
    "seed": lambda d: replace(d, split=Split(seed=2)),
    "test share": lambda d: replace(d, split=Split(test=0.2)),
    "gate": lambda d: replace(d, gate=Gate(promotion="not_worse")),
    "budget": lambda d: replace(d, list=RetentionList(budget=10)),
    "a caller's columns": lambda d: replace(d, list=RetentionList(columns=("name",), excel=True)),
    "opt-out": lambda d: replace(d, list=RetentionList(opt_out="no")),
    "label's words": lambda d: replace(d, label=replace(d.label, means="gone")),
    "label's values": lambda d: replace(d, label=replace(d.label, positive=("1",))),
    "words": lambda d: replace(d, words={"plan": "the {value} plan"}),
    "groups": lambda d: replace(d, groups={"the bill": ("day", "night")}),
    "ignore": lambda d: replace(d, ignore=("phone",)),
    "sheet": lambda d: replace(d, source=Source(sheet="Customers")),
    "encoding": lambda d: replace(d, format=FileFormat(encoding="cp1252")),
    "source table": lambda d: replace(d, source=Source(table="crm.customers")),
    "endpoint's memory": lambda d: replace(d, endpoint=Endpoint(memory=4096)),
    "endpoint's idleness": lambda d: replace(d, endpoint=Endpoint(idle=Idle(delete=True))),
}
TOUCHED: dict[str, set[str]] = {
    "costs": {"evaluate", "evaluation_page", "score", "endpoint", "compare", "shadow", "retention_list", "batch_page"},
    "worth": {
        *("ingest", "evaluate", "evaluation_page", "compare", "shadow", "score"),
        *("endpoint", "retention_list", "batch_page"),
    },
    "schedule": set(),
    "search": {"train", "evaluation_page"},
    "seed": {"ingest", "preprocess", "train", "evaluate", "compare"},
    "test share": {"preprocess", "train", "evaluate", "compare"},
    "gate": {"evaluate"},
    "budget": {"retention_list", "batch_page"},
    "a caller's columns": {"list_layout", "batch_page", "shadow"},
    "opt-out": set(READS),
    "label's words": {"explore", "evaluate", "evaluation_page", "batch_page", "comparison_page"},
    "label's values": set(READS),
    "words": {"evaluate", "score", "endpoint"},
    "groups": {"evaluate", "score", "endpoint"},
    "ignore": {"explore", "preprocess", "train", "evaluate"},
    "sheet": {"ingest", "list_layout"},
    "encoding": {"ingest", "list_layout"},
    "source table": set(),
    "endpoint's memory": {"endpoint"},
    "endpoint's idleness": {"endpoint"},  # there is one now
}


def version(maker: str, dataset: Dataset, upstream: Sequence[str] = ()) -> str:
    """The version that only the spec and what is upstream can change."""
    same = Maker(maker, modules=("churn_model.errors",))
    return version_of(same, dataset, {str(number): each for number, each in enumerate(upstream)}, libraries="")


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_spec_makes_new_versions_of_just_the_steps_that_read_it(dataset: Dataset, change: str) -> None:
    changed = CHANGES[change](dataset)
    touched = {step for step in READS if version(step, dataset) != version(step, changed)}
    assert touched == TOUCHED[change]


@pytest.mark.parametrize("step", READS)
def test_a_step_sees_no_more_than_its_version_counts(dataset: Dataset, step: str) -> None:
    for change in CHANGES.values():
        changed = change(dataset)
        same_view = restrict_dataset(dataset, step) == restrict_dataset(changed, step)
        assert same_view == (version(step, dataset) == version(step, changed))


def test_a_new_price_refits_a_model_only_if_the_search_is_by_cost(dataset: Dataset) -> None:
    by_cost = replace(dataset, search=Search(metric="cost"))
    assert version("train", dataset) == version("train", CHANGES["costs"](dataset))
    assert version("train", by_cost) != version("train", CHANGES["costs"](by_cost))


def test_what_is_upstream_is_part_of_a_version_by_its_name_in_any_order(dataset: Dataset) -> None:
    versions = {version("train", dataset, upstream) for upstream in ([], ["a"], ["a", "b"], ["b", "a"], ["ab"])}
    assert len(versions) == 5
    assert all(len(each) == 16 for each in versions)
    orders = permutations({"a": "1", "b": "2", "c": "3"}.items())
    assert len({version_of(step_maker("train"), dataset, dict(order), libraries="") for order in orders}) == 1


def test_a_versions_code_is_that_of_the_step_and_of_all_it_imports(tmp_path: Path) -> None:
    steps = tmp_path / "churn_model" / "steps"
    steps.mkdir(parents=True)
    sources = {
        "steps/score.py": "from churn_model.scoring import score",
        "scoring.py": "def f():\n    from churn_model import deep",
        "deep.py": "import numpy",
        "other.py": "",
    }
    for name, text in sources.items():
        (tmp_path / "churn_model" / name).write_text(text)
    digests = {"before": _digest(tmp_path)}
    for name in sources:
        path = tmp_path / "churn_model" / name
        path.write_text(path.read_text() + "\nchanged = 1")
        digests[name] = _digest(tmp_path)
    assert digests["deep.py"] == digests["other.py"]
    assert len(set(digests.values())) == 4


def _digest(project: Path) -> str:
    trace_source.cache_clear()
    return trace_source(("churn_model.steps.score",), project).digest


def test_how_many_machines_an_endpoint_has_and_what_happens_if_nobody_asks_makes_no_other(dataset: Dataset) -> None:
    one = Endpoint(engine="instance")
    scaled = Endpoint(engine="instance", scaling=Scaling(most=3, invocations=10))
    for other in (replace(one, count=3), replace(one, idle=Idle(after="1d")), scaled):
        assert restrict_dataset(replace(dataset, endpoint=other), "endpoint") == restrict_dataset(
            replace(dataset, endpoint=one), "endpoint"
        )
