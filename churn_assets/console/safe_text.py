"""Print text from data to a terminal without letting it move the cursor, set colours or hide anything."""

import re

from rich.console import Console

# Control characters but tab and line feed, and the marks that turn the direction of writing.
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Replace each character that a terminal would obey by a visible one."""
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text)


def on_one_line(text: str) -> str:
    """Return a value from data as part of one line: blanks and line ends become single spaces."""
    return printable(re.sub(r"\s+", " ", text).strip())


def say(console: Console, text: str) -> None:
    """Print text literally: nothing in it is read as markup."""
    console.print(printable(text), highlight=False, markup=False)
