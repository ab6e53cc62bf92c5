"""Bad input through the steps themselves, without Dagster: an error in words or the quarantine, never a wrong number or a lost row.

What users see of it through `churn` is in tests/prove/: test_bad_batches.py, test_bad_training.py; what needs a real disk: test_full_and_closed_disks.py.
"""

import csv
import dataclasses
import gzip
import io
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from rich.console import Console

import churn_model
from churn_assets.console.safe_text import on_one_line, say
from churn_model.checks import Check
from churn_model.errors import ChurnError
from churn_model.features.encoding import encode
from churn_model.features.schema import fit_schema
from churn_model.models.bundle import make_bundle, write_bundle
from churn_model.models.bundle_file import BUNDLE, read_required_columns
from churn_model.models.calibration import Calibration
from churn_model.models.families import Hyperparameters, fit_model
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.costs import Contact, Costs, ValueColumn
from churn_model.spec.sections.label import Label
from churn_model.spec.sections.retention_list import RetentionList
from churn_model.steps import ingest, preprocess, score
from churn_model.steps.contract import Layout

SHOP = Dataset(
    name="shop",
    id="id",
    as_of="day",
    label=Label(column="left", positive=("yes",)),
    derived={"per call": "spend / calls"},
    costs=Costs(contact=Contact(cost=20, success=0.6, value=ValueColumn(column="worth"))),
    list=RetentionList(opt_out="do not call"),
)
HEADER = ("id", "day", "age", "spend", "calls", "plan", "region", "worth", "do not call")
Row = tuple[str, ...]


def people(count: int, seed: int = 0) -> list[Row]:
    """Customers as text, as they land; what they do follows from their spend and plan."""
    rng = np.random.default_rng(seed)
    made: list[Row] = []
    for n in range(count):
        spend, calls, plan = rng.normal(60, 20), int(rng.poisson(2)), str(rng.choice(["basic", "plus", "pro"]))
        rest = (
            plan,
            str(rng.choice(["north", "south", "east"])),
            f"{rng.uniform(100, 900):.2f}",
            "yes" if rng.random() < 0.1 else "no",
        )
        made.append(
            (f"C{seed}{n:04d}", "2026-01-01", str(int(rng.integers(18, 90))), f"{spend:.2f}", str(calls), *rest)
        )
    return made


def leavers(rows: Sequence[Row], seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["yes" if rng.random() < 1 / (1 + np.exp((60 - float(row[3])) / 10)) else "no" for row in rows]


def as_csv(header: Sequence[str], rows: Sequence[Sequence[str]], **dialect: str | int) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, **{"lineterminator": "\n", **dialect})  # type: ignore[arg-type]  # csv's options are one bag
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue().encode()


def layout(
    folder: Path, dataset: Dataset = SHOP, *, columns: Mapping[str, str] | None = None, **inputs: Path
) -> Layout:
    shutil.rmtree(folder, ignore_errors=True)
    config = folder / "processing" / "input" / "config"
    config.mkdir(parents=True)
    (config / "dataset.json").write_text(dataset.to_json())
    (config / "request.json").write_text(json.dumps({"version": "v1", "threads": 1, "columns": columns}))
    for name, path in inputs.items():
        (config.parent / name).symlink_to(path)
    made = Layout(folder)
    made.result.mkdir(parents=True)
    return made


def list_landed(folder: Path, files: Mapping[str, bytes]) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    for key, content in files.items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@dataclass(frozen=True)
class Champion:
    """A folder with a small model's bundle, and what it says of the clean batch."""

    folder: Path

    def ingest(self, folder: Path, files: Mapping[str, bytes], dataset: Dataset = SHOP) -> Layout:
        made = layout(
            folder / "ingest",
            dataset,
            columns=read_required_columns(self.folder / BUNDLE),
            landed=list_landed(folder / "landed", files),
        )
        made.write_report("ingest", ingest.step(made))
        return made

    def score(self, folder: Path, files: Mapping[str, bytes], dataset: Dataset = SHOP) -> "Scored":
        rows = self.ingest(folder, files, dataset)
        made = layout(folder / "score", dataset, rows=rows.result, bundle=self.folder)
        report = score.step(made)
        assert report.checks[0].passed
        counts = json.loads((rows.result / "report.json").read_text())["counts"]
        quarantine = pq.read_table(rows.result / "quarantine").to_pylist()
        predictions = pq.read_table(made.result / "predictions")
        return Scored(
            counts,
            [tuple(each.values()) for each in quarantine],
            predictions,
            {check.name: check for check in report.checks},
        )


@dataclass(frozen=True)
class Scored:
    """What became of a batch."""

    counts: Mapping[str, int]
    quarantine: list[tuple[str, int, str | None, str]]
    predictions: pa.Table
    checks: Mapping[str, Check]

    @property
    def probabilities(self) -> dict[str, float]:
        return dict(
            zip(self.predictions["id"].to_pylist(), self.predictions["churn_probability"].to_pylist(), strict=True)
        )


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Champion:
    folder = tmp_path_factory.mktemp("champion")
    rows = people(400)
    table = as_csv([*HEADER, "left"], [(*row, left) for row, left in zip(rows, leavers(rows), strict=True)])
    made = layout(folder / "ingest", landed=list_landed(folder / "landed", {"a.csv": table}))
    ingest.step(made)
    train = pq.read_table(made.result / "rows")
    schema = fit_schema(train, SHOP)
    hyper = Hyperparameters(family="boosted_trees", rounds=10, values={"eta": 0.3, "max_depth": 3})
    model = fit_model(encode(train, schema, "boosted_trees"), np.asarray(train["_label"]), hyper, seed=0, threads=1)
    bundle = make_bundle(model, schema, Calibration(kind="identity"), about={"version": "v1"}, rows=train)
    (folder / "bundle").mkdir()
    write_bundle(bundle, folder / "bundle" / BUNDLE, package=Path(churn_model.__file__).parent)
    return Champion(folder / "bundle")


@pytest.fixture(scope="module")
def clean(champion: Champion, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    found = champion.score(tmp_path_factory.mktemp("clean"), {"a.csv": as_csv(HEADER, people(30, 1))})
    assert (found.counts["rows"], found.quarantine) == (30, [])
    assert len(set(found.probabilities.values())) > 10
    return found.probabilities


# What is thrown at a table. No value here is another customer's id.
# fmt: off
NASTY = st.sampled_from(
    [
        "", " ", "NA", "nan", "inf", "-Infinity", "1e308", "1e39", "-1", "1,5", "$3", "12 %", "true", "text", "'", '"', '""', 'a"b', "0", "00",
        "two\nlines", "x\r\ny", "\n", "😀", "é", "\x1b[31m", "=1+1", "<b>", "[red]", "9" * 400, "x" * 3000, "1_000", "0x10", "１２", "%s",
        "2026-02-30", "2026-02-03T04:05:06Z", ";", "\t", "|", ",", "\ufeff", "\u202e", "\\", "null", "'; drop table x", "{{7*7}}",
    ]
)
# fmt: on
RAW = st.sampled_from(["zz", "a,b", '"open', 'x"y', "," * 30, ";;", '"a" b,c'])


@dataclass
class Mangled:
    """A table under hypothesis: its header, its rows with the number of the clean row that each is, None where it was changed."""

    header: list[str]
    rows: list[tuple[int | None, list[str]]]
    raw: list[str] = field(default_factory=list)
    is_as_trained: bool = True  # a column more takes part in training: its values may set every row aside

    def mangle(self, draw: st.DataObject) -> None:
        """One mutation, drawn."""
        kinds = [
            "cell",
            "cell",
            "cell",
            "double",
            "drop row",
            "add row",
            "drop column",
            "rename",
            "add column",
            "shuffle",
            "case",
            "raw",
        ]
        kind = draw.draw(st.sampled_from(kinds), "mutation")
        event(kind)
        row = draw.draw(st.integers(0, len(self.rows) - 1), "row")
        column = draw.draw(st.integers(0, len(self.header) - 1), "column")
        if kind == "cell":
            self.rows[row][1][column] = draw.draw(NASTY, "value")
            self.rows[row] = (None, self.rows[row][1])
        elif kind == "double":
            self.rows.append((None, list(self.rows[row][1])))
        elif kind == "drop row" and len(self.rows) > 1:
            del self.rows[row]
        elif kind == "add row":
            self.rows.insert(row, (None, [draw.draw(NASTY, "value") for _ in self.header]))
        elif kind == "drop column":
            self._without(column)
        elif kind == "rename":
            self.header[column] = draw.draw(NASTY, "name")
        elif kind == "add column":
            self._with(column, draw.draw(NASTY, "name"), draw.draw(NASTY, "value"))
            self.is_as_trained = False
        elif kind == "shuffle":
            self._ordered(draw.draw(st.permutations(range(len(self.header))), "order"))
        elif kind == "case":
            self.header = [
                draw.draw(st.sampled_from([name.upper(), name.title(), f" {name} "]), "name") for name in self.header
            ]
        elif kind == "raw":
            self.raw.append(draw.draw(RAW, "line"))

    def _without(self, column: int) -> None:
        if len(self.header) > 1:
            del self.header[column]
            for _, cells in self.rows:
                del cells[column]

    def _with(self, column: int, name: str, value: str) -> None:
        self.header.insert(column, name)
        for _, cells in self.rows:
            cells.insert(column, value)

    def _ordered(self, order: Sequence[int]) -> None:
        self.header = [self.header[n] for n in order]
        self.rows = [(number, [cells[n] for n in order]) for number, cells in self.rows]

    def written(self, draw: st.DataObject) -> dict[str, bytes]:
        """The table as one or two files of some dialect."""
        delimiter = draw.draw(st.sampled_from([",", ",", ";", "\t", "|"]), "delimiter")
        end = draw.draw(st.sampled_from(["\n", "\r\n"]), "line end")
        quoting = draw.draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]), "quoting")
        cut = draw.draw(st.sampled_from([len(self.rows), len(self.rows) // 2]), "cut")
        parts = [part for part in (self.rows[:cut], self.rows[cut:]) if part]
        files = {}
        for number, part in enumerate(parts):
            cells = [cells for _, cells in part]
            text = as_csv(self.header, cells, delimiter=delimiter, lineterminator=end, quoting=quoting)
            if draw.draw(st.booleans(), "BOM"):
                text = b"\xef\xbb\xbf" + text
            files[f"{number}.csv"] = text
        files[f"{len(parts) - 1}.csv"] += "".join(line + end for line in self.raw).encode()
        if draw.draw(st.booleans(), "gzip"):
            return {f"{key}.gz": gzip.compress(text) for key, text in files.items()}
        return files


def mangled(draw: st.DataObject, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Mangled:
    table = Mangled(list(header), [(n, list(cells)) for n, cells in enumerate(rows)])
    for _ in range(draw.draw(st.integers(0, 5), "mutations")):
        table.mangle(draw)
    return table


def reads_well(message: str) -> None:
    """Whether an error tells what was expected, what was found and what to do, of each problem, and no id."""
    for line in message.splitlines():
        assert re.search(r"Expected .+; found:? .+\. .+", line), message
    assert "Traceback" not in message
    assert not re.search(r"C\d{5}", message), message


@settings(max_examples=100, deadline=None, derandomize=True)
@given(draw=st.data())
def test_a_mangled_batch_is_refused_in_words_or_each_of_its_records_is_scored_or_set_aside(
    draw: st.DataObject, champion: Champion, clean: dict[str, float], tmp_path_factory: pytest.TempPathFactory
) -> None:
    batch = people(30, 1)
    table = mangled(draw, HEADER, batch)
    files = table.written(draw)
    folder = tmp_path_factory.getbasetemp() / "mangled batch"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        found = champion.score(folder, files)
    except ChurnError as error:
        event("refused")
        reads_well(str(error))
        assert not list(folder.rglob("*.parquet"))
        return
    event("scored")
    counts, probabilities = found.counts, found.probabilities
    assert counts["records"] == counts["rows"] + counts["quarantined"] == len(table.rows) + len(table.raw)
    assert counts["rows"] == found.predictions.num_rows
    assert (
        len(set(zip(found.predictions["id"].to_pylist(), found.predictions["as_of"].to_pylist(), strict=True)))
        == counts["rows"]
    )
    assert all(0 <= p <= 1 for p in found.predictions["churn_probability"].to_pylist())
    assert np.isfinite(found.predictions["expected_saving"].to_numpy()).all()
    for file, line, _, reason in found.quarantine:
        assert file in files
        assert line >= 2
        assert reason
        assert not re.search(r"C\d{5}", reason)
    untouched = {batch[number][0] for number, _ in table.rows if number is not None}
    assert {id_: probabilities.get(id_) for id_ in untouched} == {id_: clean[id_] for id_ in untouched}


def test_a_table_that_breaks_the_contract_is_refused_with_an_example_of_each_reason(tmp_path: Path) -> None:
    table = (
        "id,age,left\n"
        + "".join(f"{n},{n},no\n" for n in range(30))
        + "a,1,\nb,\x1b[2J,no\n"
        + "".join(f"c{n},2\n" for n in range(2000))
    )
    dataset = Dataset(name="shop", id="id", label=Label(column="left", positive=("yes",)), types={"age": "number"})
    report = ingest.step(
        layout(tmp_path / "ingest", dataset, landed=list_landed(tmp_path / "landed", {"a.csv": table.encode()}))
    )
    contract = next(check for check in report.checks if check.name == "landed_data_keeps_the_contract")
    assert contract.found == (
        "30 rows, 2,002 in quarantine: expected 3 values, as in the header (2,000 records, such as 2 values), "
        r"age: expected a number (1 record, such as '\x1b[2J'), "
        "left: expected a label (1 record, such as a blank; if it means stayed, write so, such as 0 or no)"
    )


def test_a_name_in_the_spec_that_no_column_has_is_told_before_anything_is_split(tmp_path: Path) -> None:
    rows = people(120, 3)
    table = as_csv((*HEADER, "left"), [(*row, left) for row, left in zip(rows, leavers(rows), strict=True)])
    made = layout(tmp_path / "ingest", landed=list_landed(tmp_path / "landed", {"a.csv": table}))
    ingest.step(made)
    splits = layout(tmp_path / "preprocess", replace(SHOP, ignore=("regions",)), rows=made.result)
    with pytest.raises(ChurnError, match=r"found no 'regions'. .*close to 'regions': 'region'"):
        preprocess.step(splits)
    assert not list(splits.result.iterdir())


@settings(max_examples=30, deadline=None, derandomize=True)
@given(draw=st.data())
def test_a_mangled_training_table_is_refused_in_words_or_each_of_its_records_is_in_a_split_or_set_aside(
    draw: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = people(120, 2)
    labelled = [(*row, left) for row, left in zip(rows, leavers(rows), strict=True)]
    table = mangled(draw, (*HEADER, "left"), labelled)
    folder = tmp_path_factory.getbasetemp() / "mangled table"
    try:
        made = layout(folder / "ingest", landed=list_landed(folder / "landed", table.written(draw)))
        counts = ingest.step(made).content.counts
        splits = layout(folder / "preprocess", rows=made.result)
        preprocess.step(splits)
    except ChurnError as error:
        event("refused")
        reads_well(str(error))
        return
    event("split")
    assert counts.records == counts.rows + counts.quarantined == len(table.rows) + len(table.raw)
    ids = [
        id_
        for name in ("train", "validation", "test")
        for id_ in pq.read_table(splits.result / name)["_id"].to_pylist()
    ]
    assert len(ids) == counts.rows
    spends = {row["_id"]: row.get("spend") for row in pq.read_table(made.result / "rows").to_pylist()}
    for number, _ in table.rows:
        if number is not None and table.is_as_trained:
            assert ids.count(rows[number][0]) == 1
            if isinstance(spends[rows[number][0]], float):
                assert spends[rows[number][0]] == float(rows[number][3])


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        (
            "worth",
            "",
            "expected a worth from 0 to 1e+12, found a blank; fill it, or set costs.contact.value to one number",
        ),
        (
            "worth",
            "-5",
            "expected a worth from 0 to 1e+12, found -5; fill it, or set costs.contact.value to one number",
        ),
        (
            "worth",
            "3e38",
            "expected a worth from 0 to 1e+12, found 3e+38; fill it, or set costs.contact.value to one number",
        ),
        ("worth", "much", "expected a number, found 'much'"),
        ("spend", "1e308", "expected a number within 3.4e+38, found 1e+308"),
        ("spend", "inf", "expected a finite number, found an infinite one; write it blank if it is unknown"),
        ("day", "2026-02-30", "expected a date that the calendar has, found '2026-02-30'"),
        ("id", " ", "expected an id, found a blank"),
    ],
)
def test_one_value_that_no_number_can_be_reckoned_with_costs_one_customer_and_not_the_batch(
    champion: Champion, clean: dict[str, float], tmp_path: Path, column: str, value: str, reason: str
) -> None:
    batch = [list(row) for row in people(30, 1)]
    batch[7][HEADER.index(column)] = value
    found = champion.score(tmp_path, {"a.csv": as_csv(HEADER, batch)})
    assert found.quarantine == [("a.csv", 9, column, reason)]
    assert found.probabilities == {id_: p for id_, p in clean.items() if id_ != people(30, 1)[7][0]}


def test_a_customer_without_a_worth_is_not_trained_on(tmp_path: Path) -> None:
    rows = people(40)
    table = [[*row, left] for row, left in zip(rows, leavers(rows), strict=True)]
    table[3][HEADER.index("worth")] = ""
    counts = ingest.step(
        layout(tmp_path / "step", landed=list_landed(tmp_path / "landed", {"a.csv": as_csv([*HEADER, "left"], table)}))
    ).content.counts
    assert (counts.rows, counts.quarantined) == (39, 1)


def test_a_level_never_seen_counts_as_no_level(champion: Champion, clean: dict[str, float], tmp_path: Path) -> None:
    batch = [list(row) for row in people(30, 1)]
    for cells in batch:
        cells[HEADER.index("plan")] = "never seen 😀"
    strange = champion.score(tmp_path / "strange", {"a.csv": as_csv(HEADER, batch)})
    assert strange.counts["rows"] == 30
    for cells in batch:
        cells[HEADER.index("plan")] = "seen as little"
    assert (
        champion.score(tmp_path / "other", {"a.csv": as_csv(HEADER, batch)}).probabilities
        == strange.probabilities
        != clean
    )


def test_a_batch_full_of_levels_never_seen_is_scored_and_the_warning_names_the_column(
    champion: Champion, tmp_path: Path
) -> None:
    rows = people(100, 1)
    at = HEADER.index("plan")
    for strange, passes in ((5, True), (6, False)):
        batch = [(*row[:at], "martian" if n < strange else row[at], *row[at + 1 :]) for n, row in enumerate(rows)]
        check = champion.score(tmp_path, {"a.csv": as_csv(HEADER, batch)}).checks["categories_hold_known_values"]
        assert check.passed == passes
    assert check.found == "plan: 6 of 100 rows hold a value that training did not know"


def test_as_many_levels_as_rows_and_a_thousand_columns_are_learned_from_without_them(tmp_path: Path) -> None:
    count, wide = 200_000, 1_000
    level = pa.table(
        {"id": np.arange(count), "level": [f"level {n}" for n in range(count)], "spend": np.arange(count) % 97}
    )
    level = level.append_column("left", pa.array(np.where(np.arange(count) % 3, "no", "yes")))
    columns = pa.table(
        {f"c{n}": np.full(300, n) for n in range(wide)}
        | {"x": np.arange(300.0), "left": np.where(np.arange(300) % 3, "no", "yes")}
    )
    plain = Dataset(name="shop", id="id", label=SHOP.label)
    for table, dataset, kept in ((level, plain, ["spend"]), (columns, replace(plain, id=None), ["x"])):
        sink = io.BytesIO()
        pq.write_table(table, sink)
        made = layout(
            tmp_path / "step", dataset, landed=list_landed(tmp_path / "landed", {"a.parquet": sink.getvalue()})
        )
        assert ingest.step(made).content.counts.rows == table.num_rows
        rows = pq.read_table(made.result / "rows")
        schema = fit_schema(rows, dataset)
        assert [feature.name for feature in schema.features] == kept
        assert encode(rows, schema, "boosted_trees").shape == (table.num_rows, 1)


def test_all_that_is_wrong_with_forty_files_reaches_the_user(tmp_path: Path, champion: Champion) -> None:
    files = {f"landing/shop/score/monday/{'long name ' * 8}{n}.csv": b"" for n in range(40)}
    with pytest.raises(ChurnError) as raised:
        champion.ingest(tmp_path, files)
    assert len(str(raised.value).splitlines()) == 40
    reads_well(str(raised.value))


def test_nothing_from_data_moves_the_terminals_cursor_or_is_markup() -> None:
    out = io.StringIO()
    say(Console(file=out, force_terminal=True, soft_wrap=True), "[red]x[/nope] \x1b[2J\x07\u202eabc\ttab\n😀")
    assert out.getvalue() == "[red]x[/nope] �[2J��abc tab\n😀\n"
    assert on_one_line(" a\nb\x1b ") == "a b�"


def test_the_datasets_of_this_file_are_what_they_seem() -> None:
    assert dataclasses.asdict(SHOP)["as_of"] == "day"
    assert len({row[0] for row in people(30, 1)} & {row[0] for row in people(400)}) == 0
