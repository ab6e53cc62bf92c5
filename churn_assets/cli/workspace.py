"""The working folder: made on first use, with a Dagster home inside that needs nothing but this machine."""

import logging
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from pathlib import Path

import dagster as dg
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from churn_model.errors import problem
from resources.catalog.layout import require_layout
from resources.durable import make_folders, replace_file
from resources.errors import SettingsError
from resources.file_locks import hold
from resources.os_errors import explain_os_error
from resources.settings import Settings
from resources.wiring import wire

_LOG = logging.getLogger(__name__)
# From its launch until a process claims it, a run takes seconds.
_UNCLAIMED = timedelta(minutes=10)
_DAGSTER_YAML = """\
# Written once by `churn`; change it as you like. Runs, events and schedules are SQLite files beside this one.
telemetry:
  enabled: false
# No invitation over the first page.
nux:
  enabled: false
# A laptop has few cores: more runs than this wait in a queue. So does a run for one with the same lock, without taking a slot meanwhile.
concurrency:
  runs:
    max_concurrent_runs: 2
    tag_concurrency_limits:
      - key: churn/lock
        value:
          applyLimitPerUniqueValue: true
        limit: 1
retention:
  schedule:
    purge_after_days: 90
  sensor:
    purge_after_days:
      skipped: 7
      failure: 30
      success: -1
"""


def prepare(settings: Settings) -> None:
    """Make the folders and Dagster's own settings where they are missing. Raises SettingsError where there can be no such folder."""
    try:
        _make(settings)
        require_layout(wire(settings).lake)
    except OSError as error:
        if explain_os_error(error):
            raise  # a full disk and the like: the settings are right
        found = error.strerror or str(error)
        todo = "set CHURN_HOME to a folder that can be made"
        raise SettingsError(
            problem(expected=f"to make the working folder {settings.home}", found=found, todo=todo)
        ) from error


def _make(settings: Settings) -> None:
    make_folders(settings.home if settings.aws else settings.lake)
    _close(settings.home)
    if not settings.owns_dagster_home:
        return
    make_folders(settings.dagster_home)
    config = settings.dagster_home / "dagster.yaml"
    if not config.exists():
        replace_file(config, lambda stream: stream.write(_DAGSTER_YAML.encode()))


def _close(home: Path) -> None:
    """Close a working folder to other users, with all that is in it. Warn if it is another user's."""
    mode = stat.S_IMODE(home.stat().st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO) == 0:
        return
    try:
        home.chmod(mode & stat.S_IRWXU)
    except PermissionError:
        expected, found = f"{home} to be closed to other users", f"mode {mode:04o}, and that it is another user's"
        _LOG.warning(problem(expected=expected, found=found, todo=f"let its owner run `chmod 700 {home}`"))


def environment(settings: Settings) -> dict[str, str]:
    """Return what Dagster's own processes need to find the same home."""
    return {
        "DAGSTER_HOME": str(settings.dagster_home),
        "CHURN_HOME": str(settings.home),
        "CHURN_DATASETS": str(settings.datasets),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """Dagster's instance of this home; runs whose process is gone are marked failed first, so that none waits for them."""
    prepare(settings)
    os.environ.update(environment(settings))
    # Dagster makes its databases when they are first looked at, and two processes that make them at once leave them broken.
    with hold(settings.dagster_home / ".making.lock"):
        instance = _read_instance(settings.dagster_home)
        _ = instance.run_storage, instance.event_log_storage, instance.schedule_storage
        wire(settings).run_locks.fail_abandoned(instance, unclaimed_after=_UNCLAIMED)
    return instance


@contextmanager
def keep_event_log_open(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Hold a connection to the event logs of a run that has yet to begin, where they are SQLite's. They are on the disk when the run has ended.

    Dagster opens a connection for each event and closes it. Whenever the last one closes, SQLite writes its journal into the database and
    synchronises both; and the first commit of each connection synchronises the journal and its folder. Both take longer than the event, and
    neither is done here: a process that is killed loses no event, and a power cut may take the last events of the run that it ends.
    """
    with ExitStack() as stack:
        storage = instance.event_log_storage
        if isinstance(storage, SqliteEventLogStorage):
            for shard in (INDEX_SHARD_NAME, run_id):
                held = stack.enter_context(closing(sqlite3.connect(storage.path_for_shard(shard), timeout=30)))
                # Dagster's own mode, a little earlier: it makes a run's tables before it asks for it, with a journal for each of them.
                held.execute("PRAGMA journal_mode=WAL").fetchall()
                held.execute("PRAGMA schema_version").fetchall()  # the first read opens the journal
            event.listen(Engine, "connect", _leave_commits_to_the_journal)
            stack.callback(event.remove, Engine, "connect", _leave_commits_to_the_journal)
        yield


def _leave_commits_to_the_journal(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    """Have SQLite synchronise only when it writes its journal into the database, which keeps a database in WAL mode whole."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous=NORMAL")


def _read_instance(home: Path) -> dg.DagsterInstance:
    """Return Dagster's instance, which leaves this process's output where it is. Raise SettingsError if its settings cannot be used.

    By default Dagster points stdout and stderr of a run at files, and starts four processes to copy them back: no terminal is seen as one, and
    each of the four has its say when a person presses Ctrl-C. The daemon's runs keep such files, and each step its log.
    """
    try:
        ref = InstanceRef.from_dir(str(home))
        if ref.compute_logs_data.class_name == LocalComputeLogManager.__name__:
            none = ConfigurableClassData(NoOpComputeLogManager.__module__, NoOpComputeLogManager.__name__, "{}")
            ref = ref._replace(compute_logs_data=none)
        return dg.DagsterInstance.from_ref(ref)
    except Exception as error:  # Dagster's own, PyYAML's, or what a value of another type leads to
        if explain_os_error(error):
            raise
        first = str(error).strip().partition("\n")[0][:200]
        raise SettingsError(
            problem(
                expected=f"settings of Dagster in {home / 'dagster.yaml'}",
                found=f"{type(error).__name__}: {first}",
                todo="correct the file, or remove it: the next command writes one, if the folder is in CHURN_HOME",
            )
        ) from error
