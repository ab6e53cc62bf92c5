from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn_model.errors import SpecError
from resources.specs.cron import cron_problem
from resources.specs.loader import load_spec

BASE = "id: customerID\nlabel: {column: Churn, positive: [Yes]}\n"


def told(folder: Path, text: str) -> list[str]:
    path = folder / "telco.yaml"
    path.write_text(text, "utf-8")
    try:
        load_spec(path)
    except SpecError as error:
        return str(error).splitlines()
    return []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "as_of: CustomerID",
            "as_of: Expected a column of its own; found 'CustomerID', which is the id already. Name the column that is",
        ),
        (
            "list: {opt_out: customerid}",
            "list.opt_out: Expected a column of its own; found 'customerid', which is the id already",
        ),
        (
            "list: {columns: [name, ID]}",
            "list.columns[1]: Expected a column that the list does not have yet; found 'ID', one of its own. Remove it",
        ),
        ("list: {columns: [name, Name]}", "list.columns[1]: Expected each column once; found 'Name' twice"),
        (
            f"list: {{columns: {[f'c{n}' for n in range(51)]}}}",
            "list.columns: Expected at most 50 columns; found 51. Keep those that a caller reads",
        ),
        (
            "split: {by: column, column: churn}",
            "split.column: Expected a column of its own; found 'churn', which is the label already",
        ),
        (
            "costs: {contact: {cost: 1, value: {column: Churn}}}",
            "costs.contact.value.column: Expected a column of its own; found 'Churn', which is the label",
        ),
        (
            "ignore: [phone, CHURN]",
            "ignore[1]: Expected columns that would be features; found 'CHURN', the label. Remove it here",
        ),
        ("ignore: [customerID]", "ignore[0]: Expected columns that would be features; found 'customerID', the id"),
        ("known: [Churn]", "known[0]: Expected columns that are features; found 'Churn', the label"),
        (
            "ignore: [Tags]\nknown: [tags]",
            "known[0]: Expected a column that is not ignored; found 'tags' under ignore too. Keep it under one",
        ),
        (
            "types: {Area: number, area: category}",
            "types.area: Expected each column once; found 'Area' and 'area'. Remove one",
        ),
        (
            "types: {churn: category}",
            "types.churn: Expected a column that is a feature; found 'churn', the label. Remove the line",
        ),
        ("ignore: ['']", "ignore[0]: Expected text; found an empty one. Write it, or remove the line"),
        ("words: {'': x}", "words.: Expected a name before the colon; found none"),
        (
            "derived: {total: churn + 1}",
            "derived.total: Expected an expression over features; found 'churn', the label. Take it out: it is what",
        ),
        (
            "derived: {total: customerID + 1}",
            "derived.total: Expected an expression over features; found 'customerID', the id. Take it out",
        ),
        (
            "derived: {Churn: a + b}",
            "derived.Churn: Expected a new column's name; found 'Churn', the label. Choose another name",
        ),
        (
            "derived: {a: A + b}",
            "derived.a: Expected a new column's name; found 'a', which the expression reads. Choose another name",
        ),
        ("derived: {_hash: a + b}", "derived._hash: Expected a name that does not start with _; found '_hash'"),
        (
            "derived: {x: a + b, y: X + c}",
            "derived.y: Expected an expression over landed columns; found 'X', which is derived. Write its",
        ),
        (
            "derived: {x: a + b}\nignore: [X]",
            "derived.x: Expected a column that is not ignored; found 'x' under ignore",
        ),
        (
            "derived: {x: a + b}\ntypes: {B: category}",
            "derived.x: Expected an expression over numbers; found 'b', a category under types",
        ),
        (
            "derived: {x: a + b}\ntypes: {x: number}",
            "types.x: Expected a landed column; found 'x', which is derived. Remove the line",
        ),
        (
            "derived: {x: a +}",
            "derived.x: character 4: Expected an expression such as",
        ),
        (
            "groups: {one: [a], two: [A]}",
            "groups.two[0]: Expected each column in one group; found 'A' in 'one' too. Keep it in one",
        ),
        (
            "groups: {one: [a, churn]}",
            "groups.one[1]: Expected a column that is a feature; found 'churn', which is none. Take it out",
        ),
        (
            'words: {a: "{count} calls"}',
            "words.a: Expected words in which {value} is the value; found '{count} calls'. Write no other",
        ),
        ('words: {a: "{value!r} calls"}', "words.a: Expected words in which {value} is the value"),
        ('words: {a: "{value calls"}', "words.a: Expected words in which {value} is the value"),
        (
            "words: {customerid: x}",
            "words.customerid: Expected a column that is a feature; found 'customerid', which is none",
        ),
        ("split: {by: time}", "split.by: Expected as_of beside by: time; found no as_of. Name the snapshot's date"),
        (
            "schedule: {timezone: europe/berln}",
            "schedule.timezone: Expected an IANA time zone; found 'europe/berln'. Did you mean Europe/Berlin?",
        ),
        (
            "schedule: {timezone: Middle Earth 1}",
            "schedule.timezone: Expected an IANA time zone; found 'Middle Earth 1'. Write one such as UTC",
        ),
        (
            "schedule: {retrain: '@weekly'}",
            "schedule.retrain: Expected a cron line of five fields; found 1 field. Write minute, hour, day",
        ),
        (
            "costs: {false_negative: 900, contact: {cost: 1, value: 9}}",
            "costs.contact: Expected either contact or the four cells; found false_neg",
        ),
        (
            "source: {landing: true, table: a.b}",
            "source.table: Expected one source; found landing: true and a table. Write landing: false",
        ),
    ],
)
def test_what_sections_owe_each_other_is_told(tmp_path: Path, text: str, message: str) -> None:
    found = told(tmp_path, BASE + text)
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(
    "text",
    [
        "split: {by: time}\nas_of: day",
        "ignore: [a, b]\nderived: {x: a + b}",
        "derived: {x: a + b}\nwords: {x: '${value} in all'}\ngroups: {bill: [x, a, b]}\nknown: [x]",
        "list: {opt_out: do_not_call}\nignore: [do_not_call]",
        "costs: {contact: {cost: 1, success: 0.5, value: {column: worth}}}",
        "source: {table: a.b}",
        "schedule: {retrain: '*/15 8-18/2 1,15 jan-jun MON', timezone: America/Argentina/Buenos_Aires}",
    ],
)
def test_what_is_right_is_not_told(tmp_path: Path, text: str) -> None:
    assert told(tmp_path, BASE + text) == []


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (
            "positive: [Yes], negative: [yes.]",
            "label.positive[0]: Expected a value that means: left; found 'Yes' under negative too. Keep it",
        ),
        (
            "positive: [1.0, No]",
            "label.positive[1]: Expected a value that means: left; found 'No', which means stayed unless the spec says",
        ),
    ],
)
def test_a_value_means_left_or_stayed(tmp_path: Path, label: str, message: str) -> None:
    found = told(tmp_path, f"label: {{column: Churn, {label}}}")
    assert len(found) == 1
    assert message in found[0]


def test_no_means_left_where_the_spec_says_what_means_stayed(tmp_path: Path) -> None:
    assert told(tmp_path, "label: {column: Renewed, positive: [No], negative: [Yes]}") == []


@pytest.mark.parametrize(
    "text", ["0 6 * * 1", "*/5 * * * *", "0 0 1 1 0", "59 23 31 12 7", "0,30 6-8 * jan-mar mon-fri", "0 8-18/2 * * *"]
)
def test_a_cron_line_has_five_fields_in_range(text: str) -> None:
    assert cron_problem(text) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0 6 * *", "4 fields"),
        ("0 6 * * 1 2026", "6 fields"),
        ("60 6 * * 1", "'60' as the minute"),
        ("0 24 * * 1", "'24' as the hour"),
        ("0 6 0 * 1", "'0' as the day-of-month"),
        ("0 6 * 13 1", "'13' as the month"),
        ("0 6 * * 8", "'8' as the day-of-week"),
        ("0 6 * * monday", "'monday' as the day-of-week"),
        ("*/0 6 * * 1", "'*/0' as the minute"),
        ("*/61 6 * * 1", "'*/61 6 * * 1', which Dagster does not take"),
        ("0 0 LW * *", "'0 0 LW * *', which Dagster does not take"),
        ("9-5 6 * * 1", "'9-5' as the minute"),
        ("1,,2 6 * * 1", "'1,,2' as the minute"),
        ("a b c d e", "'a' as the minute"),
        ("-1 6 * * 1", "'-1' as the minute"),
        ("9" * 5000 + " 6 * * 1", "a field of 5000 characters"),
    ],
)
def test_another_cron_line_is_told_by_its_field(text: str, found: str) -> None:
    assert cron_problem(text) == found


_NUMBER = st.integers(0, 61).map(str)
_PART = st.one_of(
    _NUMBER,
    st.just("*"),
    st.sampled_from(["mon", "SUN", "jan", "Dec", "x", ""]),
    st.builds("{}-{}".format, _NUMBER, _NUMBER),
    st.builds("*/{}".format, _NUMBER),
)
_FIELD = st.lists(_PART, min_size=1, max_size=2).map(",".join)


@settings(deadline=None)
@given(st.lists(_FIELD, min_size=5, max_size=5).map(" ".join))
def test_what_is_a_cron_line_here_is_one_to_dagster(text: str) -> None:
    if cron_problem(text) is None:
        assert dg.ScheduleDefinition(job_name="retrain", cron_schedule=text).cron_schedule == text


@pytest.mark.parametrize("text", ["0 0 31 2 *", "0 0 30 2 *", "0 0 31 2,4,6,9,11 *"])
def test_a_cron_line_that_never_fires_is_refused(text: str) -> None:
    assert cron_problem(text) == f"{text!r}, which never fires"


@pytest.mark.parametrize("text", ["30d", "12h", "1s"])
def test_a_duration_is_a_number_and_a_unit(tmp_path: Path, text: str) -> None:
    assert told(tmp_path, BASE + f"horizon: {text}\nlist: {{cooldown: {text}}}") == []


@pytest.mark.parametrize("text", ["0d", "30", "30 days", "-1d", "1.5h"])
@pytest.mark.parametrize(
    "place", ["horizon: {}", "list: {{cooldown: {}}}", "gate: {{max_age: {}}}", "watch: {{settle: {}}}"]
)
def test_another_duration_is_refused(tmp_path: Path, place: str, text: str) -> None:
    (message,) = told(tmp_path, BASE + place.format(text))
    assert message.startswith("telco.yaml:3: " + place.split(":", maxsplit=1)[0])
    assert "rite it like 30d, 12h or 60s" in message


def test_columns_for_the_list_are_found_by_the_id(tmp_path: Path) -> None:
    (message,) = told(tmp_path, BASE.replace("customerID", "none") + "list: {columns: [name]}")
    assert "list.columns: Expected an id beside columns for the list; found none. Name the column of the id" in message
