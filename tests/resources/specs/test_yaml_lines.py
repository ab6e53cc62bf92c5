from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.specs.yaml_lines import MAX_BYTES, Document, parse_document, place_of, read_document


def told(document: Document) -> list[str]:
    return [f"{one.line}: {one.place}: {one.text}" for one in document.problems]


def test_scalars_stay_as_written_and_places_know_their_lines() -> None:
    document = parse_document("a: Yes\nb:\n  - 007\n  - {c: null, d: '~'}\ne:\n")
    assert document.value == {"a": "Yes", "b": ["007", {"c": None, "d": "~"}], "e": None}
    assert not document.problems
    assert [document.line(steps) for steps in (("a",), ("b",), ("b", 0), ("b", 1, "d"), ("e",))] == [1, 2, 3, 4, 5]


def test_a_place_that_is_not_there_has_the_line_of_the_one_around_it() -> None:
    document = parse_document("\na:\n  b: 1\n")
    assert document.line(("a", "x", "y")) == 2
    assert document.line(("x",)) == 1


def test_a_place_leads_to_its_value() -> None:
    document = parse_document("a: [1, {b: 2}]")
    assert document.at(("a", 1, "b")) == "2"
    assert document.at(("a", 5)) is None
    assert document.at(("a", "b")) is None
    assert place_of(("a", 1, "b")) == "a[1].b"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:\n\t- b", "2: : Expected YAML; found a tab. Indent by blanks"),
        ("a: [1\nb: 2", "2: : Expected YAML; found .*got ':'. Check brackets"),
        ("a: b: c", "1: : Expected YAML; found a second colon in the line. Check"),
        ("k: `x` + 1", "1: : Expected YAML; found character '`' that cannot start any token. .*needs quotes"),
        ("a: 'x", "1: : Expected YAML; found unexpected end of stream"),
        ("a: 1\nb: \x00", "2: : Expected YAML; found a control character"),
        ("a: 1\nb: 2\na: 3", "3: a: Expected each key once; found it in line 1 too. Remove one of the two"),
        ("a: {b: 1, b: 2}", "1: a.b: Expected each key once"),
        (
            "? [x]\n: 3",
            "1: : Expected a name before the colon; found a list, a mapping or an alias. Put the name in quotes",
        ),
        ("a: &x 1", "1: a: Expected a value; found the anchor &x. Remove it"),
        ("a: 1\nb: *x", "2: b: Expected a value; found the alias \\*x. Write the value out"),
        ("a: !!python/object/apply:os.system [x]", "1: a: Expected a value; found the tag .*os.system. Remove it"),
        ("a: 1\n---\nb: 2", "2: : Expected one document; found a second one after ---"),
        ("[" * 100_000, "1: : Expected at most 20 levels; found more"),
        ("a: {" * 100_000, "1: : Expected at most 20 levels; found more"),
    ],
)
def test_what_is_wrong_is_told_by_line(text: str, message: str) -> None:
    document = parse_document(text)
    assert len(document.problems) == 1
    with pytest.raises(AssertionError, match=message):
        _fail(document)


def _fail(document: Document) -> None:
    raise AssertionError(told(document)[0])


def test_several_things_wrong_are_all_told() -> None:
    document = parse_document("a: 1\na: 2\nb: &x 1\nc: *x\nd: !t 1\n")
    assert [line.split(":")[0] for line in told(document)] == ["2", "3", "4", "5"]


def test_an_alias_bomb_stays_small() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert parse_document("\n".join(lines)).value["a11"] == [None] * 9


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a: 1\nb: \xff", "2: : Expected text in UTF-8; found the byte 0xff. Save the file as UTF-8"),
        ("a: é".encode("utf-16"), "1: : Expected text in UTF-8"),
        (b"#" * (MAX_BYTES + 1), f"1: : Expected at most {MAX_BYTES} bytes; found {MAX_BYTES + 1} bytes"),
    ],
)
def test_a_file_that_is_no_text_is_told(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(data)
    assert told(read_document(path))[0].startswith(message)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    assert "Expected a readable file; found No such file" in told(read_document(tmp_path / "x.yaml"))[0]
    assert "Expected a readable file" in told(read_document(tmp_path))[0]


def test_a_mark_before_the_text_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert read_document(path).value == {"a": "1", "b": "2"}


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab:-[]{},'\"#&*!|>%@`?~ \t\n0", max_size=60))
def test_no_text_makes_the_reader_raise(text: str) -> None:
    document = parse_document(text)
    assert all(one.line >= 1 and "Expected" in one.text for one in document.problems)
