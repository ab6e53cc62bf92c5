"""The registry of file formats: which files can be landed, and how each is opened.

A new format is a module in `churn_model/ingest/formats` and its name in `FORMATS`.
"""

from churn_model.errors import InputError, problem
from churn_model.ingest.formats.base import (
    LAND_AGAIN,
    NO_OPTIONS,
    Format,
    LandedFile,
    Options,
    Part,
    file_errors,
    open_bytes,
)
from churn_model.ingest.formats.csv import CSV
from churn_model.ingest.formats.excel import EXCEL
from churn_model.ingest.formats.json_lines import JSON_LINES
from churn_model.ingest.formats.parquet import PARQUET
from churn_model.spec.dataset import Dataset

FORMATS: tuple[Format, ...] = (CSV, PARQUET, JSON_LINES, EXCEL)
ENDINGS = tuple(ending for format_ in FORMATS for ending in format_.endings)
_HEAD_BYTES = 4096
_OTHERS = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "a zip archive",
    b"\xd0\xcf\x11\xe0": "an old Excel file (.xls), or a workbook with a password",
    b"%PDF": "a PDF document",
    b"<!doctype html": "a web page",
    b"<html": "a web page",
    b"<?xml": "an XML document",
    b"[{": "a JSON document (one array)",
}


def find_format(name: str) -> Format | None:
    """Return the format of a file by the ending of its name; None if it cannot be landed."""
    return next((each for each in FORMATS if name.lower().endswith(each.endings)), None)


def describe_formats() -> str:
    """Return the names of the formats, for help: `CSV, Parquet or Excel`."""
    *names, last = (each.name for each in FORMATS)
    return f"{', '.join(names)} or {last}"


def describe_endings() -> str:
    """Return what the name of a file to land ends with, for messages."""
    return f"a name ending in {', '.join(ENDINGS)}"


def open_part(file: LandedFile, options: Options = NO_OPTIONS) -> Part:
    """Open a file and look through it.

    Raise InputError, naming the file, if it cannot be used as a whole.
    """
    format_ = _format_of(file)
    with file_errors(file, format_.name):
        return format_.open(file, options)


def list_sheets(file: LandedFile) -> tuple[str, ...]:
    """Return the names of the visible sheets of a workbook, none for other formats. Raise InputError if it cannot be read as what its name says."""
    format_ = _format_of(file)
    return format_.list_sheets(file) if format_.list_sheets else ()


def _format_of(file: LandedFile) -> Format:
    """Return the format that a file's name says. Raise InputError if that is none, or if the file is empty or of another kind."""
    format_ = find_format(file.key)
    if format_ is None:
        text = problem(expected=describe_endings(), found="another", todo="rename the file, or move it out")
        raise InputError(f"{file.key}: {text}")
    with file_errors(file, format_.name):
        if file.path.stat().st_size == 0:
            raise InputError(problem(expected="a header and records", found="a file of zero bytes", todo=LAND_AGAIN))
        _require_own_format(file, format_)
    return format_


def file_options(dataset: Dataset) -> Options:
    """Return what a spec says of how files are written."""
    return Options(dataset.source.sheet, dataset.format.encoding, dataset.format.quotes == "backslash")


def _require_own_format(file: LandedFile, named: Format) -> None:
    """Raise InputError if the file is of another kind than its name says."""
    with open_bytes(file) as stream:
        head = stream.read(_HEAD_BYTES)
    if named.recognizes(head):
        return
    found = next((f"{other.name} ({other.endings[0]})" for other in FORMATS if other.recognizes(head)), None)
    text = head.lstrip().lower()
    found = found or next(
        (what for magic, what in _OTHERS.items() if head.startswith(magic) or text.startswith(magic)), None
    )
    zipped = f"{named.endings[0]}.gz"
    if found == "gzip" and zipped in named.endings:
        found = f"gzip ({zipped})"
    if found:
        todo = f"name the file after what it is, or export it as {named.name}"
        raise InputError(problem(expected=named.name, found=found, todo=todo))
