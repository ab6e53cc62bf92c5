"""Which runs wait for each other, and which runs have lost their process.

Jobs declare their lock in a tag, `churn/lock: <dataset>/<kind>`. Runs with the same lock run one after another, to save work and to give the
same lists as in a quiet house. No result depends on it: pointers move by compare-and-swap.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from enum import StrEnum

import dagster as dg

LOCK_TAG = "churn/lock"


class LockKind(StrEnum):
    """What runs of one dataset wait for: runs of the same kind. A run never waits for another kind."""

    RETRAIN = "retrain"  # moves the training pointers or the champion
    SCORE = "score"  # makes retention lists
    EXPLORE = "explore"
    COMPARE = "compare"
    ENDPOINT = "endpoint"


def lock_name(dataset: str, kind: LockKind) -> str:
    """Return the value of LOCK_TAG for one kind of run of a dataset."""
    return f"{dataset}/{kind}"


def locks_of(run: dg.DagsterRun) -> Sequence[str]:
    """Return the locks that a run needs, in the order in which to take them.

    A run that declares none, such as assets materialized by hand, needs the locks of all that changes what others read.
    """
    if LOCK_TAG in run.tags:
        return [run.tags[LOCK_TAG]]
    datasets = sorted({key.path[0] for key in run.asset_selection or ()})
    return [lock_name(dataset, kind) for dataset in datasets for kind in (LockKind.RETRAIN, LockKind.SCORE)]


class RunLocks(dg.ConfigurableResource, ABC):
    """Holds a run's locks while the run executes, for every asset that requires this resource."""

    @abstractmethod
    def job_tags(self) -> Mapping[str, str]:
        """Return the tags of this installation's jobs if each of their runs is executed by one process, which claims the run as it begins.

        Only runs with these tags count as abandoned if nobody claims them.
        """

    @abstractmethod
    def run_tags(self, run_id: str) -> Mapping[str, str]:
        """Return the tags that show which process executes a run, for a run that this process is about to start."""

    @abstractmethod
    def fail_abandoned(
        self, instance: dg.DagsterInstance, *, unclaimed_after: timedelta | None = None
    ) -> Sequence[str]:
        """Mark unfinished runs as failed if the process that executed them is gone. Return their ids.

        Only runs of this installation are touched: never those of another code location, another machine or another copy of this project, nor
        those whose steps have processes of their own. With `unclaimed_after` this includes runs with our `job_tags` that were launched so long
        ago and that no process has begun.
        """

    @abstractmethod
    def was_abandoned(self, run: dg.DagsterRun) -> bool:
        """Return whether `fail_abandoned` ended this run."""

    @abstractmethod
    def hold_all(self, dataset: str, warn: Callable[[str], object]) -> AbstractContextManager[None]:
        """Hold every lock of a dataset, so that no run of it executes meanwhile. Wait for those that do; `warn` gets each lock that is waited for."""
