"""From landed files to canonical rows: every record is a row or in quarantine."""

import datetime
import gzip
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from churn_model.errors import ChurnError, InputError
from churn_model.ingest import canonical_rows
from churn_model.ingest.canonical_rows import Ingested, ingest
from churn_model.ingest.formats.base import LandedFile
from churn_model.ingest.row_order import OccurrenceCounter, row_hashes, value_ids
from churn_model.spec.dataset import Dataset, Kind
from churn_model.spec.sections.label import Label
from churn_model.spec.sections.retention_list import RetentionList
from churn_model.spec.sections.split import Split
from churn_model.tables import BLOCK_ROWS

SHOP = Dataset(name="shop", id="id", label=Label(column="left", positive=("yes",)))
REAL = Path(__file__).resolve().parents[4] / "shared" / "data"


@dataclass(frozen=True)
class Result:
    """What ingest answered and wrote."""

    counts: Ingested
    rows: pa.Table
    wrong: list[tuple[Any, ...]]
    data: bytes

    @property
    def ids(self) -> set[str]:
        return set(self.rows.column("_id").to_pylist())


def as_bytes(content: str | bytes | pa.Table) -> bytes:
    if isinstance(content, pa.Table):
        sink = io.BytesIO()
        parquet.write_table(content, sink)
        return sink.getvalue()
    return content.encode() if isinstance(content, str) else content


def run(
    folder: Path,
    files: Mapping[str, str | bytes | pa.Table],
    dataset: Dataset = SHOP,
    expected: Mapping[str, Kind] | None = None,
    **more: int,
) -> Result:
    landed = []
    for n, (key, content) in enumerate(files.items()):
        path = folder / f"landed {n}"
        path.write_bytes(as_bytes(content))
        landed.append(LandedFile(key, path))
    out = folder / "out"
    counts = ingest(landed, dataset, out, expected=expected, **more)
    assert sorted(path.name for path in out.iterdir()) == ["quarantine", "rows"]
    wrong = [tuple(row.values()) for row in parquet.read_table(out / "quarantine").to_pylist()]
    rows = parquet.read_table(out / "rows")
    assert counts.records == counts.rows + counts.quarantined
    assert (counts.rows, counts.quarantined, counts.files) == (rows.num_rows, len(wrong), len(files))
    return Result(counts, rows, wrong, (out / "rows" / "part-00000.parquet").read_bytes())


def test_rows_are_canonical(tmp_path: Path) -> None:
    dataset = replace(SHOP, as_of="day")
    text = "id,day,age,plan,left\n007,2024-01-31,31, DSL ,Yes\nb,2024-02-29T10:00:00Z,,,no\n007,2024-02-29,NA,NA,No\n"
    found = run(tmp_path, {"a.csv": text}, dataset)
    assert found.rows.schema == pa.schema(
        [
            ("_id", pa.string()),
            ("_as_of", pa.date32()),
            ("_hash", pa.uint64()),
            ("_label", pa.int8()),
            ("age", pa.float64()),
            ("plan", pa.dictionary(pa.int32(), pa.string())),
        ]
    )
    hashes = dict(zip(["007", "b"], row_hashes(pa.array(["007", "b"]), dataset.split.seed).tolist(), strict=True))
    january, february = datetime.date(2024, 1, 31), datetime.date(2024, 2, 29)
    expected = [("007", january, 1, 31.0, "DSL"), ("007", february, 0, None, "NA"), ("b", february, 0, None, None)]
    expected.sort(key=lambda row: hashes[row[0]])
    got = [tuple(row.values()) for row in found.rows.to_pylist()]
    assert got == [(row[0], row[1], hashes[row[0]], *row[2:]) for row in expected]
    assert found.counts == Ingested(
        3, 3, 0, 1, {"age": "number", "plan": "category"}, (), {}, 1, {}, {"age": {"NA": 1}}
    )


def test_an_id_without_its_own_column_is_a_hash_of_the_values_and_not_of_the_label(tmp_path: Path) -> None:
    dataset = replace(SHOP, id=None, ignore=("Phone",))
    files = {"a.csv": "plan,left,phone,age\nDSL,yes,1,1.50\nDSL,no,2,1.5\nDSL,yes,1,1.5\nnone,yes,1,2\n"}
    found = run(tmp_path, files, dataset)
    first, other = value_ids([pa.array([1.5, 2.0]), pa.array(["DSL", "none"])], OccurrenceCounter()).to_pylist()
    assert found.ids == {first, f"{first}-2", f"{first}-3", other}
    assert (found.wrong, found.counts.rows) == ([], 4)


@pytest.mark.parametrize("limit_bytes", [0, 1 << 20])
def test_without_an_id_equal_rows_are_rows_of_all_files(tmp_path: Path, limit_bytes: int) -> None:
    files = {name: "plan,left\n" + "A,yes\nA,no\nB,no\n" * n for name, n in (("a.csv", 40), ("b.csv", 41))}
    found = run(tmp_path, files, replace(SHOP, id="none"), limit_bytes=limit_bytes)
    assert (found.counts.records, found.counts.rows, len(found.ids), found.counts.positives) == (243, 243, 243, 81)


def test_without_an_id_a_file_that_landed_twice_is_refused(tmp_path: Path) -> None:
    files = dict.fromkeys(["a.csv", "b.csv"], "plan,left\nA,yes\nB,no\n")
    with pytest.raises(InputError, match=r"found b\.csv, a copy of a\.csv"):
        run(tmp_path, files, replace(SHOP, id=None))


def test_without_an_id_each_file_is_read_once_to_find_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    real = canonical_rows._digest

    def digest(file: LandedFile) -> str:
        read.append(file.key)
        return real(file)

    monkeypatch.setattr(canonical_rows, "_digest", digest)
    files = {f"{n:02}.csv": f"plan,left\nA{n:02},yes\nB,no\n" for n in range(30)} | {"own.csv": "plan,left\nA,yes\n"}
    run(tmp_path, files, replace(SHOP, id="none"))
    assert sorted(read) == sorted(files)[:30]  # one of another size is nobody's copy


@pytest.mark.parametrize(
    ("record", "column", "reason"),
    [
        ("x,2024-01-31,1,a", None, "expected 5 values, as in the header, found 4 values"),
        ("x,2024-01-31,1,a,no,", None, "expected 5 values, as in the header, found 6 values"),
        (
            'x,2024-01-31,1,"a,no',
            None,
            "expected a quoted value that is closed, with the quotes inside it doubled, found a stray quote",
        ),
        (",,,,", None, "expected values, found blanks alone"),
        (" ,2024-01-31,1,a,no", "id", "expected an id, found a blank"),
        ("x,,1,a,no", "day", "expected a date, found a blank"),
        ("x,yesterday,1,a,no", "day", "expected a date such as 2024-01-31, found 'yesterday'"),
        ("x,2024-01-31,1,a,", "left", "expected a label, found a blank; if it means stayed, write so, such as 0 or no"),
        (
            "x,2024-01-31,1,a,maybe",
            "left",
            "expected one of yes, 0, f, false, n, no, found 'maybe'; list it under label.positive or label.negative",
        ),
        ("x,2024-01-31,many,a,no", "age", "expected a number, found 'many'"),
        (
            "x,2024-01-31,inf,a,no",
            "age",
            "expected a finite number, found an infinite one; write it blank if it is unknown",
        ),
        ("x,2024-01-31,1e308,a,no", "age", "expected a number within 3.4e+38, found 1e+308"),
        (b"x,2024-01-31,1,\x8dt\x81,no", "plan", "expected text in UTF-8, found another encoding"),
        (
            b"x,2024-01-31,1," + b"y" * 1_048_577 + b",no",
            "plan",
            "expected a value of at most 1 MiB, found a longer one",
        ),
    ],
)
def test_a_record_that_cannot_be_a_row_is_in_quarantine_with_its_line_column_and_reason(
    tmp_path: Path, record: str | bytes, column: str | None, reason: str
) -> None:
    good = "a,2024-01-31,1,a,no\n\n"
    multi = 'b,2024-01-31,1,"two\nlines",no\n'
    text = ("id,day,age,plan,left\n" + good + multi).encode() + as_bytes(record) + b"\nc,2024-01-31,3,c,yes\n"
    dataset = replace(SHOP, as_of="day", types={"age": "number"})
    found = run(tmp_path, {"f/a.csv": text}, dataset)
    assert found.wrong == [("f/a.csv", 6, column, reason)]
    assert found.ids == {"a", "b", "c"}
    assert sum(found.counts.reasons.values()) == 1


@pytest.mark.parametrize("kind", [None, "number"])
@pytest.mark.parametrize("expected", [None, {"age": "number"}], ids=["training", "batch"])
def test_an_opt_out_is_yes_or_no_or_the_files_are_refused(
    tmp_path: Path, expected: Mapping[str, Kind] | None, kind: Kind | None
) -> None:
    dataset = replace(SHOP, list=RetentionList(opt_out="No Calls"), types={"No Calls": kind} if kind else {})
    head = "id,age,no calls,left\na,1,1,nein\nb,2,,yes\n"
    found = run(tmp_path, {"a.csv": head + "c,3,0.0,no\nd,4,1.0,no,\n"}, dataset, expected)
    assert (found.ids, found.counts.quarantined) == ({"a", "b", "c"}, 1)
    words = ["2"] if kind else ["vielleicht", "NULL", "x"]
    lines = "".join(f"{word},1,{word},no\n" for word in words)
    message = (
        "Expected yes (yes, true, 1, y, t ...), no (no, false, 0, n, f ...) or a blank, which is no, in the opt-out column 'No Calls'; "
        f"found {', '.join(map(repr, words))} in b.csv. Write yes or no, and land it again"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        run(tmp_path, {"a.csv": head, "b.csv": head + lines}, dataset, expected)
    assert not list((tmp_path / "out").rglob("*.parquet"))


def test_a_column_of_decimal_commas_is_read_and_no_category_of_thousands(tmp_path: Path) -> None:
    fees = [f"{n},{n % 100:02d}" for n in range(60)] + ["7", "", "many", "-"]
    text = "id;fee;left\n" + "".join(f"{n};{fee};no\n" for n, fee in enumerate(fees))
    found = run(tmp_path, {"a.csv": text}, SHOP)
    assert found.counts.kinds == {"fee": "number 1.234,5"}
    assert found.counts.missing_words == {"fee": {"-": 1}}
    assert found.counts.quarantined == 1
    assert run(tmp_path, {"a.csv": text}, replace(SHOP, types={"fee": "category"})).counts.kinds == {"fee": "category"}
    few = "id;fee;left\n" + "".join(f"{n};{n % 20},99;no\n" for n in range(60))
    assert run(tmp_path, {"a.csv": few}).counts.kinds == {"fee": "category"}
    words = text + "".join(f"x{n};word;no\n" for n in range(4))
    assert run(tmp_path, {"a.csv": words}).counts.kinds == {"fee": "category"}
    either = "id;fee;left\n" + "".join(f"{n};{n},{n + 100};no\n" for n in range(60))
    with pytest.raises(InputError, match=r"several ways\. Write `types: \{fee: 'number 1,234\.5'\}` or"):
        run(tmp_path, {"a.csv": either}, SHOP)


def test_the_reasons_are_counted_without_the_values_in_them(tmp_path: Path) -> None:
    lines = "".join(f"{n},x{n},no\n" for n in range(30)) + "".join(f"{n},1\n" for n in range(40))
    found = run(tmp_path, {"a.csv": "id,age,left\n" + lines}, replace(SHOP, types={"age": "number"}))
    assert list(found.counts.reasons.items()) == [
        ("expected 3 values, as in the header", 40),
        ("age: expected a number", 30),
    ]
    assert found.counts.examples == {
        "expected 3 values, as in the header": "2 values",
        "age: expected a number": "'x0'",
    }


def test_of_equal_records_the_first_stays_and_different_ones_are_rows_of_one_customer(tmp_path: Path) -> None:
    files = {
        "b.csv": "id,age,left\na,1,no\n",
        "a.csv": 'id,age,left\n\nc,"\n1",no\na,1,no\na,1.0,No\na,2,no\n',
        "c.parquet": pa.table({"ID": ["a", "d"], "age": [1, 1], "left": ["no", "yes"]}),
    }
    found = run(tmp_path, files)
    assert found.ids == {"a", "c", "d"}
    assert found.counts.rows == 4
    assert found.wrong == [
        ("a.csv", 6, None, "the same record again; kept: a.csv:5, first by file name and line"),
        ("b.csv", 2, None, "the same record again; kept: a.csv:5, first by file name and line"),
        ("c.parquet", 1, None, "the same record again; kept: a.csv:5, first by file name and line"),
    ]
    assert found.counts.reasons == {"the same record again": 3}


def test_of_records_with_one_id_and_date_the_first_stays(tmp_path: Path) -> None:
    text = "id,day,age,left\na,2024-01-01,1,no\na,2024-01-01,2,no\na,2024-02-01,2,no\n"
    found = run(tmp_path, {"a.csv": text}, replace(SHOP, as_of="day"))
    assert found.counts.rows == 2
    assert found.counts.reasons == {"another record with the same id and date": 1}


@pytest.mark.parametrize(
    ("numbers", "others", "blanks", "kind"),
    [
        (95, 5, 0, "number"),
        (94, 6, 0, "category"),
        (19, 1, 80, "number"),
        (0, 0, 5, "number"),
        (0, 1, 99, "category"),
        (5, 0, 0, "number"),
    ],
)
def test_a_column_is_a_number_where_95_in_100_values_present_are(
    tmp_path: Path, numbers: int, others: int, blanks: int, kind: Kind
) -> None:
    cells = ["1.5"] * numbers + ["x"] * others + ["", "NA", " ", "null", "None"] * (blanks // 5) + [""] * (blanks % 5)
    half = len(cells) // 2
    files = {
        f"{key}.csv": "id,v,left\n" + "".join(f"{key}{n},{cell},no\n" for n, cell in enumerate(part))
        for key, part in (("a", cells[:half]), ("b", cells[half:]))
    }
    found = run(tmp_path, files)
    assert found.counts.kinds == {"v": kind}
    assert found.counts.quarantined == (others if kind == "number" else 0)


def test_what_the_spec_says_of_a_columns_kind_holds_for_every_format(tmp_path: Path) -> None:
    dataset = replace(SHOP, types={"Senior": "category", "spend": "number"})
    files = {
        "a.csv": "id,senior,spend,left\na,1,x,no\nb,0,2.5,yes\n",
        "b.parquet": pa.table({"id": [1, 2], "senior": [1, None], "spend": ["7", "x"], "left": [True, False]}),
    }
    found = run(tmp_path, files, replace(dataset, label=Label(column="left", positive=("yes", "true"))))
    assert found.counts.kinds == {"Senior": "category", "spend": "number"}
    assert {row["_id"]: row["Senior"] for row in found.rows.to_pylist()} == {"b": "0", "1": "1"}
    assert [(file, line, column) for file, line, column, _ in found.wrong] == [
        ("a.csv", 2, "spend"),
        ("b.parquet", 2, "spend"),
    ]


def test_scoring_takes_the_champions_columns_and_names_those_it_drops(tmp_path: Path) -> None:
    files = {"batch/a.csv": "zip,LEFT,plan,Age,id\n1,perhaps,DSL,x,a\n2,,fibre,3,b\n"}
    found = run(tmp_path, files, expected={"age": "number", "Plan": "category"})
    assert found.rows.schema.names == ["_id", "_hash", "age", "Plan"]
    assert found.counts.kinds == {"age": "number", "Plan": "category"}
    assert found.counts.ignored_columns == ("zip",)
    assert found.counts.positives is None
    assert found.wrong == [("batch/a.csv", 2, "age", "expected a number, found 'x'")]


def test_in_scoring_without_an_id_a_record_of_nothing_is_no_customer(tmp_path: Path) -> None:
    found = run(tmp_path, {"a.csv": "x,y\n,\n1,\n"}, replace(SHOP, id=None), expected={"x": "number", "y": "category"})
    assert found.counts.rows == 1
    assert found.wrong == [("a.csv", 2, None, "expected values, found blanks alone")]


def test_columns_of_any_name_and_order_are_kept(tmp_path: Path) -> None:
    names = ["🙂", 'say "hi"', "two\nlines", "a,b;c", "a.b", "=1+1", "<b>", "_file", "_line", "0"]
    header = ",".join('"' + name.replace('"', '""') + '"' for name in names)
    shuffled = pa.table({name.upper(): [n] for n, name in enumerate(["id", "left", *names[::-1]])}).set_column(
        1, "left", pa.array(["yes"])
    )
    found = run(tmp_path, {"a.csv": f"id,{header},left\na,{','.join('0123456789')},no\n", "b.parquet": shuffled})
    assert list(found.counts.kinds) == names
    assert {row["_id"]: [row[name] for name in names] for row in found.rows.to_pylist()} == {
        "a": [float(n) for n in range(10)],
        "0": [float(n) for n in range(11, 1, -1)],
    }


def test_a_thousand_columns_and_many_levels_are_no_trouble(tmp_path: Path) -> None:
    wide = (
        "id,left,"
        + ",".join(f"c{n}" for n in range(1000))
        + "\n"
        + "".join(f"{row},no," + ",".join("7" * 1000) + "\n" for row in range(20))
    )
    assert len(run(tmp_path, {"a.csv": wide}).counts.kinds) == 1000
    levels = "id,left,level\n" + "".join(f"{row},no,level {row}\n" for row in range(50_000))
    column = run(tmp_path, {"a.csv": levels}).rows.column("level").combine_chunks()
    assert len(column.dictionary) == 50_000


def table_text(rows: list[int]) -> str:
    return "id,age,plan,left\n" + "".join(f"c{n},{n % 90},plan {n % 7},{'yes' if n % 5 else 'no'}\n" for n in rows)


def test_the_same_rows_make_the_same_bytes_however_they_landed(tmp_path: Path) -> None:
    order = np.random.default_rng(1).permutation(2_000).tolist()
    whole = run(tmp_path, {"a.csv": table_text(order)})
    assert run(tmp_path, {"a.csv": table_text(sorted(order))}).data == whole.data
    pieces = {
        f"{n}.csv.gz": gzip.compress(table_text(order[n * 500 :][:500]).replace("\n", "\r\n").encode())
        for n in range(4)
    }
    assert run(tmp_path, pieces).data == whole.data
    assert run(tmp_path, dict(reversed(pieces.items())), limit_bytes=0).data == whole.data


def test_the_way_over_the_disk_makes_the_same_bytes_in_equal_row_groups(tmp_path: Path) -> None:
    rows = 2 * BLOCK_ROWS + 1_000
    numbers = np.arange(rows)
    table = pa.table(
        {
            "id": numbers,
            "age": numbers % 91 / 2,
            "plan": pa.array([f"p{n % 300}" for n in range(rows)]),
            "left": numbers % 2,
        }
    )
    dataset = replace(SHOP, label=Label(column="left", positive=("1",)))
    in_memory = run(tmp_path, {"a.parquet": table}, dataset)
    over_disk = run(tmp_path, {"a.parquet": table}, dataset, limit_bytes=4 << 20)
    assert in_memory.data == over_disk.data
    written = parquet.ParquetFile(io.BytesIO(over_disk.data)).metadata
    assert [written.row_group(n).num_rows for n in range(written.num_row_groups)] == [BLOCK_ROWS, BLOCK_ROWS, 1_000]
    assert {written.row_group(0).column(n).compression for n in range(written.num_columns)} == {"ZSTD"}
    assert over_disk.counts.positives == rows // 2


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"at least one file.*none.*a name ending in \.csv, \.csv\.gz, \.parquet"):
        ingest([], SHOP, tmp_path, expected=None)


def test_the_problems_of_all_files_are_said_at_once_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        run(
            tmp_path,
            {"d.csv": "id,left,x\na,no,1\n", "c.csv": "", "b.csv.gz": b"?", "a.csv": "id,left,x\n", "e.txt": "x"},
        )
    assert [line.split(": ")[0] for line in str(raised.value).splitlines()] == [
        "1. a.csv",
        "2. b.csv.gz",
        "3. c.csv",
        "4. e.txt",
    ]
    assert not (tmp_path / "out").exists()


def test_a_file_that_turns_out_damaged_leaves_nothing_behind(tmp_path: Path) -> None:
    endless = "id,left,x\na,no,1\n" + "b" * (21 << 20)
    with pytest.raises(InputError, match=r"^a\.csv: Expected records of at most 16 MiB"):
        run(tmp_path, {"a.csv": endless}, replace(SHOP, types={"x": "number"}), limit_bytes=0)
    assert not list((tmp_path / "out").iterdir())


def test_all_records_may_be_in_quarantine(tmp_path: Path) -> None:
    found = run(tmp_path, {"a.csv": "id,x,left\n,1,no\n"})
    assert (found.counts.rows, found.counts.quarantined, found.counts.positives) == (0, 1, 0)
    assert found.rows.schema.names == ["_id", "_hash", "_label", "x"]


@pytest.mark.parametrize(
    ("name", "dataset", "rows", "positives"),
    [
        (
            "telco_churn.csv",
            Dataset(name="telco", id="customerid", label=Label(column="churn", positive=("Yes",))),
            7043,
            1869,
        ),
        (
            "larose_churn.csv",
            Dataset(
                name="larose",
                id="customer_id",
                label=Label(column="Churn?", positive=("True",)),
                split=Split(by="column", column="split"),
            ),
            3333,
            483,
        ),
        (
            "leads.csv",
            Dataset(name="leads", id="Prospect ID", label=Label(column="Converted", positive=("1",))),
            9074,
            3435,
        ),
        (
            "synthetic_churn.csv",
            Dataset(name="synthetic", label=Label(column="Churn?", positive=("True.",))),
            5000,
            2498,
        ),
    ],
)
def test_real_files_are_ingested_whole(tmp_path: Path, name: str, dataset: Dataset, rows: int, positives: int) -> None:
    path = REAL / name
    if not path.is_file():
        pytest.skip("needs the real files in ../shared/data")
    counts = ingest([LandedFile(name, path)], dataset, tmp_path, expected=None)
    assert (counts.records, counts.rows, counts.quarantined, counts.positives) == (rows, rows, 0, positives)
    again = ingest([LandedFile(name, path)], dataset, tmp_path, expected=counts.kinds)
    assert (again.rows, again.kinds) == (rows, counts.kinds)


def test_the_blank_charges_of_new_customers_are_missing_numbers(tmp_path: Path) -> None:
    path = REAL / "telco_churn.csv"
    if not path.is_file():
        pytest.skip("needs the real files in ../shared/data")
    counts = ingest(
        [LandedFile("t.csv", path)],
        Dataset(name="telco", id="customerID", label=Label(column="Churn", positive=("Yes",))),
        tmp_path,
        expected=None,
    )
    assert counts.kinds["TotalCharges"] == "number"
    assert parquet.read_table(tmp_path / "rows").column("TotalCharges").null_count == 11


fragments = st.sampled_from(
    [
        b"a",
        b"b,",
        b"1",
        b",",
        b",",
        b"\n",
        b"\n",
        b"\r\n",
        b"\r",
        b'"',
        b'""',
        b",no\n",
        b",yes\n",
        b"c,1,no\n",
        b"\xff",
        b" ",
        b"inf",
        "é".encode(),
    ]
)
mangled = st.lists(fragments, max_size=30).map(b"".join)


@settings(max_examples=120, deadline=None)
@given(first=mangled, second=mangled, has_id=st.booleans(), scoring=st.booleans())
def test_mangled_tables_are_reconciled_or_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, first: bytes, second: bytes, has_id: bool, scoring: bool
) -> None:
    folder = tmp_path_factory.mktemp("mangled")
    dataset = SHOP if has_id else replace(SHOP, id=None)
    expected: dict[str, Kind] | None = {"x": "number"} if scoring else None
    try:
        found = run(folder, {"1.csv": b"id,x,left\n" + first, "2.csv": b"x,left,id\r" + second}, dataset, expected)
    except ChurnError:
        assert not (folder / "out" / "rows").exists()
        event("refused")
        return
    event("reconciled")
    if b'"' not in first + second:
        landed = [line for data in (first, second) for line in re.split(rb"[\r\n]", data) if line.strip()]
        assert found.counts.records == len(landed)
    # A customer may have several rows, as long as they differ; a record that is there twice is one row.
    rows = [tuple(row.values()) for row in found.rows.to_pylist()]
    assert len(set(rows)) == len(rows)
    lines = {
        "1.csv": first.count(b"\n") + first.count(b"\r") + 2,
        "2.csv": second.count(b"\n") + second.count(b"\r") + 2,
    }
    assert all(2 <= line <= lines[file] for file, line, _, _ in found.wrong)
