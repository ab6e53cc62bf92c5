"""The layout of the lake has a number, kept in the lake. A lake of another layout is refused before anything is read from it or written to it."""

import json

from churn_model.errors import problem
from resources.catalog.names import LAYOUT_KEY
from resources.catalog.pointers import read_pointer
from resources.errors import LakeError, SwapConflict
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
    found = json.loads(data)["layout"] if data else 1  # the first layout had no number
    if found != LAYOUT:
        raise LakeError(
            problem(expected=f"a lake of layout {LAYOUT} at {lake.uri('')}", found=f"layout {found}", todo=_TODO)
        )


def _holds_published(lake: Lake) -> bool:
    """Return whether anything is in the lake besides what landed."""
    first = lake.list("", limit=1)
    if first and not first[0].key.startswith(_LANDING):
        return True
    return bool(lake.list("", after=f"{_LANDING}\U0010ffff", limit=1))
