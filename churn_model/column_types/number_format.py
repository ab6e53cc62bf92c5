"""How numbers are written: separators of thousands and decimals, a currency or a percent sign, brackets for negative ones."""

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from churn_model.arrays import FloatArray
from churn_model.column_types.landed import MISSING_WORDS
from churn_model.spec.dataset import Kind

NUMBER_NAME = "number"

SEPARATORS = {
    "1234.5": ("", "."),
    "1,234.5": (",", "."),
    "1.234,5": (".", ","),
    "1 234,5": (" ", ","),
    "1 234.5": (" ", "."),
    "1'234.5": ("'", "."),
}
"""Each way to write a number, by an example, with its separators of thousands and decimals. Thousands need not be separated."""
PLAIN = next(iter(SEPARATORS))
PERCENT = "%"
_SIGNS = r"[$€£¥₹₽₺₩%]|kr|zł|Kč|Ft|Fr\.|R\$|Rs\.?"
_CODES = (
    "AED ARS AUD BRL CAD CHF CLP CNY COP CZK DKK EGP EUR GBP HKD HUF IDR ILS INR JPY KES KRW MXN MYR NGN NOK NZD PEN PHP "
    "PLN RUB SAR SEK SGD THB TRY USD VND ZAR"
)
MARK = f"(?:{_SIGNS}|{'|'.join(_CODES.split())})"
DRESSED = rf"^\(?[+-]?\s*{MARK}?\s*[+-]?[0-9.,][0-9.,'’\s]*{MARK}?\)?$"
"""What any number looks like, with whatever is around it."""
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
INFINITE = r"^[+-]?[iI][nN][fF]([iI][nN][iI][tT][yY])?$"
_PARTS = re.compile(rf"(\(?)([+-]?)\s*({MARK}?)\s*([+-]?)([0-9.,][0-9.,'’\s]*?)\s*({MARK}?)(\)?)")
_BLANKS = re.compile(r"[\s’]")
_LONGEST = 400  # characters of a number with anything around it: the pattern takes the square of a text's length


@dataclass(frozen=True)
class NumberFormat:
    """One way to write numbers. `mark`: the currency or percent sign that may stand before or after them."""

    example: str = PLAIN
    mark: str = ""

    @cached_property
    def _digits(self) -> re.Pattern[str]:
        thousands, decimal = map(re.escape, SEPARATORS[self.example])
        grouped = rf"|[0-9]{{1,3}}(?:{thousands}[0-9]{{3}})+" if thousands else ""
        return re.compile(rf"(?:[0-9]+{grouped})?(?:{decimal}[0-9]*)?")

    def read(self, text: str) -> float | None:
        """Return the number that a text without blanks around it means, 0.12 for `12 %`; None if it is written otherwise."""
        if (parts := _take_apart(text)) is None:
            return None
        opened, sign, before, inner_sign, digits, behind, closed = parts.groups()
        if bool(opened) != bool(closed) or bool(opened) + bool(sign) + bool(inner_sign) > 1 or (before and behind):
            return None
        if (before or behind) not in ("", self.mark) or self.mark == PERCENT != (before or behind):
            return None
        digits = _BLANKS.sub(lambda blank: "'" if blank[0] == "’" else " ", digits)
        if not self._digits.fullmatch(digits) or not re.search("[0-9]", digits):
            return None
        thousands, decimal = SEPARATORS[self.example]
        plain = digits.replace(thousands, "") if thousands else digits
        number = float(plain.replace(decimal, "."))
        negative = bool(opened) or "-" in sign + inner_sign
        return (-number if negative else number) / (100 if self.mark == PERCENT else 1)

    def write(self, plain: str) -> str:
        """Return a plain number in this format, without a currency and without separators of thousands, which may be left out.

        What no number is read from, such as 1e999, stays as it is.
        """
        try:
            number = Decimal(plain).scaleb(2 if self.mark == PERCENT else 0)
        except InvalidOperation:  # no number, or one with an exponent that nobody means
            return plain
        if not number.is_finite() or abs(number.adjusted()) > _LONGEST:
            return plain
        _, decimal = SEPARATORS[self.example]
        return f"{number:f}".replace(".", decimal) + (f" {PERCENT}" if self.mark == PERCENT else "")

    def __str__(self) -> str:
        return f"{self.example} {self.mark}" if self.mark else self.example

    @property
    def kind(self) -> Kind:
        """The type of a column of such numbers, as a spec writes it."""
        return NUMBER_NAME if self == NumberFormat() else f"{NUMBER_NAME} {self}"


AS_IS = NumberFormat()


def _take_apart(text: str) -> re.Match[str] | None:
    return _PARTS.fullmatch(text) if len(text) <= _LONGEST else None


def is_formatted(text: str) -> bool:
    """Return whether some format reads a text as a number."""
    mark = find_mark(text)
    return any(NumberFormat(example, mark).read(text) is not None for example in SEPARATORS)


def find_mark(text: str) -> str:
    """Return the currency or percent sign of a number, "" if it has none."""
    parts = _take_apart(text)
    return (parts[3] or parts[6]) if parts else ""


def parse_format(text: str) -> NumberFormat:
    """Return the format of an example such as `1.234,5` or `1,234.5 $`. Raise ValueError for any other text."""
    for example in SEPARATORS:
        mark = text.removeprefix(example).strip()
        if text.startswith(example) and (not mark or re.fullmatch(MARK, mark)):
            return NumberFormat(example, mark)
    raise ValueError(f"a number written as {', '.join(SEPARATORS)}, perhaps with a currency or % behind it")


def are_zeros_and_ones(values: FloatArray) -> bool:
    """Return whether all values are 0 or 1."""
    return bool(((values == 0) | (values == 1)).all())


def classify_numbers(text: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Return the text without the blanks around it, a mask of the plain numbers and one of the missing values."""
    trimmed = pc.utf8_trim_whitespace(text)
    number = pc.fill_null(pc.match_substring_regex(trimmed, _NUMBER), False)
    missing = pc.is_in(pc.utf8_lower(trimmed), value_set=pa.array([*MISSING_WORDS, None]))
    return trimmed, number, missing


def are_infinite(trimmed: pa.Array) -> pa.Array:
    """Return a mask of the words for infinity."""
    return pc.fill_null(pc.match_substring_regex(trimmed, INFINITE), False)
