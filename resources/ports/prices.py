"""What machines cost."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Price:
    """US dollars an hour, on demand, and the day (ISO, UTC) on which the price list said so."""

    dollars: float
    day: str
