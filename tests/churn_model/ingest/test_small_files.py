"""Many small files: put together to be typed, each record under the file and the line where it landed."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from churn_model.errors import InputError
from churn_model.ingest.files import open_part
from churn_model.ingest.formats.base import LandedFile, Options
from churn_model.ingest.small_files import read_blocks
from churn_model.spec.sections.retention_list import RetentionList
from tests.churn_model.ingest.test_canonical_rows import SHOP, run


def test_consecutive_small_files_are_one_block_until_it_is_large_or_their_types_differ(tmp_path: Path) -> None:
    texts = ["x\n1\n2\n", "x\n3\n4,5\n6\n", "x\n" + "7\n" * 4093, "x\n8\n" * 1, "x\n" + "9\n" * 5000, "x\n10\n"]
    parts = []
    for number, text in enumerate(texts):
        path = tmp_path / f"{number}.csv"
        path.write_text(text)
        parts.append(open_part(LandedFile(path.name, path), Options()))
    blocks = list(read_blocks(parts, lambda part: [0]))
    assert [sorted(set(block.files.tolist())) for block in blocks] == [[0, 1], [2, 3], [4], [5]]
    assert [block.records for block in blocks] == [5, 4094, 5000, 1]
    assert blocks[0].columns[0].to_pylist() == [b"1", b"2", b"3", b"6"]
    assert (blocks[0].files.tolist(), blocks[0].lines.tolist()) == ([0, 0, 1, 1], [2, 3, 2, 4])
    assert [(file, fault.line) for file, fault in blocks[0].faults] == [(1, 3)]


def test_each_wrong_record_of_many_files_is_in_quarantine_under_its_own_file_and_line(tmp_path: Path) -> None:
    files = {f"{n:03}.csv": f"id,age,left\nc{n},{'?' if n % 3 else 'x'}\nd{n},{n},no\n" for n in range(50)}
    files["020.csv"] = "id,age,left\n,1,yes\nd20,20,maybe\n"
    found = run(tmp_path, files, replace(SHOP, types={"age": "number"}))
    assert [row[:2] for row in found.wrong if row[0] == "020.csv"] == [("020.csv", 2), ("020.csv", 3)]
    assert [row[:2] for row in found.wrong if row[0] != "020.csv"] == [(name, 2) for name in files if name != "020.csv"]
    assert found.ids == {f"d{n}" for n in range(50) if n != 20}


def test_rows_of_small_files_in_several_formats_are_one_table(tmp_path: Path) -> None:
    files = {
        "a.csv": "id,age,left\na,1,yes\n",
        "b.parquet": pa.table({"id": ["b"], "age": [2], "left": ["no"]}),
        "c.jsonl": '{"id": "c", "age": 3, "left": "no"}\n',
        "d.csv": "left,id,age\nyes,d,4\n",
    }
    found = run(tmp_path, files)
    rows = {row["_id"]: (row["age"], row["_label"]) for row in found.rows.to_pylist()}
    assert rows == {"a": (1.0, 1), "b": (2.0, 0), "c": (3.0, 0), "d": (4.0, 1)}


def test_an_opt_out_that_is_refused_is_that_of_the_file_where_it_stands(tmp_path: Path) -> None:
    dataset = replace(SHOP, list=RetentionList(opt_out="stop"))
    files = {f"{n}.csv": f"id,stop,age,left\nc{n},{'perhaps' if n == 7 else 'no'},1,yes\n" for n in range(9)}
    with pytest.raises(InputError, match=r"found 'perhaps' in 7\.csv"):
        run(tmp_path, files, dataset)
