"""The JSON Schema of a spec, for editors: `python -m resources.specs.json_schema` writes docs/dataset.schema.json."""

import json
from pathlib import Path

from pydantic import TypeAdapter

from churn_model.column_types.registry import column_types
from churn_model.spec.dataset import Dataset
from resources.settings import PROJECT

SCHEMA_FILE = Path("docs") / "dataset.schema.json"


def schema_json() -> str:
    """Return the text of docs/dataset.schema.json."""
    schema = TypeAdapter(Dataset).json_schema()
    del schema["properties"]["name"]
    schema["required"].remove("name")
    patterns = "|".join(one.pattern for one in reversed(column_types()))
    schema["properties"]["types"]["additionalProperties"]["pattern"] = f"^({patterns})$"
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A dataset's spec"}
    return (
        json.dumps(
            head
            | {
                "description": "datasets/<name>.yaml",
                **{k: v for k, v in schema.items() if k not in ("title", "description")},
            },
            indent=2,
        )
        + "\n"
    )


if __name__ == "__main__":
    (PROJECT / SCHEMA_FILE).write_text(schema_json(), "utf-8")
