"""The templates of the pages: everything put into one is escaped, and nothing may be missing."""

import re
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


def readable(name: str) -> str:
    """Return a column's name as words: `tenure_months` is "tenure months", `MonthlyCharges` "Monthly Charges". Whoever shows it must escape it."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", " ", name.replace("_", " "))
    return re.sub(r" +", " ", words).strip() or name


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
    environment.filters["readable"] = readable
    environment.tests["known"] = is_known
    return environment.get_template(name)
