"""From the text of an expression to the steps that compute it.

The text is parsed by Python's own parser, and only a few kinds of node are allowed; Python never evaluates it.
"""

import ast
import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from churn_model.errors import SpecError, problem
from churn_model.spec.expression_operations import LARGEST

MAX_LENGTH = 1000
MAX_DEPTH = 50
# The fewest and the most arguments of each function.
FUNCTIONS = {
    "min": (2, MAX_LENGTH),
    "max": (2, MAX_LENGTH),
    "abs": (1, 1),
    "sqrt": (1, 1),
    "log1p": (1, 1),
    "is_missing": (1, 1),
    "if": (3, 3),
}


class Step(NamedTuple):
    """One step of a stack machine: push a number or a column, or apply a function to the last `arity` values."""

    kind: str  # number, column, function
    operand: Any  # the number, the column's name, or the key in OPERATIONS
    arity: int = 0


def parse_expression(text: str) -> list[Step]:
    """Return the steps of an expression, in the order of evaluation. Raise SpecError with the position, and what is wrong there."""
    tokens = _tokenize(text)
    return _Translator(tokens).translate(_parse(tokens))


# --- from text to tokens


class _Token(NamedTuple):
    kind: str  # number, quoted, name, sign, end
    text: str
    at: int  # the character it starts at, from 1


_TOKEN = re.compile(
    r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|`(?P<quoted>(?:[^`]|``)+)`|(?P<name>[^\W\d]\w*)|(?P<sign>\*\*|[><=!]=|[-+*/(),<>])"
    r"|(?P<blank>\s+)"
)
_AND = "multiply conditions for `and`: (a > 1) * (b > 2)"
_OR = "write max(a > 1, b > 2) for `or`"
_TEXT = "put a column's name in backquotes: `Day Charge`; text cannot be compared"
_ADVICE = {
    "=": "write == to compare",
    "and": _AND,
    "&": _AND,
    "or": _OR,
    "|": _OR,
    "not": "write (condition) == 0 for `not`",
    "**": "there is no power; multiply",
    "^": "there is no power; multiply",
    "'": _TEXT,
    '"': _TEXT,
    "`": "close the name with a backquote; an empty name is none",
}
_PARTS = "a number, a column, a function or a sign"
_EXAMPLE = "an expression such as `Day Charge` + 2 * (`Eve Charge` >= 10)"


def _tokenize(text: str) -> list[_Token]:
    """Return the tokens of a text, the end included. Raise SpecError for what is not in the language, or nested too deeply."""
    tokens: list[_Token] = []
    levels = _Levels()
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        kind = match.lastgroup if match else None
        token = _Token(kind or "", match[kind] if match and kind else text[at], at + 1)
        if kind is None or (kind != "quoted" and token.text in _ADVICE):
            expected = "a name between backquotes" if token.text == "`" else _PARTS
            todo = _ADVICE.get(token.text, "put a column's name in backquotes: `Day Charge`")
            raise _wrong(token.at, expected, token.text if kind else text[at:], todo)
        if kind == "number" and not math.isfinite(float(token.text)):
            raise _wrong(token.at, f"a number up to {LARGEST:.2g}", token.text, "write a smaller number")
        if kind != "blank":
            if levels.after(token) > MAX_DEPTH:
                todo = "split it into several derived columns"
                raise _wrong(token.at, f"at most {MAX_DEPTH} levels", token.text, todo)
            tokens.append(token)
        at += len(match[0]) if match else 1
    return [*tokens, _Token("end", "", len(text) + 1)]


class _Levels:
    """How deeply brackets and minus signs before a value are nested: Python's parser and ours recurse no deeper."""

    def __init__(self) -> None:
        self._open: list[int] = []  # the levels that each open bracket added, with the signs before it
        self._signs = 0
        self._follows_value = False

    def after(self, token: _Token) -> int:
        """Return the depth after one more token."""
        if token.kind == "sign":
            if token.text == "(":
                self._open.append(self._signs + 1)
            elif token.text == ")" and self._open:
                self._open.pop()
            is_prefix = token.text == "-" and not self._follows_value
            self._signs = self._signs + 1 if is_prefix else 0
        self._follows_value = token.kind != "sign" or token.text == ")"
        return sum(self._open) + self._signs


def _wrong(at: int, expected: str, found: str, todo: str) -> SpecError:
    return SpecError(
        f"character {at}: " + problem(expected=expected, found=short(found) if found else "the end", todo=todo)
    )


def short(text: str) -> str:
    """Return the text in quotes, cut to what a message can hold."""
    return repr(text if len(text) <= 24 else text[:23] + "…")


# --- from tokens to steps

_OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.GtE: ">=",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.Lt: "<",
    ast.Eq: "==",
    ast.NotEq: "!=",
}
_WIDTH = 6  # of a token in the text that Python parses


def _parse(tokens: Sequence[_Token]) -> ast.expr:
    """Return Python's tree of the tokens, in which each name and number is `_<its token's index>`.

    So no keyword, literal or string of Python's is ever in the text, and a node's offset gives its token.
    """
    words = (f"_{n}" if token.kind in ("number", "quoted", "name") else token.text for n, token in enumerate(tokens))
    text = "".join(f"{word:<{_WIDTH}}" for word in words).rstrip()
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        offset = (error.offset or 1) - 1
        # An error at the end of the text has no offset, or one behind it.
        token = tokens[offset // _WIDTH] if error.offset and offset < len(text) else tokens[-1]
        raise _wrong(token.at, *_explain(token, error)) from None


def _explain(token: _Token, error: SyntaxError) -> tuple[str, str, str]:
    """Return what was expected, what was found and what to do for a syntax error at a token."""
    if "never closed" in str(error.msg):
        return "a bracket that is closed", token.text, "close the bracket"
    if "comma" in str(error.msg):
        return "a comma or a sign between two parts", token.text, "write one after it"
    return _EXAMPLE, token.text, "complete it" if token.kind == "end" else "correct it here"


class _Translator:
    """From Python's tree to steps, in the order of evaluation. A long sum is no deep recursion."""

    def __init__(self, tokens: Sequence[_Token]) -> None:
        self._tokens = tokens
        self._steps: list[Step] = []

    def translate(self, tree: ast.expr) -> list[Step]:
        """Return the steps of a tree. Raise SpecError for a node that is not in the language."""
        self._add(tree)
        return self._steps

    def _add(self, node: ast.expr) -> None:
        match node:
            case ast.Name():
                self._add_value(self._token(node))
            case ast.BinOp(op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div()):
                self._add_chain(node)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                self._add(operand)
                self._steps.append(Step("function", "negative", 1))
            case ast.Compare(ops=[sign], comparators=[right], left=left) if type(sign) in _OPERATORS:
                self._add(left)
                self._add(right)
                self._steps.append(Step("function", _OPERATORS[type(sign)], 2))
            case ast.Compare(comparators=[_, second, *_]):
                todo = "compare once, and multiply the two: (a < b) * (b < c)"
                raise self._refuse(second, "one comparison", todo)
            case ast.Call(func=ast.Name() as name, args=arguments, keywords=[]):
                self._add_call(self._token(name), arguments)
            case _:
                raise self._refuse(node, _EXAMPLE, "correct it here")

    def _add_value(self, token: _Token) -> None:
        if token.kind == "number":
            self._steps.append(Step("number", float(token.text)))
        else:
            self._steps.append(Step("column", token.text.replace("``", "`") if token.kind == "quoted" else token.text))

    def _add_chain(self, node: ast.expr) -> None:
        links: list[ast.BinOp] = []
        while isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            links.append(node)
            node = node.left
        self._add(node)
        for link in reversed(links):
            self._add(link.right)
            self._steps.append(Step("function", _OPERATORS[type(link.op)], 2))

    def _add_call(self, name: _Token, arguments: Sequence[ast.expr]) -> None:
        if name.kind != "name" or name.text not in FUNCTIONS:
            todo = "put a column's name in backquotes, and a sign before ("
            raise _wrong(name.at, "a function: " + ", ".join(FUNCTIONS), name.text, todo)
        fewest, most = FUNCTIONS[name.text]
        if not fewest <= len(arguments) <= most:
            count = f"{fewest} argument{'s' if fewest > 1 else ''}"
            more = " or more" if most > fewest else ""
            if_todo, todo = "write if(condition, then, otherwise)", f"give {name.text} as many as it takes"
            raise SpecError(
                f"character {name.at}: "
                + problem(
                    expected=f"{count}{more} in {name.text}(...)",
                    found=str(len(arguments)),
                    todo=if_todo if name.text == "if" else todo,
                )
            )
        for argument in arguments:
            self._add(argument)
        self._steps.append(Step("function", name.text, len(arguments)))

    def _token(self, node: ast.expr) -> _Token:
        return self._tokens[node.col_offset // _WIDTH]

    def _refuse(self, node: ast.expr, expected: str, todo: str) -> SpecError:
        token = self._token(node)
        return _wrong(token.at, expected, token.text, todo)
