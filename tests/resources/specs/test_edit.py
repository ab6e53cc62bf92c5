"""One value of a spec is changed, and nothing around it."""

from pathlib import Path

import pytest

from churn_model.errors import SpecError
from resources.specs.edit import replace_number

PLACE = ("endpoint", "scaling", "invocations")
BLOCK = """\
# Ours.
id: customer

endpoint:
  engine: instance   # machines
  scaling:
    most: 4
    invocations: 600   # from a load test
list: {capacity: 20}
"""
FLOW = "endpoint: {engine: instance, scaling: {invocations: 600, most: 4}}\n"


@pytest.mark.parametrize(
    "text", [BLOCK, FLOW, BLOCK.replace("\n", "\r\n"), "\ufeff" + BLOCK, BLOCK.replace("600", "'600'")]
)
def test_one_number_is_changed_and_everything_else_stays(tmp_path: Path, text: str) -> None:
    spec = tmp_path / "shop.yaml"
    spec.write_bytes(text.encode())
    spec.chmod(0o640)
    replace_number(spec, PLACE, 11_010)
    changed = text.replace("'600'", "600").replace("600", "11010")
    assert spec.read_bytes() == changed.encode()
    assert spec.stat().st_mode & 0o777 == 0o640
    replace_number(spec, PLACE, 11_010)
    assert spec.read_bytes() == changed.encode()


@pytest.mark.parametrize(
    "text", ["id: customer\n", "endpoint: {scaling: [1]}\n", "endpoint: {scaling: {invocations: [1]}}\n", ""]
)
def test_a_place_without_a_value_is_refused(tmp_path: Path, text: str) -> None:
    spec = tmp_path / "shop.yaml"
    spec.write_text(text)
    with pytest.raises(
        SpecError, match=r"Expected a value of endpoint\.scaling\.invocations in shop\.yaml; found none"
    ):
        replace_number(spec, PLACE, 1)
    assert spec.read_text() == text
