"""What every section of a spec is made with: the text and the JSON Schema of a field, and rules that are all checked before one is reported."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from churn_model.errors import listed, problem
from churn_model.spec.durations import DURATION, PATTERN, seconds

FORBID_UNKNOWN: dict[str, str] = {"extra": "forbid"}
# Additions to the JSON Schema of a field, as pydantic reads them: a duration, and values that YAML may take for numbers or booleans.
DURATION_SCHEMA = {"json_schema_extra": {"pattern": PATTERN}}
AS_WRITTEN = {"json_schema_extra": {"items": {"type": ["string", "number", "boolean"]}}}


def about(description: str, **more: Any) -> dict[str, Any]:
    """Return the metadata of a field: what it is for, and more for its JSON Schema."""
    return {"description": description, **more}


class BrokenRule(NamedTuple):
    """A rule that a section breaks: the key it is about, or "" if it is about several, and the parts of its message."""

    key: str
    expected: str
    found: str
    todo: str


class BrokenRules(ValueError):
    """All the rules that a section breaks."""

    def __init__(self, rules: Sequence[BrokenRule]) -> None:
        self.rules = tuple(rules)
        super().__init__(listed([problem(expected=rule.expected, found=rule.found, todo=rule.todo) for rule in rules]))


def require(*rules: tuple[bool, str, str, str, str]) -> None:
    """Raise BrokenRules if a rule does not hold. A rule: whether it holds, then the parts of a BrokenRule."""
    broken = [BrokenRule(*parts) for holds, *parts in rules if not holds]
    if broken:
        raise BrokenRules(broken)


def require_durations(**durations: str) -> None:
    """Raise BrokenRules for keys whose text is no duration."""
    broken = []
    for key, text in durations.items():
        try:
            seconds(text)
        except ValueError:
            broken.append(BrokenRule(key, DURATION, repr(text), "write it like 30d, 12h or 60s"))
    if broken:
        raise BrokenRules(broken)
