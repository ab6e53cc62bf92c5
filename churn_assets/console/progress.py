"""Show the progress of a run in a terminal: one line per asset, with its counts and its duration."""

import logging
import time
from typing import TYPE_CHECKING, Any

import dagster as dg
from rich.console import Console
from rich.status import Status

from churn_assets.console.safe_text import say
from resources.os_errors import explain_os_error_text

if TYPE_CHECKING:
    from dagster_shared.error import SerializableErrorInfo

_COUNTS = ("rows", "quarantined", "records", "train", "validation", "test", "trials", "contacted", "listed")


class Progress(logging.Handler):
    """Follow a run through Dagster's own log. A terminal shows a spinner while an asset is being made; other outputs get plain lines.

    `alone`: nothing else reports which run this is and why it failed, as if the daemon started it.
    """

    def __init__(self, console: Console, *, alone: bool) -> None:
        super().__init__()
        self._console = console
        self._alone = alone
        self._began = 0.0
        self._status: Status | None = None
        self._reported: dict[str, Any] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Print the line, if any, that belongs to an event of the run."""
        event = _event(record)
        if event is None:
            if record.levelno == logging.WARNING and (message := _message(record)):
                self._console.print(f"  {message}", highlight=False, markup=False)
            return
        if event.event_type is dg.DagsterEventType.RUN_START and self._alone:
            self._console.print(f"Running {event.job_name} ...", highlight=False, markup=False)
        elif event.event_type is dg.DagsterEventType.STEP_START:
            self._begin(event)
        elif event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION:
            metadata = event.materialization.metadata
            self._reported = {
                name: value.value
                for name, value in metadata.items()
                if isinstance(value.value, str | int | float | bool)
            }
        elif event.event_type in (dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.STEP_FAILURE):
            self._end(event, succeeded=event.event_type is dg.DagsterEventType.STEP_SUCCESS)

    def _begin(self, event: dg.DagsterEvent) -> None:
        self._began = time.monotonic()
        self._reported = {}
        if self._console.is_terminal:
            self._status = self._console.status(f"{_name(event)} ...")
            self._status.start()

    def _end(self, event: dg.DagsterEvent, *, succeeded: bool) -> None:
        if self._status:
            self._status.stop()
            self._status = None
        seconds = time.monotonic() - self._began
        state = "failed" if not succeeded else "unchanged" if self._reported.get("reused") else "made"
        counts = ", ".join(f"{self._reported[name]:,} {name}" for name in _COUNTS if name in self._reported)
        self._console.print(f"  {_name(event):<22}{state:<10}{seconds:6.1f} s  {counts}", highlight=False, markup=False)
        if not succeeded and self._alone:
            say(self._console, f"    {describe_failure(event)}")


def describe_failure(event: dg.DagsterEvent) -> str:
    """Return why a step failed: the failure's own message, or Dagster's report of an unexpected error."""
    failure = event.step_failure_data
    message = failure.user_failure_data.description if failure.user_failure_data else explain(failure.error)
    return message or f"Unexpected error:\n{failure.error_display_string}"


def explain(error: "SerializableErrorInfo | None") -> str | None:
    """Explain the operating system's error that caused a run's error, or return None if there is none."""
    if error is None:
        return None
    return explain_os_error_text(error.message) or explain(error.cause) or explain(error.context)


def _event(record: logging.LogRecord) -> dg.DagsterEvent | None:
    meta = getattr(record, "dagster_meta", None)
    event = meta.get("dagster_event") if isinstance(meta, dict) else None
    return event if isinstance(event, dg.DagsterEvent) else None


def _message(record: logging.LogRecord) -> str:
    meta = getattr(record, "dagster_meta", None)
    return str(meta.get("orig_message") or "") if isinstance(meta, dict) else ""


def _name(event: dg.DagsterEvent) -> str:
    return (event.node_name or "").rpartition("__")[2]


@dg.logger(
    {"alone": dg.Field(bool, default_value=False)},
    description="One line per asset, for the command line and the daemon's terminal.",
)
def progress_logger(context: dg.InitLoggerContext) -> logging.Logger:
    """Return the logger that our jobs use instead of Dagster's console logger."""
    logger = logging.Logger("churn", logging.DEBUG)
    logger.addHandler(Progress(_Console(soft_wrap=True), alone=context.logger_config["alone"]))
    return logger


class _Console(Console):
    """A console that a run outlives: `churn retrain telco | head` ends what is printed and not what is made."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
