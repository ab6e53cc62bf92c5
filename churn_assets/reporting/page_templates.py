"""The templates of the pages: everything put into one is escaped, and nothing may be missing."""

from functools import cache
from pathlib import Path

import jinja2

from churn_model import wording
from churn_model.wording import is_known

_TEMPLATES = Path(__file__).parent / "templates"
_FILTERS = (
    "assumption",
    "count",
    "counted",
    "cutoff",
    "decimal",
    "decimal_range",
    "one_line",
    "percent",
    "percent_range",
    "sentence",
    "usd",
    "usd_range",
)


@cache
def template(name: str) -> jinja2.Template:
    """Return a page of `templates/`: everything put into it is escaped, and nothing may be missing."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {name: getattr(wording, name) for name in _FILTERS}
    environment.tests["known"] = is_known
    return environment.get_template(name)
