"""The current list and pages under names that stay the same: what people open, and what is served to them.

out/<dataset>/report.html  exploration.html  comparison.html  load_test.html
out/<dataset>/load_test.json                            its figures
out/<dataset>/plots/<name>.png                          those of the report
out/<dataset>/lists/<batch>.csv  <batch>.html       whom to contact, and the summary of the batch
out/<dataset>/shadows/<batch>.csv                       whom two models decide otherwise

Each is replaced as a whole. All but those of a load test are copies of what the lake's pointers name, made after the pointer has moved.
"""

from enum import StrEnum

from resources.ports.lake import Lake
from resources.ports.outputs import Outputs


class Output(StrEnum):
    """What is laid out for people, by the name of its file; `list`, `summary` and `shadow` are of one batch, `plot` has a name."""

    REPORT = "report.html"
    EXPLORATION = "exploration.html"
    COMPARISON = "comparison.html"
    LOAD_TEST = "load_test.html"
    LOAD_FIGURES = "load_test.json"
    PLOT = "plots/{part}.png"
    LIST = "lists/{part}.csv"
    SUMMARY = "lists/{part}.html"
    SHADOW = "shadows/{part}.csv"


def output_key(dataset: str, output: Output, part: str = "") -> str:
    """Return the name of a file below the folder of outputs. `part` is the batch of a list, a summary or a shadow, or a plot's name."""
    return f"{dataset}/{output.format(part=part)}"


def copy_to_outputs(lake: Lake, outputs: Outputs, key: str, output: str) -> None:
    """Make a published object of the lake the current file `output`, a name that `output_key` returned."""
    with lake.open(key) as content:
        outputs.replace(output, content)
