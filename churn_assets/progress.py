"""What a person at a terminal sees of a run: an asset a line, with what it holds and how long it took."""

import logging
import time
from typing import Any

import dagster as dg
from rich.console import Console
from rich.status import Status

_COUNTS = ("rows", "quarantined", "records", "train", "validation", "test", "trials", "contacted", "listed")


class Progress(logging.Handler):
    """Follows a run through Dagster's own log. With a terminal a line moves while an asset is worked at; without one, plain lines."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._began = 0.0
        self._status: Status | None = None
        self._said: dict[str, Any] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Show what an event of the run changes on the screen."""
        event = _event(record)
        if event is None:
            if record.levelno == logging.WARNING and (said := _own_words(record)):
                self._console.print(f"  {said}", highlight=False, markup=False)
            return
        if event.event_type is dg.DagsterEventType.STEP_START:
            self._starts(event)
        elif event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION:
            metadata = event.materialization.metadata
            self._said = {name: value.value for name, value in metadata.items() if isinstance(value.value, str | int | float | bool)}
        elif event.event_type in (dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.STEP_FAILURE):
            self._ends(event, well=event.event_type is dg.DagsterEventType.STEP_SUCCESS)

    def _starts(self, event: dg.DagsterEvent) -> None:
        self._began = time.monotonic()
        self._said = {}
        if self._console.is_terminal:
            self._status = self._console.status(f"{_name(event)} ...")
            self._status.start()

    def _ends(self, event: dg.DagsterEvent, *, well: bool) -> None:
        if self._status:
            self._status.stop()
            self._status = None
        seconds = time.monotonic() - self._began
        state = "failed" if not well else "unchanged" if self._said.get("reused") else "made"
        counts = ", ".join(f"{self._said[name]:,} {name}" for name in _COUNTS if name in self._said)
        self._console.print(f"  {_name(event):<22}{state:<10}{seconds:6.1f} s  {counts}", highlight=False, markup=False)


def _event(record: logging.LogRecord) -> dg.DagsterEvent | None:
    meta = getattr(record, "dagster_meta", None)
    event = meta.get("dagster_event") if isinstance(meta, dict) else None
    return event if isinstance(event, dg.DagsterEvent) else None


def _own_words(record: logging.LogRecord) -> str:
    meta = getattr(record, "dagster_meta", None)
    return str(meta.get("orig_message") or "") if isinstance(meta, dict) else ""


def _name(event: dg.DagsterEvent) -> str:
    return (event.node_name or "").rpartition("__")[2]


@dg.logger(dict, description="An asset a line, for the command line.")
def progress_logger(context: dg.InitLoggerContext) -> logging.Logger:
    """The logger that `churn` asks for in place of Dagster's console logger."""
    logger = logging.Logger("churn", logging.DEBUG)
    logger.addHandler(Progress(Console(soft_wrap=True)))
    return logger
