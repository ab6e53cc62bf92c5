"""What churn new is content with, landing is."""

from pathlib import Path

import pytest

from churn_assets.cli.command import ExitCode
from tests.conftest import Workspace

ROWS = [f"C{n},{n % 7},{'yes' if n % 3 else 'no'}" for n in range(120)]


@pytest.mark.parametrize(
    ("rows", "code", "said"),
    [
        (ROWS, ExitCode.DONE, "Read it, correct it, then: churn land shop"),
        (
            ROWS[:25],
            ExitCode.DONE,
            "This file alone is too little to learn from:\nExpected at least 30 rows in train",
        ),
        (
            [f"K{row[1:]}" for row in ROWS[:52]],
            ExitCode.DONE,
            "too little to learn from:\nExpected at least 30 rows in train of each outer fold; found 26. Land more data.",
        ),
        (
            ROWS,
            ExitCode.DONE,
            "too little to learn from: Expected at least 60 rows of the rarer outcome for a first champion; found 40.",
        ),
        (
            [*ROWS[:90], *(row + ',"stray" quote' for row in ROWS[90:])],
            ExitCode.FAILED,
            "As it is, this file would be refused when it is landed:\nExpected at least one row, and at most 10% of 120 records",
        ),
        (
            [row.replace(",3,", ",inf,") for row in ROWS[:60]] + [f"{row.rsplit(',', 1)[0]}," for row in ROWS[60:]],
            ExitCode.FAILED,
            "69 in quarantine: churned: expected a label (60 records",
        ),
    ],
)
def test_churn_new_says_what_landing_would_refuse(tmp_path: Path, rows: list[str], code: ExitCode, said: str) -> None:
    (tmp_path / "customers.csv").write_text("\n".join(["customer_id,calls,churned", *rows]))
    workspace = Workspace(tmp_path)
    assert workspace.churn("new", "shop", tmp_path / "customers.csv") == code
    assert " ".join(said.split()) in " ".join(workspace.output.split())
    assert (tmp_path / "datasets" / "shop.yaml").is_file()
