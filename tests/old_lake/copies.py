"""Copies of the old lakes to read, and to make the assets of today from."""

import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from churn_model.reports.step_report import REPORT, StepReport
from churn_model.spec.dataset import Dataset
from resources.catalog.pointers import require_current
from resources.catalog.publish import Publication, require_published
from resources.local.lake import LocalLake
from resources.local.runner import LocalRunner
from resources.ports.lake import Lake, Manifest
from resources.ports.runner import Runner, StepRequest
from resources.settings import read_settings
from resources.specs.loader import load_specs
from resources.wiring import Ports, wire

OLD = Path(__file__).parent


class Replay(Runner):
    """Instead of running a step, gives what the old lake holds of it: its latest version of the same asset. Runs a step that is new since."""

    lake: LocalLake
    old: str

    def run(self, request: StepRequest) -> StepReport:
        asset = Path(request.output).parent
        manifests = [*(Path(self.old) / asset).glob("*/_manifest.json")]
        if not manifests:
            runs = str(Path(self.lake.root).parent / "runs")
            return LocalRunner(lake=self.lake, runs=runs, python=sys.executable, threads=1).run(request)
        latest = max(manifests, key=lambda path: Manifest.from_json(path.read_bytes()).made_at)
        shutil.copytree(latest.parent, self.lake.uri(request.output), ignore=shutil.ignore_patterns(latest.name))
        return StepReport.from_json((latest.parent / REPORT).read_bytes())

    def libraries(self, imports: frozenset[str]) -> str:
        return "those of another day"


@dataclass(frozen=True)
class Old:
    """A copy of an old lake."""

    ports: Ports
    dataset: Dataset

    @property
    def lake(self) -> Lake:
        return self.ports.lake

    def publication(self, asset: str, batch: str | None = None) -> Publication:
        shown = require_current(self.lake, "shop", asset, batch)
        return Publication(shown.version, shown.prefix, require_published(self.lake, shown.prefix), reused=True)


def copy_of(name: str, home: Path) -> Old:
    shutil.copytree(OLD / name / "lake", home / "lake")
    ports = wire(read_settings({"CHURN_HOME": str(home)}))
    replay = Replay(lake=LocalLake(root=str(home / "lake")), old=str(OLD / name / "lake"))
    return Old(replace(ports, runner=replay), load_specs(OLD / name / "datasets").datasets["shop"])
