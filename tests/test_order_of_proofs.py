"""The lists of proofs that begin first, or that stay together, name proofs that there are."""

import ast
import re
from functools import cache

from resources.settings import PROJECT
from tests.conftest import LONGEST, ONE_WORKER

_TESTS = PROJECT / "tests"
_HOLDS_PROOFS = re.compile(r"^(pytestmark = \[?|@)pytest\.mark\.prove\b", re.MULTILINE)


@cache
def proofs() -> list[str]:
    """Return the node ids of the tests of every file that holds proofs, without their parameters."""
    found = []
    for path in sorted(_TESTS.rglob("test_*.py")):
        text = path.read_text("utf-8")
        if _HOLDS_PROOFS.search(text):
            names = [node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
            file = path.relative_to(PROJECT).as_posix()
            found += [f"{file}::{name}" for name in names if name.startswith("test_")]
    return found


def test_what_begins_first_is_there() -> None:
    lost = [name for name in LONGEST if not any(name in proof for proof in proofs())]
    assert lost == [], "tests/conftest.py: expected each name in LONGEST in the id of a proof; correct or remove these"


def test_what_one_worker_keeps_together_is_there() -> None:
    files = {proof.partition("::")[0].rpartition("/")[2] for proof in proofs()}
    lost = [name for name in ONE_WORKER if name not in files]
    assert lost == [], (
        "tests/conftest.py: expected each name in ONE_WORKER to be a file of proofs; correct or remove these"
    )
