"""What is said of advisories: found, none, and above all when nobody could be asked."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.advisories import audit_lock, main


def answers(content: Any, code: int = 0) -> list[str]:
    """Return a command that prints this and ends with this code, whatever it is asked."""
    text = content if isinstance(content, str) else json.dumps(content)
    return [
        sys.executable,
        "-c",
        f"import sys; print({text!r}); print('no route to host', file=sys.stderr); sys.exit({code})",
    ]


GOOD = {"name": "numpy", "version": "2.3", "vulns": []}
BAD = {"name": "urllib3", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}]}
UNKNOWN = {"name": "own", "skip_reason": "Dependency not found on PyPI and could not be audited"}


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (answers({"dependencies": [GOOD]}), 0, "1 packages checked, 0 known vulnerabilities"),
        (answers({"dependencies": [GOOD, BAD]}, 1), 1, "urllib3 1.0: PYSEC-1, fixed in 1.1"),
        (answers({"dependencies": [GOOD, UNKNOWN]}), 0, "1 packages UNCHECKED"),
        (answers({"dependencies": [UNKNOWN]}), 0, "UNCHECKED, no advisory database answered"),
        (answers("", 1), 0, "all packages: no route to host"),
        (["/no/such/command"], 0, "UNCHECKED, no advisory database answered"),
    ],
)
def test_what_could_not_be_checked_is_called_so_and_only_a_vulnerability_fails(
    capsys: pytest.CaptureFixture[str], command: list[str], code: int, said: str
) -> None:
    assert main(["a.lock"], command) == code
    assert said in capsys.readouterr().out


def test_a_lock_that_nobody_answers_for_has_no_checked_packages(tmp_path: Path) -> None:
    assert audit_lock(tmp_path / "a.lock", answers({"dependencies": [UNKNOWN]})).checked == 0
