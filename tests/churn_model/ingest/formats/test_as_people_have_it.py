"""Text files and workbooks as other programs write them: what is read, what is said of it, and where each record goes."""

import gzip
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from churn_model.errors import InputError
from churn_model.features.named_columns import require_described
from churn_model.ingest.canonical_rows import Ingested, ingest
from churn_model.ingest.formats.base import LandedFile, Options
from churn_model.ingest.formats.csv import open_csv
from churn_model.ingest.formats.header_rows import count_second_headers
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.file_format import FileFormat
from churn_model.spec.sections.label import Label
from churn_model.tables import open_table

SHOP = Dataset(name="shop", id="id", label=Label(column="left", positive=("yes",)))
HEADER = "id,city,fee,left"
ROWS = [f"C{n:03d},{['Köln', 'Orléans', 'Málaga', 'Rome'][n % 4]},{n}.5,{'yes' if n % 3 else 'no'}" for n in range(40)]
PLAIN = "\n".join([HEADER, *ROWS]) + "\n"


@dataclass(frozen=True)
class Made:
    """What ingest made of one file."""

    counts: Ingested
    rows: list[dict[str, object]]
    quarantine: list[tuple[int, str]]

    @property
    def remarks(self) -> str:
        return "; ".join(remark for found in self.counts.remarks.values() for remark in found)


def made(folder: Path, data: bytes | str, dataset: Dataset = SHOP, name: str = "t.csv") -> Made:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    counts = ingest([LandedFile(name, path)], dataset, folder / "out", expected=None)
    rows = sorted(pq.read_table(folder / "out" / "rows").to_pylist(), key=lambda row: str(row["_id"]))
    wrong = pq.read_table(folder / "out" / "quarantine").to_pylist()
    return Made(counts, rows, [(row["line"], row["reason"]) for row in wrong])


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    return made(tmp_path_factory.mktemp("plain"), PLAIN).rows


def index(text: str) -> str:
    head, *rows = text.splitlines()
    return "\n".join(["," + head, *(f"{n},{row}" for n, row in enumerate(rows))]) + "\n"


SPELLINGS: dict[str, tuple[Callable[[str], str | bytes], str]] = {
    "UTF-8 with a mark": (lambda text: text.encode("utf-8-sig"), ""),
    "UTF-16 with a mark": (lambda text: text.encode("utf-16"), "read as UTF-16"),
    "UTF-16, the other way": (lambda text: b"\xfe\xff" + text.encode("utf-16-be"), "read as UTF-16"),
    "UTF-32": (lambda text: text.encode("utf-32"), "read as UTF-32"),
    "UTF-16 without a mark": (lambda text: text.encode("utf-16-le"), "read as UTF-16, as its zero bytes suggest"),
    "Latin-1": (lambda text: text.encode("latin-1"), "read as cp1252, which was detected"),
    "Mac line ends": (lambda text: text.replace("\n", "\r"), ""),
    "a line that names the delimiter": (lambda text: "sep=;\n" + text.replace(",", ";"), "the line sep= passed over"),
    "an unusual delimiter": (lambda text: "sep=^\r\n" + text.replace(",", "^"), "the line sep= passed over"),
    "a title": (lambda text: f"Customers of May\n\n{text}", "line 1 passed over above the header: 'Customers of May'"),
    "padded titles": (
        lambda text: f"Report,,,\nmade by,B. Jones,,\n{text}",
        "lines 1 to 2 passed over above the header: 'Report', 'made by,B. Jones'",
    ),
    "comments": (
        lambda text: f"# exported, by a tool\n# on Monday\n{text}",
        "lines 1 to 2 passed over above the header: '# exported, by a tool', '# on Monday'",
    ),
    "groups above names": (lambda text: f"Who,,Money,\n{text}", "line 1 passed over above the header: 'Who,,Money'"),
    "a second line of words below the names": (
        lambda text: text.replace("\n", "\nkey,name of the town,EUR,yes or no\n", 1),
        "line 2 passed over below the header: 'key,name of the town,EUR,yes or no'",
    ),
    "two lines of names and row numbers, as pandas writes them": (
        lambda text: index(text).replace("left\n", "left\n,key,town,EUR,flag\n", 1),
        "line 2 passed over below the header: 'key,town,EUR,flag'; column 1 has no name and is passed over",
    ),
    "units and types below the names": (
        lambda text: f"A title\n\n{text}".replace("left\n", "left\n,,EUR,yes/no\nvarchar(20),text,float,flag\n", 1),
        "line 1 passed over above the header: 'A title'; "
        "lines 4 to 5 passed over below the header: 'EUR,yes/no', 'varchar(20),text,float,flag'",
    ),
    "commas at the ends of all lines": (
        lambda text: text.replace("\n", ",,\n"),
        "columns 5, 6 without a name or a value passed over",
    ),
    "a comma at the ends of rows": (
        lambda text: text.replace("\n", ",\n").replace(HEADER + ",", HEADER),
        "column 5 without a name or a value passed over",
    ),
    "row numbers without a name": (index, "column 1 has no name and is passed over, as row numbers are"),
    "a comment character before the first name": (lambda text: text.replace("id,", "# id,", 1).replace("# ", ""), ""),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("zipped", [False, True])
def test_the_same_table_in_another_spelling_makes_the_same_rows_and_says_so(
    tmp_path: Path, reference: list[dict[str, object]], spelling: str, zipped: bool
) -> None:
    write, remark = SPELLINGS[spelling]
    text = write(PLAIN)
    data = text if isinstance(text, bytes) else text.encode()
    found = made(tmp_path, gzip.compress(data), name="t.csv.gz") if zipped else made(tmp_path, data)
    assert (found.rows, found.quarantine) == (reference, [])
    assert found.remarks.startswith(remark) if remark else not found.remarks


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("cp1250", ["Łódź", "Dvořák", "Šárka", "Gdańsk", "Győr"]),
        ("cp1251", ["Москва", "Казань", "Иванов", "да"]),
        ("cp1253", ["Αθήνα", "Πάτρα", "ναι"]),
        ("cp1254", ["İstanbul", "Şişli", "Ağrı"]),
        ("cp932", ["東京", "大阪", "はい"]),
        ("gb18030", ["北京", "上海", "是"]),
        ("cp949", ["서울", "부산", "아니오"]),
        ("big5", ["臺北", "高雄", "否"]),
        ("cp1252", ["Straße", "5 €", "Åse"]),
        ("cp1252", ["Müller"]),
    ],
)
def test_an_encoding_is_detected_by_few_words_and_can_be_named(tmp_path: Path, encoding: str, words: list[str]) -> None:
    text = HEADER + "\n" + "".join(f"C{n},{words[n % len(words)]},{n},no\n" for n in range(9))
    for dataset in (SHOP, replace(SHOP, format=FileFormat(encoding=encoding))):
        found = made(tmp_path, text.encode(encoding), dataset)
        assert [row["city"] for row in found.rows] == [words[n % len(words)] for n in range(9)]
        assert ("detected" in found.remarks) == (dataset is SHOP)


@pytest.mark.parametrize("at", [0, 3, 9])
@pytest.mark.parametrize("rows", [9, 60_000])
def test_one_letter_anywhere_is_enough_for_an_encoding(tmp_path: Path, at: int, rows: int) -> None:
    lines = ["id,place,fee,left", *(f"C{n},Rome,{n},no" for n in range(rows))]
    at = at if at < 9 else rows
    lines[at] = lines[at].replace("Rome", "Málaga").replace("place", "Plätze")
    path = tmp_path / "t.csv"
    path.write_bytes("\n".join(lines).encode("cp1252"))
    part = open_csv(LandedFile("t.csv", path))
    assert (part.names[1], part.encoding.name) == ("Plätze" if at == 0 else "place", "cp1252")


def test_a_mark_is_believed_before_the_spec(tmp_path: Path, reference: list[dict[str, object]]) -> None:
    dataset = replace(SHOP, format=FileFormat(encoding="cp1252"))
    assert made(tmp_path, PLAIN.encode("utf-8-sig"), dataset).rows == reference
    assert made(tmp_path, PLAIN.encode("utf-16"), dataset).rows == reference


@pytest.mark.parametrize("named", ["cp1252", "iso8859-2", "utf-16-le"])
def test_a_batch_in_utf8_is_read_as_that_though_the_spec_names_what_training_had(
    tmp_path: Path, reference: list[dict[str, object]], named: str
) -> None:
    found = made(tmp_path, PLAIN, replace(SHOP, format=FileFormat(encoding=named)))
    assert (found.rows, found.quarantine) == (reference, [])
    assert found.remarks.startswith("read as UTF-8, which its letters are, and not as")
    damaged = PLAIN.encode().replace("Köln".encode(), b"K\xf6ln", 1)
    found = made(tmp_path, damaged, replace(SHOP, format=FileFormat(encoding=named)))
    assert [line for line, _ in found.quarantine] == [2]
    found = made(
        tmp_path, "id,city,fee,left\n1,Rome,2,no\n2,Oslo,3,yes\n", replace(SHOP, format=FileFormat(encoding=named))
    )
    assert [row["city"] for row in found.rows] == ["Rome", "Oslo"]


def test_some_damage_in_utf8_is_quarantined_and_no_other_encoding(tmp_path: Path) -> None:
    found = made(tmp_path, PLAIN.encode().replace("Köln".encode(), b"K\xf6ln", 1))
    assert found.quarantine == [(2, "expected text in UTF-8, found another encoding")]
    assert not found.remarks


def test_a_byte_that_means_nothing_in_the_named_encoding_spoils_its_row_alone(tmp_path: Path) -> None:
    data = PLAIN.encode("cp1252").replace(b"Orl\xe9ans", b"Orl\x81ans", 1)
    found = made(tmp_path, data, replace(SHOP, format=FileFormat(encoding="cp1252")))
    assert [line for line, _ in found.quarantine] == [3]
    assert found.counts.records == 40
    cut = made(tmp_path, PLAIN.encode("utf-16")[:-1], SHOP)
    assert (cut.counts.records, len(cut.quarantine)) == (40, 1)


def test_lines_are_numbered_as_in_the_file_below_titles_and_sep_lines(tmp_path: Path) -> None:
    text = "sep=,\nReport,,,\n\n" + PLAIN.replace("C003,Rome", "C003,Rome,too many").replace("C005", "")
    found = made(tmp_path, text)
    assert [line for line, _ in found.quarantine] == [8, 10]


@pytest.mark.parametrize(
    ("above", "below"), [(0, 0), (0, 1), (2, 0), (1, 2), (2, 3)], ids=lambda count: f"{count}_lines"
)
def test_each_line_is_the_header_a_row_in_quarantine_or_said_with_its_number(
    tmp_path: Path, above: int, below: int
) -> None:
    titles, units = ["Customers of May", "made by a tool"][:above], ["key,town,EUR,flag"] * below
    bad = ["C900,Rome,1.5,perhaps", "C901,Rome,1.5", "Total,,,"]
    lines = [*titles, HEADER, *units, *ROWS, *bad]
    found = made(tmp_path, "\n".join(lines) + "\n")
    said = [re.search(r"lines? (\d+)(?: to (\d+))? passed over", remark) for remark in found.remarks.split("; ")]
    numbers = [n for one in said if one for n in range(int(one[1]), int(one[2] or one[1]) + 1)]
    in_quarantine = [line for line, _ in found.quarantine]
    header = above + 1
    assert numbers == [*range(1, header), *range(header + 1, header + 1 + below)]
    assert in_quarantine == [len(lines) - 2, len(lines) - 1, len(lines)]
    assert found.counts.records == len(found.rows) + len(in_quarantine)
    assert found.counts.records + len(numbers) + 1 == len(lines)


def test_footers_are_quarantined_with_their_lines(tmp_path: Path) -> None:
    text = PLAIN + "Total,,800.0,\n\n(40 rows affected)\n"
    found = made(tmp_path, text)
    assert (len(found.rows), found.counts.records) == (40, 42)
    assert [line for line, _ in found.quarantine] == [42, 44]


@pytest.mark.parametrize("expected", [None, {"city": "category", "fee": "number"}], ids=["training", "batch"])
def test_a_total_is_no_customer_and_nor_is_the_header_once_more(
    tmp_path: Path, expected: dict[str, str] | None
) -> None:
    text = PLAIN + f"{HEADER}\nGrand Total,,800.0,\nTotal,Rome,1,no\n"
    path = tmp_path / "t.csv"
    path.write_text(text, "utf-8")
    counts = ingest([LandedFile("t.csv", path)], SHOP, tmp_path / "out", expected=expected)
    wrong = pq.read_table(tmp_path / "out" / "quarantine").to_pylist()
    assert [(row["line"], row["reason"]) for row in wrong] == [
        (42, "expected a customer, found the header once more"),
        (43, "expected a customer, found a total"),
    ]
    assert counts.rows == 41  # a customer may be called Total


def test_a_nul_byte_spoils_its_row_alone_and_is_named_with_its_line(tmp_path: Path) -> None:
    found = made(tmp_path, PLAIN.replace("C007", "C0\x007") + "\x00" * 9)
    assert found.quarantine == [(9, "expected text, found a NUL byte"), (42, "expected text, found a NUL byte")]


def test_backslashes_before_quotes_are_read_if_the_spec_says_so(tmp_path: Path) -> None:
    rows = [r'1,"he said \"no, thanks\"",1,no', r'2,"C:\\dir\\",2,no', r'3,"a ""doubled"" one",3,no', r"4,\N,4,yes"]
    text = "\n".join([HEADER, *rows]) + "\n"
    dataset = replace(SHOP, format=FileFormat(quotes="backslash"))
    found = made(tmp_path, text, dataset)
    assert [row["city"] for row in found.rows] == ['he said "no, thanks"', "C:\\dir\\", 'a "doubled" one', None]
    assert [line for line, _ in made(tmp_path, text).quarantine] == [2]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text('a\\",;\n', max_size=6), min_size=1, max_size=8))
def test_every_text_survives_backslash_quotes(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    path = tmp_path_factory.mktemp("q") / "t.csv"
    path.write_text("id,x\n" + "".join(f"{n},{quoted(text)}\n" for n, text in enumerate(texts)), "utf-8", newline="")
    part = open_csv(LandedFile("t.csv", path), Options(backslash=True))
    chunks = list(part.chunks([1]))
    assert [value.as_py().decode() for chunk in chunks for value in chunk.columns[0]] == texts
    assert not any(chunk.faults for chunk in chunks)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,,fee,left\nC1,Rome,2,no\nC2,Köln,3,yes\n", "a name for every column; found none for column 2"),
        ("id,city,left\n1,C1,Rome,no\n2,C2,Köln,yes\n", "found rows of 4 values below 3 names"),
        ("id,fee,fee,left\nC1,1,2,no\n", "found the same name twice: 'fee', 'fee'"),
        ("sep=,\n", "found an empty file"),
    ],
)
def test_a_header_that_leaves_a_doubt_is_refused_with_what_to_do(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        made(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        "id,city,,left\nC1,Rome,2,no\nC2,Köln,3,yes\nC3,Oslo,5,yes\n",
        "a,b,,\nx,y,z,w\np,q,r,s\n",
        "1,2,3\n4,5,6\n7,8,9\n",
    ],
)
def test_no_customer_is_ever_taken_for_the_header(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text, "utf-8")
    header = open_csv(LandedFile("t.csv", path)).header
    assert (header.lines, header.names[0]) == (1, text[: text.index(",")])


@pytest.mark.parametrize(
    "record",
    [
        "C900,Rome,unlimited,no",
        "D900,Lyon,none yet,maybe",
        ",Rome,EUR,no",
        "C900,Lyon,EUR,unknown",
        "new,Rome,12 EUR,yes",
        "N,-,unknown,?",
    ],
)
def test_a_customer_with_strange_values_is_no_second_header(tmp_path: Path, record: str) -> None:
    found = made(tmp_path, PLAIN.replace("\n", f"\n{record}\n", 1))
    assert (found.counts.records, found.remarks) == (41, "")


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(6, 70))
def test_no_first_customer_is_taken_for_a_second_header(seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    shapes = ("C{}", "{}", "{}.5", "2024-01-{}", "{} EUR", "town {}", "id")
    made_of = [str(rng.choice(shapes)) for _ in range(rng.integers(1, 6))]
    missing = ["", "-", "unknown", "n/a"]
    rows_ = [
        [str(rng.choice(missing)) if rng.random() < 0.2 else shape.format(rng.integers(10, 99)) for shape in made_of]
        + [str(rng.choice(["yes", "no"]))]
        for _ in range(rows)
    ]
    assert count_second_headers(rows_) == 0


def test_a_value_below_no_name_spoils_its_row_alone(tmp_path: Path) -> None:
    lines = (PLAIN * 1).splitlines()
    many = [*lines[:1], *lines[1:] * 3, "C999,Rome,1,no,left over"]
    text = "\n".join(line if line.endswith("over") else line + "," for line in many)
    found = made(tmp_path, text, replace(SHOP, id=None))
    assert found.quarantine[-1] == (
        122,
        "expected values below the names of the header alone, found a value in column 5, which has no name",
    )
    assert found.counts.records == 121


def test_a_sheet_with_titles_and_row_numbers_makes_the_same_rows(
    tmp_path: Path, reference: list[dict[str, object]]
) -> None:
    book = Workbook()
    book.active.title = "Read me"
    book.active.append(["What the columns mean"])
    book.active.append(["id: a customer"])
    sheet = book.create_sheet("Customers")
    sheet.append(["Customers of May"])
    sheet.append([None, *HEADER.split(",")])
    sheet.append([None, "key", "name", "EUR", "yes or no"])
    for n, row in enumerate(ROWS):
        name, city, fee, left = row.split(",")
        sheet.append([n, name, city, float(fee), left])
    path = tmp_path / "t.xlsx"
    book.save(path)
    found = made(tmp_path, path.read_bytes(), replace(SHOP, source=replace(SHOP.source, sheet="Customers")), "t.xlsx")
    assert found.rows == reference
    assert found.remarks == (
        "line 1 passed over above the header: 'Customers of May'; "
        "line 3 passed over below the header: 'key name EUR yes or no'; "
        "column 1 has no name and is passed over, as row numbers are"
    )
    with pytest.raises(InputError, match=r"found no 'left', 'id' \(sheet 'Read me' read, not 'Customers'\)"):
        made(tmp_path, path.read_bytes(), SHOP, "t.xlsx")


def test_a_nested_column_is_passed_over_once_the_spec_ignores_it(tmp_path: Path) -> None:
    table = pa.table({"id": ["a", "b"], "tags": [["x"], []], "fee": [1, 2], "left": ["yes", "no"]})
    pq.write_table(table, tmp_path / "t.parquet")
    ingest([LandedFile("t.parquet", tmp_path / "t.parquet")], SHOP, tmp_path / "out", expected=None)
    schema = open_table(tmp_path / "out" / "rows").schema
    assert "tags" not in schema.names
    with pytest.raises(InputError, match=r"Expected plain values in 'tags'; found list<.*List it under ignore"):
        require_described(schema, SHOP)
    require_described(schema, replace(SHOP, ignore=("Tags",)))
    with pytest.raises(InputError, match="found no 'tagz'"):
        require_described(schema, replace(SHOP, ignore=("tags", "tagz")))
