"""Durations as a spec writes them: a whole number and a unit."""

import re

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
PATTERN = "^[0-9]+[smhd]$"
DURATION = "a whole number above 0 and a unit (s, m, h, d)"


def seconds(duration: str) -> int:
    """Return the seconds in a duration such as `60s`, `30m`, `12h` or `28d`. Raise ValueError for other text, or for no time."""
    if not re.fullmatch(PATTERN, duration, re.ASCII) or int(duration[:-1]) == 0:
        raise ValueError(f"Expected {DURATION} such as 30d; found {duration!r}")
    return int(duration[:-1]) * _SECONDS[duration[-1]]
