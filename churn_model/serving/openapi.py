"""The OpenAPI document of a model: its fields with their types, levels and ranges, and what an answer looks like."""

from collections.abc import Mapping
from typing import Any

from churn_model.column_types.category import CATEGORY
from churn_model.column_types.interface import Feature
from churn_model.column_types.number import NUMBER
from churn_model.column_types.registry import column_type
from churn_model.ingest.values import WORTH_LIMIT
from churn_model.serving.fields import Field, Role, landed_text
from churn_model.serving.media import CSV, JSON, JSON_LINES, PARQUET
from churn_model.serving.plan import Plan
from churn_model.spec.column_names import name_key

_MOST_LEVELS = 40
_PROBLEM = {
    "type": "object",
    "required": ["row", "field", "expected", "found", "todo"],
    "properties": {
        "row": {
            "type": ["integer", "null"],
            "description": "The row, counted from 1; null if the whole request is meant.",
        },
        "field": {"type": ["string", "null"]},
        "expected": {"type": "string"},
        "found": {"type": "string"},
        "todo": {"type": "string"},
    },
}
_ERROR = {
    "type": "object",
    "required": ["error", "errors"],
    "properties": {
        "error": {"type": "string"},
        "errors": {"type": "array", "items": {"$ref": "#/components/schemas/Problem"}},
    },
}
_VERSIONS = {
    "model_version": {"type": "string", "description": "What the model was made from."},
    "costs_version": {"type": "string", "description": "A digest of the costs that decided."},
    "ignored": {"type": "array", "items": {"type": "string"}, "description": "Names that no field has."},
}
_ANSWER: Mapping[str, Any] = {
    "id": {"type": ["string", "null"]},
    "as_of": {"type": ["string", "null"], "format": "date"},
    "churn_probability": {"type": "number", "minimum": 0, "maximum": 1, "description": "Calibrated."},
    "will_churn": {"type": "boolean", "description": "Whether contacting is expected to pay at today's costs."},
    "expected_saving": {"type": "number", "description": "Money that a contact is expected to save."},
    "cutoff": {
        "type": ["number", "null"],
        "description": "The probability from which this customer is contacted; null if a contact never pays.",
    },
    "reasons": {
        "type": "array",
        "maxItems": 3,
        "items": {
            "type": "object",
            "required": ["text", "contribution"],
            "properties": {"text": {"type": "string"}, "contribution": {"type": "number", "description": "Log odds."}},
        },
    },
    "unknown": {
        "type": "array",
        "items": {"type": "string"},
        "description": "Fields whose value training did not know; the model takes them for missing.",
    },
}
_STATUSES = {
    "400": "The body cannot be read.",
    "401": "A token is required.",
    "403": "The request comes from another site.",
    "406": "Nothing that Accept names can be sent.",
    "408": "The body did not come in time.",
    "413": "The body, or what it inflates to, is too large.",
    "415": "The body is of another type.",
    "422": "No row can be answered.",
    "503": "The server is starting, or busy.",
}


def describe_service(plan: Plan) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of a plan."""
    schemas = {
        "Customer": describe_customer(plan),
        "Answer": {"type": "object", "required": list(_ANSWER), "properties": {**_ANSWER, **_VERSIONS}},
        "Refusal": {
            "type": "object",
            "required": ["errors"],
            "properties": {"errors": {"type": "array", "items": {"$ref": "#/components/schemas/Problem"}}},
        },
        "Answers": {
            "type": "object",
            "required": ["answers", "model_version", "costs_version"],
            "properties": {
                "answers": {"type": "array", "items": {"oneOf": [_ref("Answer"), _ref("Refusal")]}},
                **_VERSIONS,
            },
        },
        "Problem": _PROBLEM,
        "Error": _ERROR,
    }
    name = plan.dataset.name
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Churn of {name}", "version": plan.version, "description": _describe_label(plan)},
        "paths": {
            "/ping": {
                "get": {"summary": "Whether the model is loaded.", "responses": {"200": {"description": "It is."}}}
            },
            "/execution-parameters": {
                "get": {
                    "summary": "How SageMaker's batch transform may call.",
                    "responses": {"200": {"description": "Limits."}},
                }
            },
            "/invocations": {"post": _describe_invocations(plan)},
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _describe_label(plan: Plan) -> str:
    means = plan.dataset.label.means
    return (
        f"The probability that a customer {means}, whether to contact them at today's costs, and why." if means else ""
    )


def _describe_invocations(plan: Plan) -> dict[str, Any]:
    order = ", ".join(field.name for field in plan.fields)
    inputs = ", ".join(field.name for field in plan.inputs)
    bare = {"type": "string", "description": f"With a header, or without one in the order {order}, or {inputs}."}
    one_or_many = {"oneOf": [_ref("Customer"), {"type": "array", "items": _ref("Customer"), "minItems": 1}]}
    responses: dict[str, Any] = {
        "200": {
            "description": "The answers, in the order of the rows. A refused row among others keeps its place.",
            "headers": {
                "X-Model-Version": {"schema": {"type": "string"}},
                "X-Costs-Version": {"schema": {"type": "string"}},
            },
            "content": {
                JSON: {"schema": {"oneOf": [_ref("Answer"), _ref("Answers")]}},
                JSON_LINES: {"schema": _ref("Answer")},
                CSV: {"schema": {"type": "string"}},
                PARQUET: {"schema": {"type": "string", "format": "binary"}},
            },
        }
    }
    responses |= {
        status: {"description": text, "content": {JSON: {"schema": _ref("Error")}}}
        for status, text in _STATUSES.items()
    }
    return {
        "summary": "Ask the model about one customer or many.",
        "parameters": [
            _parameter("reasons", ["contacted", "all", "none"], "Who gets reasons."),
            _parameter("errors", ["row", "fail"], "Whether a bad row answers with its error, or fails the request."),
        ],
        "requestBody": {
            "required": True,
            "content": {
                JSON: {"schema": one_or_many},
                JSON_LINES: {"schema": _ref("Customer")},
                CSV: {"schema": bare},
                PARQUET: {"schema": {"type": "string", "format": "binary"}},
            },
        },
        "responses": responses,
    }


def _parameter(name: str, values: list[str], text: str) -> dict[str, Any]:
    schema = {"type": "string", "enum": values, "default": values[0]}
    return {"name": name, "in": "query", "required": False, "description": text, "schema": schema}


def describe_customer(plan: Plan) -> dict[str, Any]:
    """Return the JSON Schema of one customer. Values may be sent as they would have landed, as text, or as numbers, true and false."""
    return {
        "type": "object",
        "required": [field.name for field in plan.fields if field.is_required],
        "properties": {field.name: describe_field(plan, field) for field in plan.fields},
    }


def describe_field(plan: Plan, field: Field) -> dict[str, Any]:
    """Return the JSON Schema of a field: its type, what training saw of it, and the examples that an honest customer may have."""
    if field.role is Role.ID:
        return {
            "type": ["string", "number", "null"],
            "description": "The customer's id; it comes back with the answer.",
        }
    features = features_of(plan, field)
    kind = column_type(field.kind)
    what = f"{field.kind}, as in the landed table"
    if field.is_worth:
        what = f"what the customer is worth, which the decision reads; {what}"
    schema: dict[str, Any] = {"type": ["string", "number", "boolean", "null"], "description": what}
    if field.is_worth:
        schema |= {"type": ["string", "number"], "minimum": 0, "maximum": WORTH_LIMIT}
    if field.role is Role.AS_OF:
        schema["type"] = ["string"] if field.is_required else ["string", "null"]
        schema["description"] = f"the day of the snapshot, {plan.dataset.as_of_format}"
    for feature in features:
        if kind.name == CATEGORY.name:
            schema["examples"] = list(feature.levels[:_MOST_LEVELS])
        elif kind.name == NUMBER.name:
            schema["description"] = f"{what}; nine customers of ten have {feature.low:g} to {feature.high:g}"
            if (
                field.parse_value(landed_text(feature.median)).wrong is None
            ):  # in a format of its own it may read otherwise
                schema["examples"] = [feature.median]
    return schema


def features_of(plan: Plan, field: Field) -> list[Feature]:
    """Return the features of the model that are a field's own."""
    return [
        feature
        for feature in plan.bundle.schema.features
        if feature.expression is None and name_key(feature.source) == name_key(field.name)
    ]
