"""The tables and the awkward files of ../shared/data/field, each from `churn new` to the list: what is expected of every one is in CASES."""

import gzip
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pytest

from churn_assets.cli.command import ExitCode
from resources.catalog.pointers import read_batch, read_current
from resources.catalog.published_tables import open_published_table
from tests.conftest import Workspace

pytestmark = pytest.mark.prove

DONE, REFUSED = ExitCode.DONE, ExitCode.NOTHING_PROMOTED


@dataclass(frozen=True, kw_only=True)
class Case:
    """A file and what comes of it.

    spec           what `churn new` has to write, and what it has to say
    arguments      for `churn new`
    correct        lines of the spec that its user uncomments
    retrained      how the first retrain ends: with a champion, or with nothing to learn and a provisional model
    rows           how many rows it is trained on
    first          of a large table, how many records are taken; 0: all
    quarantined    how many records are set aside, and `why`
    batch          the file that is scored, and how: at once, or after `stopped` by `--accept`
    """

    spec: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    correct: tuple[str, ...] = ()
    retrained: ExitCode = REFUSED
    rows: int = 400
    first: int = 0
    quarantined: int = 0
    why: str = ""
    batch: str = ""
    stopped: str = ""
    listed_by_name: bool = True


CASES = {
    "backslash_quotes": Case(spec=("format: {quotes: backslash}", "id: customer_id")),
    "batch_column_empty": Case(spec=("id: customer_id",), retrained=DONE, rows=399, batch="batch.csv", stopped="calls"),
    "clientnum": Case(spec=("id: CLIENTNUM",)),
    "code_as_float": Case(spec=("area_code: category",), retrained=DONE, rows=399, batch="batch.csv"),
    "dollar_sign": Case(spec=("id: customer_id",)),
    "equal_rows_no_id": Case(spec=("WHAT NAMES A CUSTOMER?",), correct=("id: none",), rows=600, listed_by_name=False),
    "excel_rounded_ids": Case(
        spec=("ids that a spreadsheet has rounded, such as 1.00E+11",), correct=("id: none",), listed_by_name=False
    ),
    "excel_sep_line": Case(spec=("the line sep= passed over", "id: customer_id")),
    "infinity_message": Case(spec=("id: customer_id",), rows=372, quarantined=28, why="a finite number"),
    "label_mixed_case": Case(spec=("Rows with churned = Yes count as left: 160 of 400",)),
    "label_subscriber": Case(
        spec=("A GUESS: READ IT", "Rows with Subscriber = NO count as left: 276 of 400"),
        arguments=("--label", "Subscriber"),
    ),
    "nested_parquet": Case(spec=("addr # holds struct", "tags # holds list", "mapc # holds map")),
    "nul_byte": Case(
        spec=("line 201: expected text, found a NUL byte",),
        rows=399,
        quarantined=1,
        why="expected text, found a NUL byte",
    ),
    "null_tokens": Case(spec=("n_dash # repeats tenure", "n_bsN # repeats tenure"), rows=321),
    "pandas_index_column": Case(spec=("column 1 has no name and is passed over", "id: customer_id")),
    "panel_month_split": Case(
        spec=("id: customer_id # one row for each customer and date", "as_of: month", "month: date %Y-%m"), rows=760
    ),
    "strong_feature_ignored": Case(spec=("id: customer_id",), retrained=DONE, rows=620),
    "trailing_comma_rows": Case(spec=("column 8 without a name or a value passed over",)),
    "bank.csv.gz": Case(spec=("id: CustomerId", "RowNumber # numbers the rows"), retrained=DONE, rows=10_000),
    "hotel.csv.gz": Case(
        spec=("id: Booking_ID", "Rows with booking_status = Canceled count as left"),
        retrained=DONE,
        rows=6_000,
        first=6_000,
    ),
    "ecommerce.xlsx": Case(spec=("source: {sheet: E Comm}", "id: CustomerID"), retrained=DONE, rows=5_630),
}
NOT_READ = {"reserved_names": "Expected names other than _id, _as_of, _hash, _label; found '_label', '_hash', '_id'"}


def file_of(shared_data: Path, name: str) -> Path:
    path = shared_data / "field" / name
    return path if path.is_file() else next(path.glob("train.*"))


def test_every_table_and_case_has_its_expectation(shared_data: Path) -> None:
    assert {path.name for path in (shared_data / "field").iterdir()} == {*CASES, *NOT_READ}


@pytest.mark.parametrize("name", NOT_READ)
def test_what_landing_would_refuse_is_refused_at_once(name: str, shared_data: Path, workspace: Workspace) -> None:
    assert workspace.churn("new", "field", file_of(shared_data, name)) == ExitCode.FAILED
    assert NOT_READ[name] in workspace.output
    assert list((workspace.root / "datasets").iterdir()) == []


@pytest.mark.parametrize("name", CASES)
def test_a_table_comes_from_a_first_look_to_a_list(name: str, shared_data: Path, workspace: Workspace) -> None:
    case = CASES[name]
    file = cut(file_of(shared_data, name), case.first, workspace.root)
    describe(workspace, case, file)
    assert workspace.churn("land", "field", file) == DONE
    assert workspace.churn("retrain", "field") == case.retrained, workspace.output
    current = read_current(workspace.lake, "field", "raw_customers")
    assert current is not None
    check_counts(workspace, case, current.prefix)

    batch = file.parent / case.batch if case.batch else file
    assert workspace.churn("land", "field", batch, "--batch", "today") == DONE
    words = () if case.retrained == DONE else ("--provisional",)
    if case.stopped:
        assert workspace.churn("score", "field", "today", *words) == ExitCode.FAILED
        assert case.stopped in workspace.output
        words = (*words, "--accept")
    assert workspace.churn("score", "field", "today", *words) == DONE, workspace.output
    assert "Be careful:  area_code" not in workspace.output
    assert case.batch or "training did not know" not in workspace.output
    check_scored(workspace, case)


def cut(file: Path, first: int, folder: Path) -> Path:
    """Return the file, or one of its `first` records if that is not 0: a large table of lines, zipped."""
    if not first:
        return file
    with gzip.open(file) as whole, gzip.open(folder / file.name, "wb") as made:
        made.writelines(islice(whole, first + 1))
    return folder / file.name


def describe(workspace: Workspace, case: Case, file: Path) -> None:
    """Let `churn new` write the spec, correct it as its comments say, and search little."""
    assert workspace.churn("new", "field", file, *case.arguments) == DONE
    spec = workspace.root / "datasets" / "field.yaml"
    text = spec.read_text()
    for words in case.spec:
        assert words in text
    for line in case.correct:
        assert text.count(f"# {line}") == 1
        text = text.replace(f"# {line}", line)
    spec.write_text(text + "\nsearch: {trials: 1}\n")


def check_counts(workspace: Workspace, case: Case, prefix: str) -> None:
    """Check how many records became rows of a published table, how many are in quarantine, and why."""
    assert open_published_table(workspace.lake, prefix + "rows/").rows == case.rows
    aside = open_published_table(workspace.lake, prefix + "quarantine/").read()["reason"].to_pylist()
    assert len(aside) == case.quarantined
    assert all(case.why in reason for reason in aside)


def check_scored(workspace: Workspace, case: Case) -> None:
    """Check that each row of the batch has a probability, and that the list names customers or says that it cannot."""
    record, current = (
        read_batch(workspace.lake, "field", "today"),
        read_current(workspace.lake, "field", "batch_predictions/today"),
    )
    assert record is not None
    assert current is not None
    predictions = open_published_table(workspace.lake, current.prefix + "predictions/").read()
    assert predictions.num_rows == open_published_table(workspace.lake, record.rows.prefix + "rows/").rows
    assert predictions["churn_probability"].null_count == 0
    if not case.batch:
        check_counts(workspace, case, record.rows.prefix)
    listed = workspace.root / "home" / "out" / "field" / "lists" / "today.csv"
    assert listed.is_file()
    assert ("by which nobody can be called" in workspace.output) is not case.listed_by_name
