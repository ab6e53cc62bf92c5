"""What every place for outputs promises. A new adapter joins by adding itself to the table."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from resources.catalog.outputs import Output, copy_to_outputs, output_key
from resources.errors import LakeError, NotInLake
from resources.local.lake import LocalLake
from resources.local.outputs import LocalOutputs
from resources.ports.outputs import Outputs

OUTPUTS: dict[str, Callable[[Path], Outputs]] = {"local": lambda path: LocalOutputs(folder=str(path / "out"))}


@pytest.fixture(params=OUTPUTS)
def outputs(request: pytest.FixtureRequest, tmp_path: Path) -> Outputs:
    return OUTPUTS[request.param](tmp_path)


def content(outputs: Outputs, key: str) -> bytes:
    return Path(outputs.uri(key)).read_bytes()


def test_a_file_is_replaced_as_a_whole(outputs: Outputs) -> None:
    key = output_key("shop", Output.LIST, "monday")
    assert not outputs.holds(key)
    for text in (b"a long first version", b"second"):
        outputs.replace(key, io.BytesIO(text))
        assert content(outputs, key) == text
    assert outputs.holds(key)


def test_a_copy_that_fails_leaves_the_file_as_it_was(outputs: Outputs) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell():
                raise OSError(5, "Input/output error")
            return super().read(3)

    outputs.replace("shop/report.html", io.BytesIO(b"first"))
    with pytest.raises(LakeError, match="found Input/output error"):
        outputs.replace("shop/report.html", Broken(b"second"))
    assert content(outputs, "shop/report.html") == b"first"


@pytest.mark.parametrize("key", ["../elsewhere", "/etc/passwd", "shop/../../elsewhere"])
def test_no_key_leads_out(outputs: Outputs, key: str) -> None:
    with pytest.raises(LakeError, match="Expected a key inside the folder"):
        outputs.replace(key, io.BytesIO(b""))


def test_what_the_lake_does_not_hold_is_not_copied(outputs: Outputs, lake: LocalLake) -> None:
    with pytest.raises(NotInLake, match=r"Expected shop/report\.html in the lake"):
        copy_to_outputs(lake, outputs, "shop/report.html", "shop/report.html")
    assert not outputs.holds("shop/report.html")


def test_the_names_are_those_that_are_documented() -> None:
    names = [output_key("shop", output, "x=1") for output in Output]
    assert names == [
        "shop/report.html",
        "shop/exploration.html",
        "shop/comparison.html",
        "shop/load_test.html",
        "shop/load_test.json",
        "shop/plots/x=1.png",
        "shop/lists/x=1.csv",
        "shop/lists/x=1.html",
        "shop/shadows/x=1.csv",
    ]
