"""The reference page is what the code says of itself; the page of checks names every check."""

import re
from pathlib import Path

import pytest

from churn_assets.definitions import build_definitions
from churn_assets.reference import PAGE, main, reference
from churn_model.ingest.files import FORMATS
from resources.settings import PROJECT, read_settings
from resources.specs.loader import load_specs


def test_the_committed_page_is_the_one_that_the_code_makes() -> None:
    assert PAGE.read_text("utf-8") == reference(), "run: python -m churn_assets.reference"


def test_the_page_is_written_where_it_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(tmp_path / "page.md")
    assert (tmp_path / "page.md").read_text("utf-8") == reference()
    assert "page.md" in capsys.readouterr().out


@pytest.mark.parametrize(
    "said",
    [
        "| `cooldown` | `30d` | A customer listed within this time before is not listed again. |",
        "| `column` | required | The column that says who left, in training data only. |",
        "| `CHURN_STEP_PYTHON` |",
        "### churn rollback",
        "<dataset>/champion.json",
        "landing/<dataset>/score/<batch>/**",
        "processing/output/result/",
        "| `churn_probability` | double |",
    ],
)
def test_the_page_tells(said: str) -> None:
    assert said in reference()


def test_no_block_and_no_cell_of_a_meaning_is_empty() -> None:
    assert not re.search(r"```text\n```|\|  \|$", reference(), re.MULTILINE)


def test_the_page_of_checks_names_every_check_and_every_fact_of_the_gate(tmp_path: Path) -> None:
    told = (PROJECT / "docs" / "checks.md").read_text("utf-8")
    settings = read_settings({"CHURN_HOME": str(tmp_path), "CHURN_DATASETS": str(PROJECT / "datasets")})
    definitions = build_definitions(load_specs(settings.datasets), settings)
    checks = {key.name for key in definitions.resolve_asset_graph().asset_check_keys}
    facts = re.findall(
        r'^ +name="(\w+)"',
        (PROJECT / "churn_model" / "evaluation" / "promotion_facts.py").read_text("utf-8"),
        re.MULTILINE,
    )
    assert len(checks) >= 10
    assert len(facts) >= 5
    assert [name for name in sorted({*checks, *facts, "spec_is_valid"}) if name not in told] == []


def test_the_commands_that_take_files_name_every_format() -> None:
    rows = re.findall(r"^\| `FILE(?: \.\.\.)?` \| (.*) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert len(rows) == 2
    assert all(each.name in row for row in rows for each in FORMATS)
