"""What every registry promises."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from resources.errors import RegistryError
from resources.local.registry import LocalRegistry
from resources.ports.registry import ModelRecord, Registry

REGISTRIES: dict[str, Callable[[Path], Registry]] = {"local": lambda path: LocalRegistry(folder=str(path / "registry"))}
RECORD = ModelRecord("v1", "e1", "first", "it is good", "2026-01-01T00:00:00+00:00", {"auc": 0.8, "f1": None})


@pytest.fixture(params=REGISTRIES)
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Registry:
    return REGISTRIES[request.param](tmp_path)


def test_nothing_is_approved_at_first(registry: Registry) -> None:
    assert registry.approved("telco") == []


def test_champions_are_approved_in_order_and_others_are_not(registry: Registry) -> None:
    kept = replace(RECORD, version="v2", outcome="kept")
    promoted = replace(RECORD, version="v3", outcome="promoted")
    for record in (RECORD, kept, promoted):
        registry.record("telco", record)
    assert list(registry.approved("telco")) == [RECORD, promoted]
    assert registry.approved("other") == []


def test_the_same_decision_again_is_kept_once(registry: Registry) -> None:
    registry.record("telco", RECORD)
    registry.record("telco", replace(RECORD, decided_at="2026-02-02T00:00:00+00:00"))
    assert list(registry.approved("telco")) == [RECORD]


def test_a_damaged_file_is_said_and_not_read_past(tmp_path: Path) -> None:
    registry = LocalRegistry(folder=str(tmp_path))
    registry.record("telco", RECORD)
    (tmp_path / "telco.jsonl").write_text("{half a line")
    with pytest.raises(RegistryError, match="expected one decision as JSON a line"):
        registry.approved("telco")
