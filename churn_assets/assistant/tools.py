"""The tools that an assistant is offered, and a call of one: arguments in, a JSON object or what is wrong out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from churn_assets.assistant.customers import ask_what_if, explain_customer
from churn_assets.assistant.desk import Desk
from churn_assets.assistant.lists import FURTHEST, MOST_LISTED, report_earnings, show_batches, show_list
from churn_assets.assistant.quoting import LONGEST_SENTENCE, NOTE, quote
from churn_assets.assistant.trust import describe_trust
from churn_assets.model_server.faults import log_fault
from churn_model.errors import ChurnError, problem
from churn_model.serving.fields import RefusedRow
from resources.os_errors import explain_os_error

INSTRUCTIONS = (
    "Answers about a churn model and its scored batches. Nothing here changes anything. "
    f"{NOTE} Say what the model says or would say, never 'because': a reason tells what the model looked at, not why a customer leaves. "
    "Name the assumption beside every saving, and the range where there is one."
)
_BATCH = {"batch": {"type": "string", "description": "A batch that list_batches names."}}
_CUSTOMER = {**_BATCH, "id": {"type": "string", "description": "The id of a customer of that batch."}}


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A question that may be asked. `properties`: the JSON Schemas of its arguments."""

    name: str
    description: str
    run: Callable[[Desk, Mapping[str, Any]], dict[str, Any]]
    properties: Mapping[str, Any] = field(default_factory=dict)
    required: tuple[str, ...] = ()

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the arguments."""
        return {
            "type": "object",
            "properties": dict(self.properties),
            "required": list(self.required),
            "additionalProperties": False,
        }


@dataclass(frozen=True)
class Reply:
    """What a call gives: an object, or an error in words."""

    body: dict[str, Any] | None
    error: str = ""


TOOLS = (
    Tool(name="list_batches", description="The batches that were ingested, latest first by name.", run=show_batches),
    Tool(
        name="show_list",
        description="Who is on the list of a batch, best first, and why; what the contacts cost and are expected to save.",
        properties={
            **_BATCH,
            "first": {
                "type": "integer",
                "minimum": 1,
                "maximum": FURTHEST,
                "default": 1,
                "description": "From this rank on.",
            },
            "count": {"type": "integer", "minimum": 1, "maximum": MOST_LISTED, "default": 10},
        },
        required=("batch",),
        run=show_list,
    ),
    Tool(
        name="explain_customer",
        description="What the model says of one customer of a batch, what each reason adds, and what was decided when the batch was scored.",
        properties=_CUSTOMER,
        required=("batch", "id"),
        run=explain_customer,
    ),
    Tool(
        name="ask_what_if",
        description=(
            "What the model would say of one customer of a batch if some values were others: not what would happen. "
            "Values outside of what training saw are named."
        ),
        properties={
            **_CUSTOMER,
            "changes": {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
                "description": "New values by field, as they would land; null if unknown. explain_customer names the fields.",
            },
        },
        required=("batch", "id", "changes"),
        run=ask_what_if,
    ),
    Tool(
        name="report_earnings",
        description="What the lists have earned, as far as it is known: what is expected of them, and under which assumption.",
        run=report_earnings,
    ),
    Tool(
        name="describe_trust",
        description="How far the model can be trusted: the gate's decision and facts, figures with ranges, calibration, failed checks, weak groups.",
        run=describe_trust,
    ),
)


def call_tool(desk: Desk, name: str, arguments: Mapping[str, Any]) -> Reply:
    """Return what a tool answers. What is wrong is said in words that hold no traceback and no path of a bug."""
    try:
        tool = _require_tool(name)
        _require_arguments(tool, arguments)
        return Reply(tool.run(desk, arguments))
    except (ChurnError, RefusedRow) as error:
        return Reply(None, str(quote(str(error), LONGEST_SENTENCE)))
    except Exception as error:
        log_fault(error)
        return Reply(None, explain_os_error(error) or "A fault of this program; its log says where.")


def _require_tool(name: str) -> Tool:
    tool = next((each for each in TOOLS if each.name == name), None)
    if tool is None:
        names = ", ".join(each.name for each in TOOLS)
        raise ChurnError(problem(expected=f"a tool of {names}", found=repr(quote(name)), todo="ask one of these"))
    return tool


def _require_arguments(tool: Tool, arguments: Mapping[str, Any]) -> None:
    """Raise ChurnError for an argument that a tool has not, or lacks; their values are the tool's to read."""
    unknown = [repr(quote(name)) for name in arguments if name not in tool.properties]
    missing = [name for name in tool.required if name not in arguments]
    if unknown or missing:
        names = ", ".join(tool.properties) or "no arguments"
        found = "; ".join([*(f"no {name}" for name in missing), *(f"also {name}" for name in unknown[:3])])
        raise ChurnError(problem(expected=f"{names} of {tool.name}", found=found, todo="correct the call"))
