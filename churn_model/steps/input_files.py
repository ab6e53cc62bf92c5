"""The files of an input, read only as what they were when the run looked at them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from churn_model.errors import InputError, listed, problem
from churn_model.steps.contract import Layout, digest_file

_AGAIN = "run the job again once all files are complete"


@contextmanager
def unchanged_files(layout: Layout, name: str) -> Iterator[list[tuple[str, Path]]]:
    """Yield the files of an input with their names below it, in the order of their names.

    At the end, raise InputError with every file that was replaced, changed, moved or removed meanwhile, or whose content is not that of which
    the request holds the size and the digest: the version was computed from it.
    """
    expected = layout.request.get("contents", {})
    folder = layout.required(name)
    files = layout.files(name)
    keys = sorted({*expected, *(key for key, _ in files)}, key=str.encode)
    before = {key: _identify(folder / key) for key in keys}
    try:
        yield files
    except Exception as error:
        # A file that is half there is usually no good file either: what happened to it comes first.
        _require_unchanged(folder, before, expected, error)
        raise
    _require_unchanged(folder, before, expected)


def _require_unchanged(
    folder: Path,
    before: dict[str, tuple[int, ...] | None],
    expected: dict[str, str],
    cause: Exception | None = None,
) -> None:
    changed = [
        problem(expected=f"{key} to stay as it is while it is read", found=found, todo=_AGAIN)
        for key, state in before.items()
        if (found := _describe_change(folder / key, state, expected.get(key)))
    ]
    if changed:
        raise InputError(listed(changed)) from cause


def _describe_change(path: Path, before: tuple[int, ...] | None, content: str | None) -> str:
    now = _identify(path)
    if before is None or now is None:
        return "that it was moved or removed"
    if now != before or (content is not None and _content(path) != content):
        return "that it was changed or replaced"
    return ""


def _identify(path: Path) -> tuple[int, ...] | None:
    """Return what differs after a file was written, renamed or replaced, even if its content is the same again; None if it is not there."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


def _content(path: Path) -> str:
    """Return the size and the digest of a file, as the version names them."""
    return f"{path.stat().st_size}:{digest_file(path)}"
