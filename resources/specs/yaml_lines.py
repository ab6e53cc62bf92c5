"""A YAML file as plain values that remember their lines.

Every scalar stays text as it was written (`Yes`, `1`, `007`): what it means is decided by what is expected in its place. Left out on
purpose: anchors, tags, several documents. What is wrong is collected, not raised, as far as the rest can still be read.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from churn_model.errors import problem

MAX_BYTES = 250_000
MAX_DEPTH = 20
_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})

Steps = tuple[str | int, ...]


@dataclass(frozen=True)
class SpecProblem:
    """One thing wrong: in which line, at which place (`costs.false_positive`, or empty), and what."""

    line: int
    place: str
    text: str


@dataclass(frozen=True)
class Document:
    """The values of a file: text, None, lists and mappings; the line of each place; the problems met while reading."""

    value: Any
    lines: dict[Steps, int] = field(default_factory=dict)
    problems: list[SpecProblem] = field(default_factory=list)

    def line(self, steps: Steps) -> int:
        """Return the line of a place, or of the nearest place around it that exists."""
        while steps and steps not in self.lines:
            steps = steps[:-1]
        return self.lines.get(steps, 1)

    def at(self, steps: Steps) -> Any:
        """Return the value at a place; None where there is none."""
        value = self.value
        for step in steps:
            inside = (
                step in value
                if isinstance(value, dict)
                else isinstance(value, list) and isinstance(step, int) and step < len(value)
            )
            if not inside:
                return None
            value = value[step]
        return value


def read_document(path: Path) -> Document:
    """Read the document in a file. Nothing in the file makes it raise; what is wrong is in `problems`."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            return _unreadable(
                1,
                problem(
                    expected=f"at most {MAX_BYTES} bytes",
                    found=f"{size} bytes",
                    todo="a spec is a page of text; check the file",
                ),
            )
        data = path.read_bytes()
    except OSError as error:
        return _unreadable(
            1,
            problem(
                expected="a readable file",
                found=str(error.strerror or error),
                todo="correct the file or its permissions",
            ),
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = f"the byte 0x{data[error.start]:02x}"
        return _unreadable(
            data[: error.start].count(b"\n") + 1,
            problem(expected="text in UTF-8", found=found, todo="save the file as UTF-8"),
        )
    return parse_document(text)


def parse_document(text: str) -> Document:
    """Read the document in a text."""
    reader = _Reader()
    try:
        value = reader.document(yaml.parse(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError as error:
        reader.problems.append(_syntax(error, text))
        value = None
    except _TooDeepError as error:
        reader.add(error.line, "", f"at most {MAX_DEPTH} levels", "more", "a spec needs three; check the brackets")
        value = None
    return Document(value, reader.lines, reader.problems)


def place_of(steps: Steps) -> str:
    """Return a place as a user reads it: `label.positive[0]`."""
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


class _TooDeepError(Exception):
    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


class _Reader:
    def __init__(self) -> None:
        self.lines: dict[Steps, int] = {}
        self.problems: list[SpecProblem] = []

    def add(self, line: int, place: str, expected: str, found: str, todo: str) -> None:
        self.problems.append(SpecProblem(line, place, problem(expected=expected, found=found, todo=todo)))

    def document(self, events: Iterator[Any]) -> Any:
        value, documents = None, 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self.add(_line(event), "", "one document", "a second one after ---", "give it a file of its own")
                    break
                value = self._value(next(events), events, ())
        return value

    def _value(self, event: Any, events: Iterator[Any], steps: Steps) -> Any:
        if len(steps) > MAX_DEPTH:
            raise _TooDeepError(_line(event))
        if isinstance(event, yaml.AliasEvent):
            self.add(
                _line(event),
                place_of(steps),
                "a value",
                f"the alias *{event.anchor}",
                "write the value out; anchors are not read",
            )
            return None
        if event.anchor is not None:
            self.add(
                _line(event),
                place_of(steps),
                "a value",
                f"the anchor &{event.anchor}",
                "remove it; anchors are not read. A text with & needs quotes",
            )
        if event.tag is not None:
            self.add(
                _line(event),
                place_of(steps),
                "a value",
                f"the tag {event.tag}",
                "remove it; tags are not read. A text with ! needs quotes",
            )
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(events, steps)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(events, steps)
        if not _is_text(event.value):
            self.add(_line(event), place_of(steps), "text", "half a character", "write the character, not its code")
            return None
        return None if event.style is None and event.value in _NOTHING else event.value

    def _sequence(self, events: Iterator[Any], steps: Steps) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            here = (*steps, len(values))
            self.lines[here] = _line(event)
            values.append(self._value(event, events, here))
        return values

    def _mapping(self, events: Iterator[Any], steps: Steps) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            line = _line(event)
            if not isinstance(event, yaml.ScalarEvent) or not _is_text(event.value):
                self.add(
                    line,
                    place_of(steps),
                    "a name before the colon",
                    "half a character" if isinstance(event, yaml.ScalarEvent) else "a list, a mapping or an alias",
                    "put the name in quotes",
                )
                if not isinstance(event, yaml.ScalarEvent):
                    self._value(event, events, (*steps, "?"))
                self._value(next(events), events, (*steps, "?"))
                continue
            key, here = event.value, (*steps, event.value)
            if key in values:
                self.add(
                    line, place_of(here), "each key once", f"it in line {self.lines[here]} too", "remove one of the two"
                )
            self.lines[here] = line
            values[key] = self._value(next(events), events, here)
        return values


def _is_text(value: str) -> bool:
    """Return whether a value can be written: `"\\ud800"` is half of a character, which no file can hold."""
    return not any("\ud800" <= sign <= "\udfff" for sign in value)


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _unreadable(line: int, text: str) -> Document:
    return Document(None, problems=[SpecProblem(line, "", text)])


def _syntax(error: yaml.YAMLError, text: str) -> SpecProblem:
    """Return what the parser says, in words; a tab, the commonest cause, is named."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        position = getattr(error, "position", 0)
        line, found = text[:position].count("\n") + 1, "a control character"
    else:
        line, found = mark.line + 1, _describe_yaml_error(error)
    lines = text.splitlines()
    if line <= len(lines) and "\t" in lines[line - 1]:
        return SpecProblem(
            line, "", problem(expected="YAML", found="a tab", todo="indent by blanks: YAML takes no tabs")
        )
    todo = "check brackets, colons and indentation here and in the line before; text with : # ? @ % ` [ { or quotes needs quotes around it"
    return SpecProblem(line, "", problem(expected="YAML", found=found, todo=todo))


def _describe_yaml_error(error: yaml.YAMLError) -> str:
    text = str(getattr(error, "problem", None) or getattr(error, "context", None) or "something else")
    if text == "mapping values are not allowed here":
        return "a second colon in the line"
    return text.removeprefix("found ").replace("expected '", "no '")
