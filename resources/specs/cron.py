"""Check the cron line of a schedule."""

import warnings
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

_LONGEST_FIELD = 100
_FIELDS = ("minute", "hour", "day-of-month", "month", "day-of-week")


def cron_problem(text: str) -> str | None:
    """Return what is wrong with a cron line of five fields; None if it is one that fires, and that Dagster takes."""
    fields = text.split()
    if len(fields) != len(_FIELDS):
        return f"{len(fields)} field{'' if len(fields) == 1 else 's'}"
    long = next((value for value in fields if len(value) > _LONGEST_FIELD), None)
    if long:
        return f"a field of {len(long)} characters"
    try:
        _first_run(text)
    except CronSimError as error:
        name = str(error).removeprefix("Bad ")
        value = fields[_FIELDS.index(name)] if name in _FIELDS else text
        return f"{value!r} as the {name}" if not _names_a_day(fields) else f"{text!r}, which never fires"
    return None if _is_taken_by_dagster(text) else f"{text!r}, which Dagster does not take"


def _first_run(text: str) -> None:
    """Compute the first run, which raises CronSimError for a wrong line or one that never fires."""
    next(CronSim(text, datetime(2026, 1, 1, tzinfo=UTC)))


def _names_a_day(fields: list[str]) -> bool:
    """Return whether a refused line is right but for a day that its months do not have."""
    try:
        _first_run(" ".join((*fields[:3], "*", fields[4])))
        _first_run(" ".join((*fields[:2], "*", *fields[3:])))
    except CronSimError:
        return False
    return True


def _is_taken_by_dagster(text: str) -> bool:
    import dagster as dg  # noqa: PLC0415  # takes a second, which a command that reads no schedule need not wait

    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "error", UserWarning
            )  # a step wider than its field would fire more often than it says
            dg.ScheduleDefinition(job_name="retrain", cron_schedule=text)
    except (dg.DagsterInvalidDefinitionError, UserWarning):
        return False
    return True
