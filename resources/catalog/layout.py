"""The layout of the lake has a number, kept in the lake. A lake of another layout is refused before anything is read from it or written to it."""

import json

from churn_model.errors import problem
from churn_model.records import from_plain
from resources.catalog.integrity import describe_content
from resources.catalog.names import LAYOUT_KEY
from resources.catalog.pointers import read_pointer
from resources.errors import DamagedError, LakeError, SwapConflict
from resources.ports.lake import Lake

LAYOUT = 2
_LANDING = "landing/"
_TODO = (
    "set CHURN_HOME to a new folder, copy the files of landing/ into its lake/landing/, and run `churn retrain` again"
)


def require_layout(lake: Lake) -> None:
    """Write the layout's number into a lake that holds landed files at most. Raise LakeError if the lake has another layout."""
    data = read_pointer(lake, LAYOUT_KEY)
    if data is None and not _holds_published(lake):
        data = json.dumps({"layout": LAYOUT}).encode()
        try:
            lake.swap(LAYOUT_KEY, None, data)
        except SwapConflict:  # another process was first
            data = read_pointer(lake, LAYOUT_KEY)
    found = 1 if data is None else _read_number(lake, data)  # the first layout had no number
    if found != LAYOUT:
        raise LakeError(
            problem(expected=f"a lake of layout {LAYOUT} at {lake.uri('')}", found=f"layout {found}", todo=_TODO)
        )


def _read_number(lake: Lake, data: bytes) -> int:
    try:
        return from_plain(dict[str, int], json.loads(data))["layout"]
    except (ValueError, KeyError, RecursionError) as error:
        raise DamagedError(
            problem(
                expected=f"the layout's number in {lake.uri(LAYOUT_KEY)}",
                found=describe_content(data, error),
                todo=f'write {{"layout": {LAYOUT}}} into it if this version of the code wrote the lake, or restore it from a copy',
            )
        ) from error


def _holds_published(lake: Lake) -> bool:
    """Return whether anything is in the lake besides what landed."""
    first = lake.list("", limit=1)
    if first and not first[0].key.startswith(_LANDING):
        return True
    return bool(lake.list("", after=f"{_LANDING}\U0010ffff", limit=1))
