"""What a user reads if the disk, the permissions or the memory of the machine do not suffice."""

import pytest

from churn_model.errors import describe_causes
from resources.os_errors import explain_os_error, explain_os_error_text


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            OSError(28, "No space left on device", "/lake/x"),
            "Expected to write /lake/x; found No space left on device. Free some space",
        ),
        (
            OSError(30, "Read-only file system"),
            "Expected to write a file; found Read-only file system. Make it writable",
        ),
        (
            PermissionError(13, "Permission denied", "/lake"),
            "Expected to write /lake; found Permission denied. Make it writable",
        ),
        (OSError(27, "File too large", "/lake/x"), "Expected to write /lake/x; found File too large. Free some space"),
        (
            NotADirectoryError(20, "Not a directory", "/locks/x"),
            "Expected to write /locks/x; found Not a directory. Remove the file",
        ),
        (MemoryError(), "Expected enough memory; found none left"),
        (RuntimeError("wrapped"), None),
        (FileNotFoundError(2, "No such file", "x"), None),
        (ValueError("[red]"), None),
    ],
)
def test_an_error_of_the_system_is_explained_however_it_is_wrapped(error: Exception, words: str | None) -> None:
    outer = RuntimeError("around it")
    outer.__cause__ = error
    for found in (explain_os_error(error), explain_os_error(outer)):
        assert found is None if words is None else (found or "").startswith(words)


def test_an_error_of_sqlite_is_explained() -> None:
    found = explain_os_error_text("OperationalError: (sqlite3.OperationalError) database or disk is full")
    assert found is not None
    assert found.startswith("Expected to read and write Dagster's databases; found database or disk is full")
    assert explain_os_error_text("OperationalError: no such table: runs") is None


@pytest.mark.parametrize("words", ["database disk image is malformed", "file is not a database"])
def test_a_damaged_database_of_dagster_is_explained(words: str) -> None:
    found = explain_os_error_text(f"DatabaseError: (sqlite3.DatabaseError) {words}") or ""
    assert found.startswith(f"Expected to read and write Dagster's databases; found {words}. Restore CHURN_HOME")
    assert "Dagster's record of runs is lost, results are not" in found


def test_the_causes_of_an_error_are_told_apart_line_by_line_and_explained_from_text_alone() -> None:
    error = RuntimeError("around\nit")
    error.__cause__ = MemoryError()
    assert describe_causes(error).splitlines() == ["RuntimeError: around it", "MemoryError:"]
    assert (explain_os_error_text(describe_causes(error)) or "").startswith("Expected enough memory; found none left")


def test_a_folder_of_temporary_files_has_a_setting_of_its_own() -> None:
    text = explain_os_error(PermissionError(13, "Permission denied", "/tmp/ingest-x"))
    assert "set CHURN_HOME, or for temporary files TMPDIR, to another folder" in (text or "")


def test_the_setting_in_question_is_named() -> None:
    text = explain_os_error(PermissionError(13, "Permission denied", "/specs/x"), setting="CHURN_DATASETS")
    assert text is not None
    assert "set CHURN_DATASETS to another folder" in text
