"""Ask a user at a terminal what names a customer, when no column was recognized as the id."""

import sys

from rich.console import Console

from churn_assets.console.safe_text import on_one_line, say
from churn_assets.onboarding.keys import Key
from churn_assets.onboarding.spec_text import NO_ID_MEANS
from churn_model.errors import problem
from churn_model.spec.dataset import NO_ID


def can_ask(console: Console) -> bool:
    """Return whether a person sees the question and can answer it: both ends are a terminal."""
    return console.is_terminal and sys.stdin is not None and sys.stdin.isatty()


def ask_id(console: Console, key: Key, columns: list[str]) -> str | None:
    """Return the column that the user names, or NO_ID; None if the user leaves it open by an empty line or the end of input.

    `columns` are those that may be named; the candidates of `key` are offered by number.
    """
    say(
        console,
        "What names a customer? No column was recognized as the id, and nothing is promoted until the spec says.",
    )
    for number, one in enumerate(key.candidates, 1):
        say(console, f"  {number}     {on_one_line(one.column)}: {on_one_line(one.why)}")
    say(console, f"  {NO_ID}  {NO_ID_MEANS}")
    while True:
        say(console, f"A number, the name of a column, or `{NO_ID}` (an empty line leaves it open):")
        answer = sys.stdin.readline().strip()
        if not answer:
            return None
        chosen = _choose(answer, key, columns)
        if chosen is not None:
            return chosen
        say(
            console,
            problem(
                expected=f"a number up to {len(key.candidates)}, a column or `{NO_ID}`"
                if key.candidates
                else f"a column or `{NO_ID}`",
                found=on_one_line(answer),
                todo=f"choose one of the columns {', '.join(map(on_one_line, columns))}",
            ),
        )


def _choose(answer: str, key: Key, columns: list[str]) -> str | None:
    """Return the column that an answer names, NO_ID, or None if it names nothing. A column's exact name goes before a number."""
    if answer.lower() == NO_ID:
        return NO_ID
    if answer in columns:
        return answer
    numbered = {str(number): one.column for number, one in enumerate(key.candidates, 1)}
    alike = [column for column in columns if column.strip().lower() == answer.lower()]
    return numbered.get(answer) or (alike[0] if len(alike) == 1 else None)
