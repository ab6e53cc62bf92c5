"""The choice of adapters: which implementation of each port the assets, jobs and commands get."""

from dataclasses import dataclass

from resources.local.alerts import LocalAlerts
from resources.local.lake import LocalLake
from resources.local.outputs import LocalOutputs
from resources.local.run_locks import LocalRunLocks
from resources.local.runner import LocalRunner
from resources.local.tables import LocalTables
from resources.ports.alerts import Alerts
from resources.ports.lake import Lake
from resources.ports.outputs import Outputs
from resources.ports.run_locks import RunLocks
from resources.ports.runner import Runner
from resources.ports.tables import Tables
from resources.settings import Settings


@dataclass(frozen=True)
class Ports:
    """One adapter for each port. The names of the fields are the resource keys that assets require."""

    lake: Lake
    outputs: Outputs
    tables: Tables
    runner: Runner
    run_locks: RunLocks
    alerts: Alerts


def wire(settings: Settings) -> Ports:
    """Return the adapters for these settings."""
    lake = LocalLake(root=str(settings.lake))
    runner = LocalRunner(
        lake=lake, runs=str(settings.home / "runs"), python=str(settings.step_python), threads=settings.threads
    )
    return Ports(
        lake=lake,
        outputs=LocalOutputs(folder=str(settings.out)),
        tables=LocalTables(lake=lake, database=str(settings.home / "tables.duckdb")),
        runner=runner,
        run_locks=LocalRunLocks(folder=str(settings.home / "locks")),
        alerts=LocalAlerts(
            log=str(settings.home / "alerts.log"), command=settings.alert_command, webhook=settings.alert_webhook
        ),
    )
