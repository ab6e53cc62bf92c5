"""Claims about a result, and a step's answers to them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """The answer to a claim: whether it holds, what was expected and found, and what to do if it does not hold."""

    name: str
    passed: bool
    expected: str
    found: str
    todo: str = ""


@dataclass(frozen=True)
class Claim:
    """Something that should hold for a result. If `blocking`, nothing downstream runs when it does not hold; else it is a fact to weigh."""

    name: str
    description: str
    blocking: bool = True

    def check(self, passed: bool, *, expected: str, found: str, todo: str = "") -> Check:
        """Return the answer to this claim."""
        return Check(self.name, passed, expected, found, todo)
