import gzip
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from churn_assets.onboarding.landing_check import LandingCheck, check_landing
from churn_assets.onboarding.spec_text import MORE, propose, scalar
from churn_model.errors import InputError
from churn_model.ingest.canonical_rows import ingest
from churn_model.ingest.formats.base import LandedFile, Options
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.split import Split
from churn_model.tables import open_table
from churn_model.training.splits import make_split_rule
from resources.errors import CommandError
from resources.specs.loader import load_spec

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
ROWS = 300
RNG = np.random.default_rng(5)
LEFT = RNG.random(ROWS) < 0.3


def customers(**more: object) -> pa.Table:
    """300 customers: an id, a useful number, a label, and what a test adds."""
    columns: dict[str, object] = {
        "customer_id": [f"C{n:04d}" for n in range(ROWS)],
        "calls": RNG.integers(0, 9, ROWS) + LEFT,
    }
    return pa.table(columns | more | {"churned": np.where(LEFT, "yes", "no")})


def written(folder: Path, table: pa.Table) -> Path:
    path = folder / "table.csv"
    pa_csv.write_csv(table, path)
    return path


def loaded(folder: Path, text: str) -> Dataset:
    path = folder / "telco.yaml"
    path.write_text(text, "utf-8")
    return load_spec(path)


def proposed(folder: Path, table: pa.Table, **named: Any) -> tuple[Dataset, str]:
    text = propose("telco", written(folder, table), **named)
    return loaded(folder, text), text


def test_the_first_spec_loads_and_names_id_and_label(tmp_path: Path) -> None:
    found, text = proposed(tmp_path, customers())
    assert (found.id, found.as_of, found.label.column, found.label.positive) == (
        "customer_id",
        None,
        "churned",
        ("yes",),
    )
    assert (found.ignore, found.types) == ((), {})
    assert "id: customer_id # each of the 300 rows has its own" in text
    assert text.startswith("# yaml-language-server: $schema=../docs/dataset.schema.json\n")


@pytest.mark.parametrize(("leavers", "test"), [(300, 0.2), (220, 0.3), (900, None), (150, None)])
def test_a_small_table_gets_the_shares_that_can_judge_it(tmp_path: Path, leavers: int, test: float | None) -> None:
    left = np.arange(2000) < leavers
    table = pa.table({"customer_id": [f"C{n:04d}" for n in range(2000)], "churned": np.where(left, "yes", "no")})
    found, text = proposed(tmp_path, table.append_column("calls", pa.array(RNG.integers(0, 9, 2000) + left)))
    assert found.split == (Split(validation=0.2, test=test) if test else Split())
    assert (f"# {leavers} rows have the rarer outcome: this share of test holds about 6" in text) == (test is not None)
    assert ("models are judged by outer folds" in text) == (leavers < 200)


def test_every_commented_section_holds_what_holds_without_it(tmp_path: Path) -> None:
    found, text = proposed(
        tmp_path,
        customers(**{"day charge": RNG.random(ROWS), "eve charge": RNG.random(ROWS), "night charge": RNG.random(ROWS)}),
    )
    start, more = text.split(MORE)
    uncommented = loaded(tmp_path, start + more.replace("\n# ", "\n"))
    assert uncommented.derived == {"total charge": "`day charge` + `eve charge` + `night charge`"}
    assert uncommented.words == {"calls": "calls: {value}"}
    same = {
        name: getattr(found, name)
        for name in ("split", "costs", "list", "search", "gate", "schedule", "watch", "source", "known")
    }
    assert {name: getattr(uncommented, name) for name in same} == same
    for section in ("known", "derived", "words", "split", "list", "search", "gate", "schedule", "watch", "source"):
        assert re.search(rf"^# {section}:", more, re.MULTILINE), section


def test_useless_columns_are_ignored_each_with_its_reason(tmp_path: Path) -> None:
    minutes = RNG.random(ROWS) * 100
    more = {
        "row": np.arange(ROWS),
        "serial": np.arange(9000, 9000 - ROWS, -1),
        "empty": pa.nulls(ROWS, pa.string()),
        "currency": ["USD"] * ROWS,
        "ticket": [f"t-{n * 7919 % 1000}" for n in range(ROWS)],
        "PLZ": [f"{n * 7919 % 99_000 + 1_000:05d}" for n in range(ROWS)],
        "joined": [f"2024-01-{n % 28 + 1:02d}" for n in range(ROWS)],
        "minutes": minutes,
        "charge": minutes * 0.17,
        "plan": ["ab"[n % 2] for n in range(ROWS)],
        "plan name": [["basic", "pro"][n % 2] for n in range(ROWS)],
    }
    found, text = proposed(tmp_path, customers(**more))
    assert found.ignore == ("row", "serial", "empty", "currency", "ticket", "PLZ", "charge", "plan name")
    for line in (
        "- row # numbers the rows",
        "- serial # numbers the rows",
        "- empty # has no values",
        "- currency # has only one value",
        "- ticket # differs in nearly every row, as an id does",
        "- PLZ # differs in nearly every row, as an id does",
        "- charge # repeats minutes (correlation 1.0000)",
        "- plan name # repeats plan (the same up to renaming)",
    ):
        assert line in text


def test_leaks_are_ignored_as_the_checks_of_a_run_would_have_it(tmp_path: Path) -> None:
    more = {
        "status": np.where(LEFT, "gone", "active"),
        "cancel_reason": np.where(LEFT & (RNG.random(ROWS) < 0.2), "price", "other"),
        "Last Activity": RNG.choice(["call", "mail"], ROWS),
    }
    found, text = proposed(tmp_path, customers(**more))
    assert found.ignore == ("status", "cancel_reason", "Last Activity")
    assert "certainly a leak: it is the label under another name" in text
    assert "possibly a leak: its name speaks of leaving" in text
    assert "move it to known" in text


def test_types_are_given_where_the_values_deceive(tmp_path: Path) -> None:
    more = {
        "senior": RNG.integers(0, 2, ROWS),
        "zip": [f"0{n % 7}10" for n in range(ROWS)],
        "area_code": RNG.choice([408, 415, 510], ROWS),
        "total": ["x" if n == 5 else str(n % 97) for n in range(ROWS)],
    }
    found, text = proposed(tmp_path, customers(**more))
    assert found.types == {"senior": "category", "zip": "category", "area_code": "category", "total": "number"}
    assert "senior: category # 0 and 1 mean no and yes" in text
    assert "total: number # 1 of 300 values are not numbers: those rows go to quarantine" in text


def test_decimal_commas_and_unrecognised_dates_are_remarked_upon(tmp_path: Path) -> None:
    more = {
        "fee": [f"{n},{n % 100 + 100}" for n in range(ROWS)],
        "since": [f"{n % 28 + 1}.{n % 12 + 1:02d}.2022" for n in range(ROWS)],
        "seen": [f"{n % 12 + 1:02d}/{n % 28 + 1:02d}/24 {n % 24}:07" for n in range(ROWS)],
        "plan": ["1,5-a", "2,5-b"] * (ROWS // 2),
    }
    found, text = proposed(tmp_path, customers(**more))
    assert found.ignore == ("seen",)  # two digits of a year are not recognised; `since` is a date
    assert "# a date such as 01/01/24 0:07, in a form that is not recognised. To use it, write its format" in text
    assert (
        "`number 1.234,5`. If one of them does not hold numbers, list it under types as a category.\n#   fee: 0,100"
        in text
    )
    assert "may be read in several ways" not in proposed(tmp_path, customers())[1]


def test_repeated_ids_with_dates_are_snapshots(tmp_path: Path) -> None:
    table = pa.table(
        {
            "customer_id": [f"C{n // 3}" for n in range(ROWS)],
            "snapshot": [f"2025-0{n % 3 + 1}-01" for n in range(ROWS)],
            "calls": RNG.integers(0, 9, ROWS),
            "exited": LEFT.astype(int),
        }
    )
    found, _ = proposed(tmp_path, table)
    assert (found.id, found.as_of, found.label.column, found.label.positive) == (
        "customer_id",
        "snapshot",
        "exited",
        ("1",),
    )


def test_of_several_columns_without_repeats_the_id_is_the_one_that_is_named_so(tmp_path: Path) -> None:
    tickets = pa.table(
        {"ticket": [f"t-{n * 7919 % 1000}" for n in range(ROWS)], "phone": [f"555-{n:04d}" for n in range(ROWS)]}
    )
    both = customers()
    for name in tickets.column_names:
        both = both.add_column(0, name, tickets[name])
    assert proposed(tmp_path, both)[0].id == "customer_id"
    assert proposed(tmp_path, both.drop_columns(["customer_id"]))[0].id == "phone"
    assert proposed(tmp_path, both.select(["ticket", "calls", "churned"]))[0].id == "ticket"


def test_no_id_is_said(tmp_path: Path) -> None:
    found, text = proposed(tmp_path, customers().drop_columns(["customer_id"]))
    assert found.id is None
    assert "WHAT NAMES A CUSTOMER? No column was recognized as the id" in text
    assert "\n# id: none # each row is a customer of its own" in text
    assert loaded(tmp_path, text.replace("# id: none", "id: none")).id == "none"


MONTHS = {
    "2024-0{}": "date %Y-%m",
    "20240{}": "date %Y%m",
    "0{}/2024": "date %m/%Y",
    "01.0{}.2024": "date %d.%m.%Y",
    "2024-0{}-01": "date",
}


def months(spelling: str, ids: str, customers: int = 120) -> pa.Table:
    """Customers with five months each, and a label at random for each customer."""
    rng = np.random.default_rng(len(spelling) + len(ids))
    left = rng.random(customers) < 0.4
    name, pattern = ids.split("=")
    rows = [(n, month) for n in rng.permutation(customers).tolist() for month in range(1, 6)]
    return pa.table(
        {
            name: [pattern.format(n) if n % 40 or "blank" not in name else None for n, _ in rows],
            "month": [spelling.format(month) for _, month in rows],
            "fee": rng.random(len(rows)).round(3),
            "churned": np.where([left[n] for n, _ in rows], "yes", "no"),
        }
    )


@pytest.mark.parametrize(
    "ids", ["customer_id=C{:05d}", "CLIENTNUM={}7", "blank_account_no=A-{}", "ref=x{}y", "Kunde=K{}"]
)
@pytest.mark.parametrize("spelling", list(MONTHS))
def test_customers_with_several_months_have_one_id_however_both_are_spelled(
    tmp_path: Path, spelling: str, ids: str
) -> None:
    found, text = proposed(tmp_path, months(spelling, ids))
    assert found.id == ids.split("=", maxsplit=1)[0], text
    if "blank" not in ids:
        assert found.as_of == "month", text
        assert found.types.get("month", "date") == MONTHS[spelling]
    out = tmp_path / "rows"
    ingested = ingest([LandedFile("table.csv", tmp_path / "table.csv")], found, out, expected=None)
    assert ingested.rows + ingested.quarantined == 600
    assert ingested.quarantined == (600 - months(spelling, ids)[found.id or ""].drop_null().__len__())
    rows = open_table(out / "rows").read()
    assigned = pa.table({"id": rows["_id"], "split": make_split_rule([rows], found)(rows)})
    assert assigned.group_by("id").aggregate([("split", "count_distinct")])[
        "split_count_distinct"
    ].unique().to_pylist() == [1]


def test_customers_with_several_rows_and_no_date_are_named_and_said(tmp_path: Path) -> None:
    found, text = proposed(tmp_path, months("2024-0{}", "customer_id=C{}").drop_columns(["month"]))
    assert (found.id, found.as_of) == ("customer_id", None)
    assert "id: customer_id # 600 rows of 120 customers; the rows of a customer stay in one split" in text


@pytest.mark.parametrize("name", ["Konto", "cuenta", "Mitglied", "vorgang"])
def test_customers_with_several_months_are_offered_though_neither_name_nor_label_says_so(
    tmp_path: Path, name: str
) -> None:
    table = months("2024-0{}", f"{name}={{}}")
    table = table.set_column(3, "churned", [RNG.choice(["yes", "no"], len(table))])
    found, text = proposed(tmp_path, table)
    if name == "vorgang":
        assert found.id is None
        assert "# id: vorgang # 600 rows of 120 customers; the rows of a customer stay in one split" in text
    else:
        assert (found.id, found.as_of) == (name, "month")


def test_a_number_without_a_name_is_offered_as_an_id_and_a_shop_is_not(tmp_path: Path) -> None:
    more = {"code": RNG.permutation(ROWS) + 762_143_795, "store_id": RNG.integers(0, 3, ROWS)}
    found, text = proposed(tmp_path, customers(**more).drop_columns(["customer_id"]))
    assert found.id is None
    assert "# id: code # each of the 300 rows has its own" in text
    assert "# id: store_id" not in text


@pytest.mark.parametrize(
    "name",
    ["Vertragsnummer", "Contract No", "policy_number", "Mitglieds-Nr", "N° client", "Numéro de contrat", "AboID"],
)
def test_a_contract_names_its_customer_and_a_footer_does_not_hide_it(tmp_path: Path, name: str) -> None:
    numbers = [str(4_711_000 + n) for n in RNG.permutation(ROWS)]
    kinds = RNG.choice(["monthly", "yearly"], ROWS)
    others = customers()
    table = {name: numbers, "Contract": kinds, "calls": others["calls"], "churned": others["churned"]}
    file = written(tmp_path, pa.table(table))
    with file.open("a") as stream:
        stream.write("Summe,,,\n")
    found = loaded(tmp_path, propose("telco", file))
    assert found.id == name
    assert check_landing(found, file) == LandingCheck()


def test_ids_that_a_spreadsheet_rounded_are_said(tmp_path: Path) -> None:
    found, text = proposed(
        tmp_path, customers(account_id=[f"1.{n % 90:02d}E+11" for n in range(ROWS)]).drop_columns(["customer_id"])
    )
    assert (found.id, found.ignore) == (None, ("account_id",))
    assert "ids that a spreadsheet has rounded, such as 1.00E+11: export the file again with ids as text" in text


@pytest.mark.parametrize(
    ("name", "words"),
    [("do_not_call", ["yes", "no"]), ("Nicht anrufen", ["Ja", "Nein"]), ("Werbesperre", ["WAHR", "FALSCH"])],
)
def test_other_roles_are_noticed(tmp_path: Path, name: str, words: list[str]) -> None:
    more: dict[str, object] = {"part": RNG.choice(["train", "validation", "test"], ROWS), name: RNG.choice(words, ROWS)}
    found, _ = proposed(tmp_path, customers(**more))
    assert (found.split.by, found.split.column, found.list.opt_out) == ("column", "part", name)


@pytest.mark.parametrize(
    ("values", "positive", "negative"),
    [
        (("True.", "False."), ("True.",), ()),
        (("Attrited Customer", "Existing Customer"), ("Attrited Customer",), ("Existing Customer",)),
        (("1", "2"), ("1",), ("2",)),
        (("red", "blue"), ("red",), ("blue",)),
    ],
)
def test_the_value_that_means_left_is_guessed(
    tmp_path: Path, values: tuple[str, str], positive: tuple[str, ...], negative: tuple[str, ...]
) -> None:
    table = customers().set_column(2, "churn", [np.where(LEFT, *values).tolist()])
    found, text = proposed(tmp_path, table)
    assert (found.label.positive, found.label.negative) == (positive, negative)
    assert ("a guess, the rarer value: check it" in text) == (values == ("red", "blue"))


@pytest.mark.parametrize(
    ("name", "values", "positive"),
    [
        ("Subscriber", ("NO", "YES"), ("NO",)),
        ("Kündigung", ("ja", "nein"), ("ja",)),
        ("statut", ("résilié", "actif"), ("résilié",)),
        ("estado", ("baja", "alta"), ("baja",)),
        ("aktiv", ("nein", "ja"), ("nein",)),
        ("Exited", ("1", "0"), ("1",)),
    ],
)
def test_the_direction_follows_what_the_words_mean_and_is_a_sentence(
    tmp_path: Path, name: str, values: tuple[str, str], positive: tuple[str, ...]
) -> None:
    table = customers().drop_columns(["churned"]).append_column(name, [np.where(LEFT, *values).tolist()])
    found, text = proposed(tmp_path, table, label=name)
    assert found.label.positive == positive
    assert f"  # Rows with {name} = {values[0]} count as left: {LEFT.sum()} of 300 ({LEFT.mean():.1%})." in text
    assert f"  # Rows with {name} = {values[1]} count as stayed: {(~LEFT).sum()} of 300" in text


def test_one_value_in_many_spellings_is_one_value(tmp_path: Path) -> None:
    spelled = [
        [" Yes", "YES", "yes."][n % 3] if left else ["No", " no", "NO.", "no"][n % 4] for n, left in enumerate(LEFT)
    ]
    found, text = proposed(tmp_path, customers().drop_columns(["churned"]).append_column("churned", [spelled]))
    assert (found.label.column, len(found.label.positive), found.label.negative) == ("churned", 1, ())
    assert f"{LEFT.sum()} of 300" in text
    assert (
        ingest([LandedFile("table.csv", tmp_path / "table.csv")], found, tmp_path / "out", expected=None).rows == ROWS
    )


@pytest.mark.parametrize("name", ["undisclosed", "enclosed", "recession"])
def test_a_word_within_another_does_not_make_a_label(tmp_path: Path, name: str) -> None:
    table = customers().rename_columns(["target" if each == "churned" else each for each in customers().column_names])
    halves = np.where(np.arange(ROWS) % 2, "a", "b").tolist()
    found, _ = proposed(tmp_path, table.append_column(name, [halves]))
    assert found.label.column == "target"


def test_a_label_of_three_values_is_offered_with_what_to_write(tmp_path: Path) -> None:
    three = np.where(LEFT, "Churned", np.where(np.arange(ROWS) % 3 == 0, "Joined", "Stayed"))
    found, text = proposed(tmp_path, customers().drop_columns(["churned"]).append_column("status", [three.tolist()]))
    assert (found.label.positive, set(found.label.negative)) == (("Churned",), {"Joined", "Stayed"})
    assert "holds 3 values: move to positive what means left, to negative what means stayed" in text


@pytest.mark.parametrize(
    ("name", "left", "stayed", "doubt"),
    [
        ("Retained", "No", "Yes", "'Retained' sounds like customers who stayed, so 'Yes' is taken to mean stayed"),
        ("active", "0", "1", "'active' sounds like customers who stayed, so '1' is taken to mean stayed"),
        ("is_customer", "false", "true", "'is_customer' sounds like customers who stayed"),
        ("IsSubscribed", "n", "y", "'IsSubscribed' sounds like customers who stayed"),
        ("flag", "No", "Yes", "'Yes' is in 7"),
        ("target", "0", "1", "and most customers stay, so the rarer value is taken to mean left"),
    ],
)
def test_a_label_that_says_who_stayed_is_turned_round_and_that_is_said_loudly(
    tmp_path: Path, name: str, left: str, stayed: str, doubt: str
) -> None:
    table = customers().rename_columns(["customer_id", "calls", "old"]).drop_columns(["old"])
    found, text = proposed(tmp_path, table.append_column(name, [np.where(LEFT, left, stayed).tolist()]), label=name)
    assert (found.label.positive, found.label.negative) == ((left,), (stayed,))
    assert "  # A GUESS: READ IT. '" in text
    assert doubt in text
    assert "swap positive and negative" in text


def test_a_name_that_says_stayed_outweighs_that_most_left(tmp_path: Path) -> None:
    found, text = proposed(
        tmp_path, customers(active=np.where(LEFT, "Yes", "No")).drop_columns(["churned"]), label="active"
    )
    assert found.label.positive == ("No",)
    assert "A GUESS: READ IT." in text


@pytest.mark.parametrize(("name", "values"), [("churned", ("no", "yes")), ("Status", ("Stayed", "Churned"))])
def test_where_name_or_value_say_left_the_label_stays_though_most_left_and_that_is_said(
    tmp_path: Path, name: str, values: tuple[str, str]
) -> None:
    table = customers().drop_columns(["churned"]).append_column(name, [np.where(LEFT, *values).tolist()])
    found, text = proposed(tmp_path, table, label=name)
    assert found.label.positive == (values[1],)
    assert "A GUESS: READ IT. 7" in text
    assert "perhaps this value means stayed" in text


@pytest.mark.parametrize("name", ["inactive", "not_active", "no longer active", "unsubscribed", "churned"])
def test_a_label_that_says_who_left_is_taken_as_it_stands(tmp_path: Path, name: str) -> None:
    table = customers().drop_columns(["churned"]).append_column(name, [np.where(LEFT, "yes", "no").tolist()])
    found, text = proposed(tmp_path, table, label=name)
    assert found.label.positive == ("yes",)
    assert "A GUESS: READ IT." not in text


def test_a_named_label_may_have_several_values(tmp_path: Path) -> None:
    status = np.where(LEFT, "Churned", RNG.choice(["Stayed", "Joined"], ROWS))
    found, _ = proposed(tmp_path, customers(Status=status), label="status", id="CUSTOMER_ID")
    assert (found.label.column, found.label.positive, sorted(found.label.negative)) == (
        "Status",
        ("Churned",),
        ["Joined", "Stayed"],
    )
    assert found.id == "customer_id"


def test_no_label_is_an_error_that_lists_candidates(tmp_path: Path) -> None:
    table = customers(gender=RNG.choice(["f", "m"], ROWS)).rename_columns(["customer_id", "calls", "gender", "answer"])
    expected = "Expected a column that says who left; found columns of two values: 'gender', 'answer'. Name it: churn new NAME FILE --label"
    with pytest.raises(InputError, match=expected):
        propose("telco", written(tmp_path, table))


@pytest.mark.parametrize("named", [{}, {"label": "churned"}])
@pytest.mark.parametrize(
    ("values", "found", "dates"),
    [
        (np.where(LEFT, "1", ""), "'1' or a blank", ""),
        (
            np.where(LEFT, [f"2024-01-{n % 28 + 1:02d}" for n in range(ROWS)], ""),
            "a date or a blank",
            ", and the dates as 1 or yes",
        ),
        (
            np.where(LEFT, [f"{n % 28 + 1}/01/2024" for n in range(ROWS)], ""),
            "a date or a blank",
            ", and the dates as 1 or yes",
        ),
    ],
    ids=["one value", "date", "other date"],
)
def test_blanks_for_who_stayed_have_to_be_written(
    tmp_path: Path, values: object, found: str, dates: str, named: dict[str, Any]
) -> None:
    table = customers(plan=RNG.choice(["a", "b"], ROWS)).set_column(3, "churned", [values])
    message = (
        f"Expected a label that says who left and who stayed; found {found} in 'churned'. "
        f"Write the blanks as a value of their own, such as 0 or no{dates}, and run churn new again"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        propose("telco", written(tmp_path, table), **named)


@pytest.mark.parametrize(
    ("name", "named", "message"),
    [
        ("Telco", {}, "Expected a dataset named by .*; found 'Telco'. Name it telco"),
        (
            "telco",
            {"label": "absent"},
            "Expected a column 'absent'; found columns customer_id, calls, churned. Name one",
        ),
        ("telco", {"id": "absent"}, "Expected a column 'absent'"),
        ("telco", {"label": "customer_id"}, "Expected a label of two values, or a few; found 300 in 'customer_id'"),
    ],
)
def test_what_cannot_be_proposed_is_told(tmp_path: Path, name: str, named: dict[str, Any], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        propose(name, written(tmp_path, customers()), **named)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("t.parquet", b"x", r"^t.parquet: .*a whole Parquet file"),
        ("t.csv.gz", b"x", r"^t.csv.gz: .*gzip"),
        ("t.csv", b"", r"^t.csv: .*a header and records.*a file of zero bytes"),
        ("t.csv", b"a,b\n", r"^t.csv: .*records.*a header alone"),
        ("t.csv", b"a,,b\n1,2,3\n", r"^t.csv: .*a name for every column.*none for column 2"),
        ("t.csv", b"a,A\n1,2\n", r"^t.csv: .*each column once.*'a', 'A'"),
        ("t.csv", b",,,\n,,,\n", r"^t.csv: Expected the names of columns; found none"),
        ("t.csv", b"id left\na yes\nb no\n", r"one column alone, 'id left'.*a first line such as sep=\^"),
        ("t.xlsx", b"", r"^t.xlsx: .*a header and records.*a file of zero bytes"),
        (
            "t.xlsx",
            b"\xd0\xcf\x11\xe0" + bytes(600),
            r"^t.xlsx: .*an old Excel file \(.xls\), or a workbook with a password",
        ),
        ("t.csv", b"a" * 300 + b",b\n1,2\n", r"^t.csv: .*names of at most 200 characters on one line"),
        ("t.csv", b'"a\nb",c\n1,2\n', r"^t.csv: .*names of at most 200 characters on one line.*.a.nb."),
    ],
)
def test_a_file_that_is_no_table_is_told(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(InputError, match=message):
        propose("telco", path)


def test_a_file_that_may_not_be_read_is_not_said_to_be_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, customers())

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(InputError, match=r"^table.csv: .*a file that can be read.*Permission denied.*permissions"):
        propose("telco", path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"Expected a file absent.csv; found none"):
        propose("telco", tmp_path / "absent.csv")


def test_a_file_of_another_kind_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_bytes(b"x")
    with pytest.raises(CommandError, match=r"a name ending in .csv, .csv.gz, .parquet.*t.txt"):
        propose("telco", tmp_path / "t.txt")


def workbook(folder: Path, **sheets: pa.Table) -> Path:
    book = Workbook()
    book.remove(book.worksheets[0])
    for name, table in sheets.items():
        sheet = book.create_sheet(name)
        sheet.append(table.column_names)
        for row in table.to_pylist():
            sheet.append(list(row.values()))
    book.save(folder / "table.xlsx")
    return folder / "table.xlsx"


def test_every_format_gives_the_same_spec(tmp_path: Path) -> None:
    table = customers(senior=RNG.integers(0, 2, ROWS), share=RNG.random(ROWS).round(6))
    plain, packed, typed = written(tmp_path, table), tmp_path / "table.csv.gz", tmp_path / "table.parquet"
    lines, sheet = tmp_path / "table.jsonl", workbook(tmp_path, Sheet1=table)
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    pq.write_table(table, typed)
    lines.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()), "utf-8")
    texts = {propose("telco", path).split("\n", 2)[2] for path in (plain, packed, typed, lines, sheet)}
    assert len(texts) == 1


def test_of_several_sheets_the_fullest_is_read_and_named(tmp_path: Path) -> None:
    words = pa.table({"Feature": ["calls", "plan"], "Meaning": ["calls to us", "an answer"]})
    path = workbook(tmp_path, Words=words, Customers=customers())
    text = propose("telco", path)
    assert loaded(tmp_path, text).source.sheet == "Customers"
    assert "# The workbook has other sheets: 'Words'." in text
    with pytest.raises(InputError, match="a column that says who left"):
        propose("telco", path, options=Options(sheet="Words"))
    with pytest.raises(InputError, match=r"^table\.xlsx: .*a sheet 'Other'.*'Words', 'Customers'"):
        propose("telco", path, options=Options(sheet="Other"))


def test_records_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    path = written(tmp_path, customers())
    with path.open("a") as stream:
        stream.write("C1,2\nC2,3\n")
    text = propose("telco", path)
    assert "# 2 more records cannot be read and would go to quarantine, such as line 302: expected 3 values" in text


def test_a_file_without_any_readable_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1\n")
    with pytest.raises(InputError, match=r"^t\.csv: .*2 values, as in the header.*1 value on line 2"):
        propose("telco", tmp_path / "t.csv")


def test_a_nested_column_is_named_and_ignored_and_landing_passes_it_over(tmp_path: Path) -> None:
    pq.write_table(customers(address=[[n] for n in range(ROWS)]), tmp_path / "t.parquet")
    text = propose("telco", tmp_path / "t.parquet")
    assert "  - address # holds list<element: int64>, which is not read" in text
    (tmp_path / "telco.yaml").write_text(text, "utf-8")
    landed = [LandedFile("t.parquet", tmp_path / "t.parquet")]
    made = ingest(landed, load_spec(tmp_path / "telco.yaml"), tmp_path / "out", expected=None)
    assert (made.rows, "address" in made.kinds) == (ROWS, False)


@pytest.mark.parametrize(
    ("values", "sign"),
    [
        (pa.array([bytes([200 + n % 50, n % 9]) for n in range(ROWS)], pa.binary(2)), "x: expected text in UTF-8 (300"),
        (pa.array(range(ROWS), pa.timestamp("us", "Nowhere/City")), ""),
        (pa.array([f"{n:016}".encode() for n in range(ROWS)], pa.binary(16)), ""),
    ],
    ids=["bytes of a fixed size that are no text", "a time zone that there is not", "text of a fixed size"],
)
def test_a_strange_type_of_parquet_is_read_or_named_by_churn_new_and_by_landing(
    tmp_path: Path, values: pa.Array, sign: str
) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(customers(x=values), path)
    text = propose("telco", path)
    assert ("x # holds timestamp[us, tz=Nowhere/City], which is not read" in text) == pa.types.is_timestamp(values.type)
    found = check_landing(loaded(tmp_path, text), path)
    assert found is not None
    refused = " ".join(found.refused)
    assert sign in refused
    assert bool(refused) == bool(sign)


HAZARDS = [
    "Plan?",
    "a: b",
    "#1",
    "- x",
    "[x",
    "{value}",
    "it's",
    'say "x"',
    "yes",
    "null",
    "~",
    "1",
    "é😀",
    "*a",
    "&b",
    "!c",
    "%d",
    "@e",
    "`f`",
    "? g",
    "a, b",
    "=x",
    "<<",
]


@pytest.mark.parametrize("name", HAZARDS)
def test_a_name_is_quoted_where_yaml_needs_it(tmp_path: Path, name: str) -> None:
    assert yaml.load(f"- [{scalar(name)}]\n- {scalar(name)}: 1\n", Loader=yaml.BaseLoader) == [[name], {name: "1"}]
    table = customers(
        **{name: RNG.integers(0, 2, ROWS), f"{name} total": RNG.random(ROWS), f"x {name}": ["one"] * ROWS}
    )
    found, text = proposed(tmp_path, table.rename_columns([*table.column_names[:-1], f"{name} churn"]))
    assert (list(found.types), found.ignore, found.label.column) == ([name], (f"x {name}",), f"{name} churn")
    start, more = text.split(MORE)
    loaded(tmp_path, start + more.replace("\n# ", "\n"))


_NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=12)
_CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(_NAMES, min_size=1, max_size=5, unique_by=lambda name: name.strip().lower()),
    st.lists(st.lists(_CELLS, min_size=5, max_size=5), min_size=1, max_size=8),
)
def test_any_table_with_a_label_gets_a_spec_that_loads(names: list[str], rows: list[list[str]]) -> None:
    assume(all(name.strip() and name.strip().lower() != "left?" for name in names))
    columns: dict[str, list[str]] = {name: [row[at] for row in rows] * 2 for at, name in enumerate(names)}
    columns["Left?"] = ["Yes"] * len(rows) + ["No"] * len(rows)
    with tempfile.TemporaryDirectory() as folder:
        proposed(Path(folder), pa.table(columns), label="left?")


needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="needs the real tables of the folder shared/data beside the project"
)


@needs_shared
def test_telco_gets_a_sensible_spec(tmp_path: Path) -> None:
    found = loaded(tmp_path, propose("telco", SHARED / "telco_churn.csv"))
    assert (found.id, found.label.column, found.label.positive) == ("customerID", "Churn", ("Yes",))
    assert (found.ignore, found.types) == ((), {"SeniorCitizen": "category"})


@needs_shared
def test_larose_gets_a_sensible_spec(tmp_path: Path) -> None:
    found = loaded(tmp_path, propose("larose", SHARED / "larose_churn.csv"))
    assert (found.id, found.label.column, found.label.positive) == ("customer_id", "Churn?", ("True.",))
    assert (found.split.column, found.types) == ("split", {"Area Code": "category"})
    assert found.ignore == ("Day Charge", "Eve Charge", "Night Charge", "Intl Charge")


@needs_shared
def test_synthetic_gets_a_sensible_spec(tmp_path: Path) -> None:
    found = loaded(tmp_path, propose("synthetic", SHARED / "synthetic_churn_train.csv"))
    assert (found.id, found.label.column, found.types) == ("Phone", "Churn?", {"Area Code": "category"})


@needs_shared
def test_leads_gets_a_sensible_spec(tmp_path: Path) -> None:
    found = loaded(tmp_path, propose("leads", SHARED / "leads.csv"))
    assert (found.id, found.label.column, found.label.positive, found.list.opt_out) == (
        "Prospect ID",
        "Converted",
        ("1",),
        "Do Not Call",
    )
    assert {
        "row_number",
        "Lead Number",
        "Tags",
        "Lead Quality",
        "Last Activity",
        "Last Notable Activity",
        "Magazine",
    } <= set(found.ignore)
    assert "Total Time Spent on Website" not in found.ignore
