"""The page to try the model: a form made from its fields, one script, nothing from the network."""

import asyncio
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, JSONResponse
from starlette.responses import Response as HttpResponse
from starlette.routing import BaseRoute, Route

from churn_assets.model_server.champion import ServedModel
from churn_assets.model_server.customers import example_customer, find_customer, list_batches, usual_number
from churn_assets.model_server.options import ServerOptions
from churn_assets.model_server.reading import not_ready, read_body, to_http
from churn_assets.model_server.sentences import LOOKED_AT, NO_BATCH, NO_CUSTOMER
from churn_model.column_types.category import CATEGORY
from churn_model.column_types.date import DATE
from churn_model.column_types.number import NUMBER, Number
from churn_model.column_types.number_format import AS_IS, PERCENT, SEPARATORS
from churn_model.column_types.registry import column_type
from churn_model.serving.answers import describe_problems, dump_json, to_json_object
from churn_model.serving.explanation import explain
from churn_model.serving.fields import Field, RefusedRow, Role
from churn_model.serving.openapi import features_of
from churn_model.serving.plan import Plan
from churn_model.serving.protocol import refuse
from churn_model.serving.requests import BadRequest, decode_object
from churn_model.wording import number_text
from resources.ports.lake import Lake

_HERE = Path(__file__).parent
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
_STATIC = {"page.js": "text/javascript; charset=utf-8", "page.css": "text/css; charset=utf-8"}
_SLIDER_STEPS = 100


def page_routes(model: ServedModel, lake: Lake, options: ServerOptions) -> list[BaseRoute]:
    """Return the routes of the page."""
    pages = Pages(model, lake, options)
    return [
        Route("/", pages.page),
        Route("/page/{name}", pages.static),
        Route("/page-data/example", pages.example),
        Route("/page-data/customer", pages.customer),
        Route("/page-data/explain", pages.explain, methods=["POST"]),
    ]


class Pages:
    """The endpoints of the page."""

    def __init__(self, model: ServedModel, lake: Lake, options: ServerOptions) -> None:
        self.model = model
        self.lake = lake
        self.options = options

    async def page(self, _: HttpRequest) -> HttpResponse:
        """Return the page."""
        plan = self.model.plan
        if plan is None:
            return to_http(not_ready())
        batches = await asyncio.to_thread(list_batches, self.lake, plan.dataset.name)
        text = _template("page.html.j2").render(
            dataset=plan.dataset,
            plan=plan,
            fields=[describe_input(plan, field) for field in plan.fields],
            batches=batches if plan.dataset.id_column else [],
            values=example_customer(plan),
            looked_at=LOOKED_AT,
        )
        return HTMLResponse(text, headers=_HEADERS)

    async def static(self, http: HttpRequest) -> HttpResponse:
        """Return the script or the style sheet."""
        name = http.path_params["name"]
        if name not in _STATIC:
            return JSONResponse({"error": "No such file.", "errors": []}, 404)
        return HttpResponse((_HERE / "static" / name).read_bytes(), headers={**_HEADERS, "content-type": _STATIC[name]})

    async def example(self, _: HttpRequest) -> HttpResponse:
        """Return the values that are most usual in training."""
        plan = self.model.plan
        return JSONResponse(example_customer(plan), headers=_HEADERS) if plan else to_http(not_ready())

    async def customer(self, http: HttpRequest) -> HttpResponse:
        """Return a customer of a batch, and of the batch before it."""
        plan = self.model.plan
        if plan is None:
            return to_http(not_ready())
        batch, key = http.query_params.get("batch", ""), http.query_params.get("id", "").strip()
        batches = await asyncio.to_thread(list_batches, self.lake, plan.dataset.name)
        if batch not in batches:
            return JSONResponse({"error": NO_BATCH, "errors": []}, 404, _HEADERS)
        found = await asyncio.to_thread(find_customer, self.lake, plan, batch, key)
        if found is None:
            return JSONResponse({"error": NO_CUSTOMER, "errors": []}, 404, _HEADERS)
        earlier = next((name for name in batches if name < batch), None)
        before = await asyncio.to_thread(find_customer, self.lake, plan, earlier, key) if earlier else None
        return JSONResponse(
            {"customer": found, "earlier_batch": earlier if before else None, "before": before}, headers=_HEADERS
        )

    async def explain(self, http: HttpRequest) -> HttpResponse:
        """Answer about one customer, with what each reason adds."""
        plan = self.model.plan
        if plan is None:
            return to_http(not_ready())
        try:
            record = decode_object(await read_body(http, self.options))
            found = explain(plan, record)
        except BadRequest as bad:
            return to_http(refuse(bad))
        except RefusedRow as refused:
            errors = describe_problems(1, refused.problems)
            return HttpResponse(
                dump_json({"error": "The model cannot answer.", "errors": errors}), 422, _json_headers()
            )
        body = {
            **to_json_object(found.answer),
            "base": found.base,
            "parts": [part._asdict() for part in found.parts],
            "model_version": plan.version,
        }
        return HttpResponse(dump_json(body), 200, _json_headers())


def _json_headers() -> dict[str, str]:
    return {**_HEADERS, "content-type": "application/json"}


def describe_input(plan: Plan, field: Field) -> dict[str, Any]:
    """Return how a field is asked for: `choice`, `number`, `date` or `text`, with what training saw of it."""
    features = features_of(plan, field)
    feature = features[0] if features else None
    kind = column_type(field.kind).name
    described: dict[str, Any] = {
        "name": field.name,
        "type": "text",
        "choices": (),
        "low": None,
        "high": None,
        "step": None,
    }
    if field.role is Role.ID:
        return {**described, "note": "comes back with the answer"}
    if kind == CATEGORY.name and feature is not None:
        return {**described, "type": "choice", "choices": feature.levels, "note": ""}
    if kind == DATE.name:
        return {**described, "type": "date" if field.kind == DATE.name else "text", "note": ""}
    if kind == NUMBER.name and feature is not None and feature.high > feature.low:
        step = (feature.high - feature.low) / _SLIDER_STEPS
        whole = feature.median == round(feature.median) and feature.high - feature.low >= 2
        low, high, step = (round(feature.low), round(feature.high), 1) if whole else (feature.low, feature.high, step)
        return {
            **described,
            "type": "number",
            "low": low,
            "high": high,
            "step": step,
            "usual": usual_number(feature),
            **_marks(field),
            "note": f"mostly {number_text(feature.low)} to {number_text(feature.high)}",
        }
    return {**described, "note": "what the customer is worth; it decides" if field.is_worth else ""}


def _marks(field: Field) -> dict[str, Any]:
    """Return how a number stands in the form: as in landed files, so that it is read there as here."""
    form = field.column.form if isinstance(field.column, Number) else AS_IS
    thousands, decimal = SEPARATORS[form.example]
    is_share = form.mark == PERCENT
    return {
        "thousands": thousands,
        "decimal": decimal,
        "scale": 100 if is_share else 1,
        "mark": f" {PERCENT}" if is_share else "",
    }


@cache
def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
