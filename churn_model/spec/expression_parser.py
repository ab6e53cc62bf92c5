"""From the text of an expression to a frozen tree, by a tokenizer and a recursive descent of our own.

What a tree gives for a batch or a row is in `expressions.py`.

comparison = sum [(">=" | "<=" | ">" | "<" | "==" | "!=") sum]           1 where it holds, else 0
sum        = product {("+" | "-") product}
product    = unary {("*" | "/") unary}
unary      = "-" unary | primary
primary    = number | column | function "(" comparison {"," comparison} ")" | "(" comparison ")"
column     = a bare name (letters, digits, _) or any name in backquotes; a backquote inside one is doubled
"""

import math
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from churn_model.errors import SpecError, problem

MAX_LENGTH = 1000
MAX_DEPTH = 50
LARGEST = 1.7976931348623157e308

SUM = ("+", "-")
PRODUCT = ("*", "/")
COMPARISON = (">=", "<=", ">", "<", "==", "!=")
# The fewest and the most arguments of each function.
FUNCTIONS: dict[str, tuple[int, int]] = {
    "min": (2, MAX_DEPTH),
    "max": (2, MAX_DEPTH),
    "abs": (1, 1),
    "sqrt": (1, 1),
    "log1p": (1, 1),
    "is_missing": (1, 1),
    "if": (3, 3),
}
_ADVICE = {
    "=": "write == to compare",
    "and": "multiply conditions for `and`: (a > 1) * (b > 2)",
    "&": "multiply conditions for `and`: (a > 1) * (b > 2)",
    "or": "write max(a > 1, b > 2) for `or`",
    "|": "write max(a > 1, b > 2) for `or`",
    "not": "write (condition) == 0 for `not`",
    "**": "there is no power; multiply",
    "^": "there is no power; multiply",
    "'": "put a column's name in backquotes: `Day Charge`; text cannot be compared",
    '"': "put a column's name in backquotes: `Day Charge`; text cannot be compared",
}

_TOKEN = re.compile(
    r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|`(?P<quoted>(?:[^`]|``)+)`|(?P<name>[^\W\d]\w*)|(?P<sign>\*\*|[><=!]=|[-+*/(),<>])"
)


@dataclass(frozen=True)
class Number:
    """A number as written."""

    value: float


@dataclass(frozen=True)
class Column:
    """The value of a column."""

    name: str


@dataclass(frozen=True)
class Negative:
    """The operand with its sign changed."""

    operand: "Node"


@dataclass(frozen=True)
class Chain:
    """Sums or products from left to right: `first`, then each sign and operand. One level deep however long it is."""

    first: "Node"
    rest: tuple[tuple[str, "Node"], ...]


@dataclass(frozen=True)
class Comparison:
    """1 where the comparison holds, else 0."""

    sign: str
    left: "Node"
    right: "Node"


@dataclass(frozen=True)
class Call:
    """A function of its arguments."""

    function: str
    arguments: tuple["Node", ...]


Node = Number | Column | Negative | Chain | Comparison | Call


@dataclass(frozen=True)
class _Token:
    kind: str  # number, quoted, name, sign, end
    text: str
    at: int  # the character it starts at, from 1


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        match = _TOKEN.match(text, at)
        if not match or not match.lastgroup:
            found = text[at]
            closing = found == "`"
            todo = (
                "close the name with a backquote; an empty name is none"
                if closing
                else _ADVICE.get(found, "put a column's name in backquotes: `Day Charge`")
            )
            raise _wrong(
                at + 1,
                "a name between backquotes" if closing else "a number, a column, a function or a sign",
                short(text[at:]),
                todo,
            )
        yield _Token(match.lastgroup, match[match.lastgroup], at + 1)
        at = match.end()
    yield _Token("end", "", len(text) + 1)


def _wrong(at: int, expected: str, found: str, todo: str) -> SpecError:
    return SpecError(f"character {at}: " + problem(expected=expected, found=found, todo=todo))


def short(text: str) -> str:
    """The text in quotes, cut to what a message can hold."""
    return repr(text if len(text) <= 24 else text[:23] + "…")


class Parser:
    """Recursive descent, one token ahead; `_deeper` bounds the recursion."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._next = 0
        self._depth = 0

    def parsed(self) -> Node:
        """The tree of the whole text. Raises SpecError at the first character that does not fit."""
        tree = self._comparison()
        if self._token.kind != "end":
            chained = self._token.text in COMPARISON
            raise self._unexpected(
                "the end, or one of + - * / < > <= >= == !=",
                "compare once, and multiply the two: (a < b) * (b < c)" if chained else None,
            )
        return tree

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._token
        self._next += 1
        return token

    def _unexpected(self, expected: str, todo: str | None = None) -> SpecError:
        token = self._token
        found = "the end" if token.kind == "end" else short(f"`{token.text}`" if token.kind == "quoted" else token.text)
        default = "complete it" if token.kind == "end" else "see the example `Day Charge` + 2 * (`Eve Charge` >= 10)"
        return _wrong(token.at, expected, found, todo or _ADVICE.get(token.text, default))

    def _deeper(self, part: Callable[[], Node]) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._unexpected(f"at most {MAX_DEPTH} levels", "split it into several derived columns")
        node = part()
        self._depth -= 1
        return node

    def _signs(self) -> str:
        return self._token.text if self._token.kind == "sign" else ""

    def _comparison(self) -> Node:
        left = self._sum()
        if self._signs() not in COMPARISON:
            return left
        return Comparison(self._take().text, left, self._sum())

    def _sum(self) -> Node:
        return self._chain(SUM, self._product)

    def _product(self) -> Node:
        return self._chain(PRODUCT, self._unary)

    def _chain(self, signs: Collection[str], operand: Callable[[], Node]) -> Node:
        first = operand()
        rest: list[tuple[str, Node]] = []
        while self._signs() in signs:
            sign = self._take().text
            rest.append((sign, operand()))
        return Chain(first, tuple(rest)) if rest else first

    def _unary(self) -> Node:
        if self._signs() != "-":
            return self._primary()
        self._take()
        return Negative(self._deeper(self._unary))

    def _primary(self) -> Node:
        token = self._token
        if token.kind == "number":
            if not math.isfinite(float(token.text)):
                raise self._unexpected(f"a number up to {LARGEST:.2g}", "write a smaller number")
            return Number(float(self._take().text))
        if token.kind == "quoted":
            return Column(self._take().text.replace("``", "`"))
        if token.kind == "name" and token.text not in {"and", "or", "not"}:
            self._take()
            return self._call(token) if self._signs() == "(" else Column(token.text)
        if self._signs() == "(":
            self._take()
            node = self._deeper(self._comparison)
            self._close("a sign or )")
            return node
        raise self._unexpected("a number, a column, a function or (")

    def _call(self, name: _Token) -> Node:
        if name.text not in FUNCTIONS:
            raise _wrong(
                name.at,
                "a function: " + ", ".join(FUNCTIONS),
                short(name.text),
                "put a column's name in backquotes, and a sign before (",
            )
        self._take()
        arguments = [self._deeper(self._comparison)]
        while self._signs() == ",":
            self._take()
            arguments.append(self._deeper(self._comparison))
        self._close("a comma, a sign or )")
        fewest, most = FUNCTIONS[name.text]
        if not fewest <= len(arguments) <= most:
            expected = (
                f"{fewest} argument{'s' if fewest > 1 else ''}"
                + (" or more" if most > fewest else "")
                + f" in {name.text}(...)"
            )
            todo = (
                "write if(condition, then, otherwise)" if name.text == "if" else f"give {name.text} as many as it takes"
            )
            raise _wrong(name.at, expected, str(len(arguments)), todo)
        return Call(name.text, tuple(arguments))

    def _close(self, expected: str) -> None:
        if self._signs() != ")":
            raise self._unexpected(expected, "close the bracket" if self._token.kind == "end" else None)
        self._take()


def names_in(node: Node) -> Iterator[str]:
    """The columns' names, in the order in which they are read."""
    match node:
        case Column(name):
            yield name
        case Negative(operand):
            yield from names_in(operand)
        case Chain(first, rest):
            yield from names_in(first)
            for _, operand in rest:
                yield from names_in(operand)
        case Comparison(_, left, right):
            yield from names_in(left)
            yield from names_in(right)
        case Call(_, arguments):
            for argument in arguments:
                yield from names_in(argument)
