"""What a worker is told to run: a command of `churn`, or one asset of a command's job as the command would materialize it.

What fails while an asset is materialized needs no other asset to be seen.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partialmethod
from unittest.mock import patch

import dagster as dg
from rich.console import Console

from churn_assets.cli.app import main as churn
from churn_assets.cli.command import find_dataset
from churn_assets.cli.run_job import run_job
from churn_assets.console.safe_text import say
from churn_model.errors import ChurnError
from resources.catalog.names import (
    RETRAIN_ASSETS,
    SCORE_ASSETS,
    asset_key,
    partitions_name,
    retrain_job_name,
    score_job_name,
)
from resources.settings import read_settings
from tests.aws.faults import AFTER, BEFORE

NOTHING = "no phase"
_ASSETS = {"retrain": RETRAIN_ASSETS, "score": SCORE_ASSETS}


@dataclass(frozen=True)
class Order:
    """A command, and the only asset of its job that is materialized; "" for all."""

    arguments: tuple[str, ...]
    asset: str = ""

    def run(self) -> int:
        """Run it in this process, and return its exit code."""
        return self._materialize() if self.asset else churn(self.arguments)

    def _materialize(self) -> int:
        command, name, *batch = self.arguments
        job = {"retrain": retrain_job_name, "score": score_job_name}[command](name)
        partition = (partitions_name(name), batch[0]) if batch else None
        settings, console = read_settings(), Console(soft_wrap=True)
        try:
            with _selecting(asset_key(name, self.asset)):
                result = run_job(settings, console, find_dataset(settings, name), job, partition=partition)
        except ChurnError as error:
            say(console, str(error))
            return 1
        return 1 if result is None else 0


@contextmanager
def _selecting(asset: dg.AssetKey) -> Iterator[None]:
    """Let jobs that run in this process materialize one asset."""
    execute = partialmethod(dg.JobDefinition.execute_in_process, asset_selection=[asset])
    with patch.object(dg.JobDefinition, "execute_in_process", execute):
        yield


@dataclass(frozen=True)
class Part:
    """A part of a command: what is run, the phases that are swept of it, and whether the account goes on to what it leaves."""

    order: Order
    phases: tuple[str, ...]
    moves: bool = True


def parts_of(arguments: tuple[str, ...], assets: Sequence[str], alone: str) -> Iterator[Part]:
    """Yield the parts of a command in their order.

    assets   those to sweep; none for all, and for what is outside of assets
    alone    the only one that is run; "" for all
    """
    those = (alone,) if alone else _ASSETS.get(arguments[0])
    if those is None:  # one asset
        yield Part(Order(arguments), tuple(assets))
        return
    if not assets and not alone:
        yield Part(Order(arguments), (BEFORE,), moves=False)
    for asset in those:
        yield Part(Order(arguments, asset), (asset,) if asset in assets or not assets else (NOTHING,))
    if not assets and not alone:
        yield Part(Order(arguments), (AFTER,), moves=False)
