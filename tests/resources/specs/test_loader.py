import re
from pathlib import Path

import pytest

from churn_model.errors import SpecError
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.costs import Costs
from churn_model.spec.sections.label import Label
from churn_model.spec.sections.retention_list import RetentionList
from churn_model.spec.sections.search import Search
from churn_model.spec.sections.split import Split
from resources.specs.json_schema import SCHEMA_FILE, schema_json
from resources.specs.loader import load_spec, load_specs, name_problem

ROOT = Path(__file__).resolve().parents[3]
LABEL = "label: {column: Churn, positive: [Yes]}\n"


def spec(folder: Path, text: str, name: str = "telco.yaml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(SpecError) as raised:
        load_spec(spec(folder, text))
    return str(raised.value).splitlines()


def test_a_label_is_enough(tmp_path: Path) -> None:
    assert load_spec(spec(tmp_path, LABEL)) == Dataset(name="telco", label=Label(column="Churn", positive=("Yes",)))


def test_every_section_is_read(tmp_path: Path) -> None:
    text = """
id: customerID
label: {column: Churn, positive: [Yes, True., 1], negative: [no]}
ignore: [phone]
types: {SeniorCitizen: category}
derived: {total: "`Day Charge` + Eve"}
split: {by: hash, validation: .25, test: 1e-1, seed: 7}
costs: {false_negative: 1_000, contact: }
list: {budget: 5000, capacity: 200}
search: {families: [linear, boosted_trees]}
source: {landing: false, table: crm.customers}
gate:
"""
    found = load_spec(spec(tmp_path, text))
    assert found.label == Label(column="Churn", positive=("Yes", "True.", "1"), negative=("no",))
    assert (found.id, found.ignore, found.types, found.derived) == (
        "customerID",
        ("phone",),
        {"SeniorCitizen": "category"},
        {"total": "`Day Charge` + Eve"},
    )
    assert found.split == Split(validation=0.25, test=0.1, seed=7)
    assert (found.costs, found.list) == (Costs(false_negative=1000), RetentionList(budget=5000, capacity=200))
    assert found.search == Search(families=("linear", "boosted_trees"))
    assert found.source.table == "crm.customers"
    assert not found.source.landing


@pytest.mark.parametrize(
    "written",
    [
        "Yes",
        "yes",
        "No",
        "on",
        "off",
        "True",
        "true",
        "True.",
        "1",
        "0",
        "1.0",
        "007",
        "2020-01-01",
        "1_000",
        ".5",
        "y",
    ],
)
def test_a_label_means_what_is_written_whatever_yaml_takes_it_for(tmp_path: Path, written: str) -> None:
    found = load_spec(spec(tmp_path, f"label: {{column: Churn, positive: [{written}], negative: [other]}}"))
    assert found.label.positive == (written,)


def test_five_mistakes_get_five_messages_with_line_and_remedy(tmp_path: Path) -> None:
    text = """# a customer table
id: customerID
label:
  column: Churn
  postive: [Yes]
  positive: [Yes]
types: {SeniorCitizen: categorical}
costs:
  false_negative: a lot
derived:
  total: "`Day Charge` ++ 1"
schedule: {retrain: "0 25 * * 1"}
"""
    assert problems(tmp_path, text) == [
        "telco.yaml:5: label.postive: Expected one of column, positive, negative, means; found 'postive'. Did you mean positive?",
        "telco.yaml:7: types.SeniorCitizen: Expected one of category, number, date; found 'categorical'. Did you mean category?",
        "telco.yaml:9: costs.false_negative: Expected a number; found 'a lot'. Write digits, such as 500 or 0.2.",
        "telco.yaml:11: derived.total: character 15: Expected an expression such as `Day Charge` + 2 * (`Eve Charge` >= 10); "
        "found '+'. Correct it here.",
        "telco.yaml:12: schedule.retrain: Expected a cron line of five fields; found '25' as the hour. "
        'Write minute, hour, day, month, weekday: "0 6 * * 1" is Mondays at six.',
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id: x", r":1: Expected a label; found none. Add `label: \{column: \.\.\., positive: \[\.\.\.\]\}`"),
        ("label:", r":1: label: Expected a mapping; found nothing. Write `key: value` lines, indented below"),
        (
            "label: {column: Churn}",
            r":1: label.positive: Expected a value; found none. Add `positive: \.\.\.`: the values that mean: left",
        ),
        (
            "label: {column: Churn, positive: []}",
            r":1: label.positive: Expected at least one value; found none. Write for example",
        ),
        (
            "label: {column: Churn, positive: Yes}",
            r":1: label.positive: Expected a list; found 'Yes'. Write \[one, two\]",
        ),
        ("label: {column: [a], positive: [Yes]}", r":1: label.column: Expected text; found a list"),
        ("label: {column: Churn, positive: [~]}", r":1: label.positive\[0\]: Expected text; found nothing"),
        (LABEL + "name: telco", r":2: name: Expected no name; found one. Remove the line"),
        (LABEL + "budget: 10", r":2: budget: Expected one of .*; found 'budget'. Move it under list:"),
        (
            LABEL + "colour: red",
            r":2: colour: Expected one of .*; found 'colour'. Remove it; docs/dataset.schema.json describes",
        ),
        (LABEL + "Costs: {}", r":2: Costs: .*. Did you mean costs\?"),
        (LABEL + "ignore: phone", r":2: ignore: Expected a list; found 'phone'"),
        (LABEL + "ignore:\n  - a\n  - {b: c}", r":4: ignore\[1\]: Expected text; found a mapping"),
        (LABEL + "types: [a]", r":2: types: Expected a mapping; found a list"),
        (LABEL + "words: {a: }", r":2: words.a: Expected text; found nothing"),
        (
            LABEL + "split: {validation: 1.5}",
            r":2: split.validation: Expected a share between 0 and 1; found 1.5. Write shares",
        ),
        (
            LABEL + "split: {validation: 0.6, test: 0.4}",
            r":2: split: Expected validation and test to add up to less than 1; found 1. Write shares",
        ),
        (
            LABEL + "split: {by: column}",
            r":2: split: Expected a column beside by: column; found none. Write `column: <name>`",
        ),
        (
            LABEL + "split: {by: colum}",
            r":2: split.by: Expected one of hash, column, time; found 'colum'. Did you mean column\?",
        ),
        (
            LABEL + "split: {seed: 1.5}",
            r":2: split.seed: Expected a whole number; found '1.5'. Write digits, such as 20",
        ),
        (
            LABEL + "costs: {false_positive: -1}",
            r":2: costs: Expected false_positive above true_negative; found -1 and 0. Correct one of them: a contact must",
        ),
        (LABEL + "costs: {false_negative: .inf}", r":2: costs.false_negative: Expected a number; found '.inf'"),
        (LABEL + "costs: {false_negative: inf}", r":2: costs.false_negative: Expected a finite number; found inf"),
        (
            LABEL + "costs: {contact: {cost: 5, value: lots}}",
            r":2: costs.contact.value: Expected a number, or \{column: name\}; found 'lots'",
        ),
        (
            LABEL + "costs: {contact: {cost: 5, value: {colum: x}}}",
            r"costs.contact.value.colum: Expected only column; found 'colum'. Did you mean",
        ),
        (
            LABEL + "costs: {contact: {cost: 5, value: 4}}",
            r":2: costs.contact: Expected value x success above cost; found .* never pays. Correct",
        ),
        (LABEL + "costs: {contact: 5}", r":2: costs.contact: Expected a mapping; found '5'"),
        (
            LABEL + "list: {cooldown: a month, capacity: many}",
            r":2: list.cooldown: Expected a whole number above 0 and a unit .*; found 'a month'",
        ),
        (
            LABEL + "list: {cooldown: a month, capacity: many}",
            r":2: list.capacity: Expected a whole number; found 'many'",
        ),
        (
            LABEL + "list: {budget: 0}",
            r":2: list.budget: Expected more than 0; found 0.0. Correct it, or remove the line",
        ),
        (LABEL + "horizon: 0d", r":2: horizon: Expected a whole number above 0 and a unit"),
        (LABEL + "horizon: [30d]", r":2: horizon: Expected text; found a list"),
        (
            LABEL + "search: {families: [boosted_tree]}",
            r"search.families\[0\]: Expected one of boosted_trees, .*. Did you mean boosted_trees\?",
        ),
        (
            LABEL + "search: {engine: tuners}",
            r":2: search.engine: Expected one of job, tuner; found 'tuners'",
        ),
        (
            LABEL + "search: {engine: tuner, time: 10m}",
            r":2: search.time: Expected none with engine: tuner, whose jobs it cannot bound; found 10m. Remove it and",
        ),
        (
            LABEL + "search: {families: [linear, linear]}",
            r":2: search.families: Expected each family once; found linear",
        ),
        (LABEL + "schedule: {retrain: 0 0 31 2 *}", r":2: schedule.retrain: .*found '0 0 31 2 \*', which never fires"),
        (LABEL + 'words: {a: "a\\ud800b"}', r":2: words.a: Expected text; found half a character. Write the character"),
        (LABEL + 'words: {"a\\ud800b": b}', r":2: words: Expected a name before the colon; found half a character"),
        (LABEL + "search: {trials: 0}", r":2: search.trials: Expected 1 to 1000; found 0. Write for example"),
        (
            LABEL + "source: {landing: perhaps}",
            r":2: source.landing: Expected true or false; found 'perhaps'. Write one of the two",
        ),
        (
            LABEL + "source: {table: customers}",
            r":2: source.table: Expected database.table; found 'customers'. Write table: database.table",
        ),
        (LABEL + "schedule: weekly", r":2: schedule: Expected a mapping; found 'weekly'"),
    ],
)
def test_a_mistake_is_told_by_line_and_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        load_spec(spec(tmp_path, text))


def test_a_wrong_type_hides_no_value_out_of_range_in_the_same_section(tmp_path: Path) -> None:
    found = problems(
        tmp_path, LABEL + "list: {capacity: -3, budget: abc, holdout: 2}\nsplit: {test: 3, validation: abc}\n"
    )
    assert [line.split(": ")[1] for line in found] == [
        "list.budget",
        "list.capacity",
        "list.holdout",
        "split.validation",
        "split.test",
    ]


def test_a_broken_section_hides_no_rule_between_the_others(tmp_path: Path) -> None:
    found = problems(tmp_path, LABEL + "id: [x]\ncosts: dear\nignore: [churn]\nlist: {opt_out: CHURN}")
    assert [line.split(":")[1] for line in found] == ["2", "3", "4", "5"]


def test_a_broken_as_of_is_not_taken_for_none(tmp_path: Path) -> None:
    assert len(problems(tmp_path, LABEL + "as_of: [day]\nsplit: {by: time}")) == 1


@pytest.mark.parametrize("name", ["telco", "t2", "a12345678901"])
def test_a_name_is_short_and_lower_case(name: str) -> None:
    assert name_problem(name) is None


@pytest.mark.parametrize("name", ["t", "Telco", "2telco", "tel-co", "landing", "a123456789012", "", "télco", "telco\n"])
def test_another_name_is_told(name: str) -> None:
    assert "Expected a dataset named by 2 to 12 lower-case letters and digits" in (name_problem(name) or "")


def test_a_wrong_name_comes_with_a_better_one_and_the_other_problems(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as raised:
        load_spec(spec(tmp_path, LABEL + "colour: red", "2024-Telco.yaml"))
    first, second = str(raised.value).splitlines()
    assert first.startswith("2024-Telco.yaml:1: Expected a dataset named by")
    assert first.endswith("Name it telco, and its file telco.yaml.")
    assert "colour" in second


def test_a_bad_spec_stops_no_good_one(tmp_path: Path) -> None:
    spec(tmp_path, LABEL, "good.yaml")
    spec(tmp_path, "label: [", "bad.yaml")
    spec(tmp_path, LABEL, "other.yml")
    spec(tmp_path, "not ours", "notes.txt")
    spec(tmp_path, "not ours", ".#good.yaml")
    (tmp_path / "folder.yaml").mkdir()
    specs = load_specs(tmp_path)
    assert list(specs.datasets) == ["good"]
    assert list(specs.bad) == ["bad", "folder", "other.yml"]
    assert re.search(
        "Expected a file that ends with .yaml; found other.yml. Rename it to other.yaml", str(specs.bad["other.yml"])
    )


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        SpecError, match=r"Expected a folder of specs at .*nowhere; found none. Make one with `churn new`"
    ):
        load_specs(tmp_path / "nowhere")


def test_an_empty_folder_is_no_mistake(tmp_path: Path) -> None:
    assert not load_specs(tmp_path).datasets


def test_the_shipped_specs_load_and_survive_the_way_to_a_step() -> None:
    specs = load_specs(ROOT / "datasets")
    assert not specs.bad
    assert {"larose", "leads", "sample", "synthetic", "telco"} <= set(specs.datasets)
    for dataset in specs.datasets.values():
        assert Dataset.from_json(dataset.to_json()) == dataset


def test_the_shipped_specs_name_their_schema_first() -> None:
    for path in (ROOT / "datasets").glob("*.yaml"):
        assert path.read_text("utf-8").startswith("# yaml-language-server: $schema=../docs/dataset.schema.json\n")


def test_the_published_schema_is_the_one_the_code_makes() -> None:
    assert (ROOT / SCHEMA_FILE).read_text("utf-8") == schema_json(), (
        "write it again: python -m resources.specs.json_schema"
    )


def test_the_schema_describes_every_key_and_no_name() -> None:
    text = schema_json()
    assert '"name"' not in text
    assert "The column that names a customer, kept as landed; " in text
    assert '"pattern": "^[0-9]+[smhd]$"' in text


def test_an_endpoint_is_there_only_where_the_spec_says_so(tmp_path: Path) -> None:
    assert load_spec(spec(tmp_path, LABEL)).endpoint is None
    found = load_spec(spec(tmp_path, LABEL + "endpoint: {}\n")).endpoint
    assert found is not None
    assert (found.is_serverless, found.memory_megabytes, found.most_at_once, found.idle.after) == (True, 2048, 5, "7d")
    text = "endpoint: {engine: instance, scaling: {most: 4, invocations: 600}, capture: 0.25, idle: {after: 2d, delete: true}}\n"
    found = load_spec(spec(tmp_path, LABEL + text)).endpoint
    assert found is not None
    assert (found.instance_type, found.instances, found.capture_percent) == ("ml.m5.large", 1, 25)
    assert (found.idle.after, found.idle.delete) == ("2d", True)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("{instance: ml.m5.large}", "endpoint.instance: Expected none with engine: serverless; found ml.m5.large"),
        ("{count: 2, capture: 0.1}", "endpoint.capture: Expected none with engine: serverless; found 0.1"),
        ("{scaling: {most: 2, invocations: 9}}", "endpoint.scaling: Expected none with engine: serverless"),
        ("{engine: instance, memory: 2048}", "endpoint.memory: Expected none with engine: instance; found 2048"),
        ("{engine: instance, max_concurrency: 0}", "endpoint.max_concurrency: Expected none with engine: instance"),
        ("{memory: 3000}", "endpoint.memory: Expected one of 1024, 2048, 3072, 4096, 5120, 6144; found 3000"),
        ("{max_concurrency: 201}", "endpoint.max_concurrency: Expected 1 to 200; found 201"),
        ("{engine: instance, count: 0}", "endpoint.count: Expected 1 or more; found 0"),
        (
            "{engine: instance, count: 2, scaling: {most: 2, invocations: 9}}",
            "endpoint.count: Expected count or scaling; found both",
        ),
        ("{engine: instance, instance: m5.large}", "endpoint.instance: Expected an instance type; found 'm5.large'"),
        ("{engine: instance, capture: 0.001}", "endpoint.capture: Expected 0, or a share from 0.01 to 1; found 0.001"),
        ("{engine: instance, capture: 1.5}", "endpoint.capture: Expected 0, or a share from 0.01 to 1; found 1.5"),
        ("{idle: {after: 90d}}", "endpoint.idle.after: Expected 1h to 60d, for which CloudWatch is asked"),
        ("{idle: {after: soon}}", "endpoint.idle.after: Expected"),
        ("{engine: instance, scaling: {least: 0, most: 2, invocations: 9}}", "scaling.least: Expected 1 or more"),
        ("{engine: instance, scaling: {least: 3, most: 2, invocations: 9}}", "scaling.most: Expected 3 or more"),
        ("{engine: instance, scaling: {most: 2, invocations: 0}}", "scaling.invocations: Expected 1 or more; found 0"),
        ("{engine: instance, scaling: {most: 2}}", "endpoint.scaling.invocations: Expected a value; found none"),
        ("{engine: machine}", "endpoint.engine: Expected one of serverless, instance; found 'machine'"),
        ("{enginee: instance}", "endpoint.enginee: Expected one of engine, "),
    ],
)
def test_an_endpoint_that_cannot_be_made_is_refused_with_words(tmp_path: Path, section: str, words: str) -> None:
    assert any(words in line for line in problems(tmp_path, f"{LABEL}endpoint: {section}\n"))
