"""What is said at a terminal: text from data moves no cursor, sets no colour and hides nothing."""

import re

from rich.console import Console

# Control characters but tab and line feed, and the marks that turn the direction of writing.
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """The text with a visible sign in place of each character that a terminal would obey."""
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text)


def on_one_line(text: str) -> str:
    """A value from data as it stands within a line."""
    return printable(re.sub(r"\s+", " ", text).strip())


def say(console: Console, text: str) -> None:
    """Print text as it stands: nothing in it is markup."""
    console.print(printable(text), highlight=False, markup=False)
