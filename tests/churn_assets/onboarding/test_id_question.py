"""What churn new does when no column is recognized as the id: it asks on a terminal, and ends with the lines to write elsewhere."""

import os
import sys
import threading
from pathlib import Path

import pytest

from churn_assets.cli.app import main
from churn_assets.cli.command import ExitCode
from resources.specs.loader import load_spec
from tests.conftest import Workspace

HEADER = "contract key,calls,churned"


def write_customers(folder: Path) -> Path:
    """Write 120 rows in which `contract key` may be the id, and is not for sure: it repeats, with labels that differ."""
    path = folder / "customers.csv"
    rows = [f"K{n % 40:03d},{n % 7},{'yes' if (n * 7919) % 3 else 'no'}" for n in range(120)]
    path.write_text("\n".join([HEADER, *rows]))
    return path


def answer_at_terminal(monkeypatch: pytest.MonkeyPatch, root: Path, answers: str) -> tuple[int, str]:
    """Run churn new with both ends on a pseudo-terminal; return the exit code and what the terminal showed."""
    master, slave = os.openpty()
    os.write(master, answers.encode())
    shown: list[bytes] = []

    def drain() -> None:
        try:
            while block := os.read(master, 4096):
                shown.append(block)
        except OSError:  # the other end is closed
            return

    reader = threading.Thread(target=drain)
    reader.start()
    monkeypatch.setenv("CHURN_HOME", str(root / "home"))
    monkeypatch.setenv("CHURN_DATASETS", str(root / "datasets"))
    with os.fdopen(os.dup(slave)) as keys, os.fdopen(slave, "w") as screen, monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", keys)
        patch.setattr(sys, "stdout", screen)
        code = main(["new", "shop", str(write_customers(root))])
    reader.join()
    os.close(master)
    return code, b"".join(shown).decode()


@pytest.mark.parametrize(
    ("answers", "id_", "said"),
    [
        ("1\n", "contract key", "1     contract key: 120 rows of 40 customers"),
        ("Contract Key\n", "contract key", "What names a customer?"),
        ("none\n", "none", "none  each row is a customer of its own: no customer has two rows"),
        ("9\nchurned\ncalls\n", "calls", "Expected a number up to 1, a column or `none`; found churned."),
        ("\n", None, "WHAT NAMES A CUSTOMER? Nothing is promoted until"),
    ],
)
def test_churn_new_asks_on_a_terminal_what_names_a_customer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: str, id_: str | None, said: str
) -> None:
    code, shown = answer_at_terminal(monkeypatch, tmp_path, answers)
    assert said in shown
    assert load_spec(tmp_path / "datasets" / "shop.yaml").id == id_
    assert code == ExitCode.DONE


@pytest.mark.parametrize("id_", ["none", "contract key"])
def test_an_option_says_what_names_a_customer(tmp_path: Path, id_: str) -> None:
    workspace = Workspace(tmp_path)
    assert workspace.churn("new", "shop", write_customers(tmp_path), "--id", id_) == ExitCode.DONE
    assert load_spec(tmp_path / "datasets" / "shop.yaml").id == id_
    assert "WHAT NAMES A CUSTOMER" not in workspace.output


def test_without_a_terminal_the_lines_to_write_come_last(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert workspace.churn("new", "shop", write_customers(tmp_path)) == ExitCode.DONE
    assert load_spec(tmp_path / "datasets" / "shop.yaml").id is None
    last = workspace.output.rstrip().splitlines()[-2:]
    assert last[0].startswith("  id: contract key # ")
    assert last[1].startswith("  id: none # each row is a customer of its own")
