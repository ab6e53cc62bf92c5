"""The report of a load test: one page, and its figures as JSON, under names that stay the same."""

import io
import json

from churn_assets.load_test.figures import describe_errors
from churn_assets.load_test.knee import Found
from churn_assets.load_test.run import COLUMNS, LoadTest, describe_figures
from churn_assets.reporting.page_templates import template
from churn_model.records import to_plain
from resources.catalog.outputs import Output, output_key
from resources.ports.outputs import Outputs

_TONES = {Found.KNEE: "good", Found.ALL_HELD: "good", Found.CLOSED_LOOP: "calm"}


def publish_report(outputs: Outputs, test: LoadTest) -> str:
    """Write the page and the figures, and return where the page is."""
    figures = json.dumps(to_plain(test), indent=1).encode()
    for output, content in ((Output.LOAD_FIGURES, figures), (Output.LOAD_TEST, page(test).encode())):
        outputs.replace(output_key(test.dataset, output), io.BytesIO(content))
    return outputs.uri(output_key(test.dataset, Output.LOAD_TEST))


def page(test: LoadTest) -> str:
    """Return the report as HTML: the same text for the same test."""
    rows = [
        (
            describe_figures(each.figures),
            each.outcome,
            "; ".join((*each.exceeded, *each.generator)),
            describe_errors(each.figures.errors) if each.figures.errors else "",
        )
        for each in test.steps
    ]
    tone = _TONES.get(test.verdict.found, "bad")
    return template("load_test.html.j2").render(test=test, columns=COLUMNS, rows=rows, tone=tone)
