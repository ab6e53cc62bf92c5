"""Which room of the tests and benchmarks imports which: the harness knows no test, and only tests of a benchmark know one."""

import ast
from collections.abc import Iterator
from pathlib import Path

from resources.settings import PROJECT

TESTED = {
    ("tests/churn_model/evaluation/test_variant_guard.py", "benchmarks.ab_guard"),
    ("tests/prove/test_aws_faults.py", "benchmarks.aws_faults"),
    ("tests/prove/test_serve.py", "benchmarks.steady"),
    ("tests/test_advisories.py", "benchmarks.advisories"),
}
"""A benchmark that a test tests, or runs a sample of."""
BELOW = {
    "tests/harness": ("tests.harness",),
    "tests/reliability": ("tests.harness", "tests.reliability"),
    "tests/aws": ("tests.aws",),
}
"""The rooms that are for others to use, and what of the tests each may import."""


def imports(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield each file below a folder with each module of the tests and benchmarks that it imports."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                if name.partition(".")[0] in ("tests", "benchmarks"):
                    yield path.relative_to(PROJECT).as_posix(), name


def test_tests_import_only_the_benchmarks_that_they_test() -> None:
    assert {each for each in imports(PROJECT / "tests") if each[1].startswith("benchmarks")} == TESTED


def test_what_tests_share_knows_none_of_them() -> None:
    for room, below in BELOW.items():
        others = [each for each in imports(PROJECT / room) if not each[1].startswith(below)]
        assert [each for each in others if not Path(each[0]).name.startswith("test_")] == [], room
