"""How a run reports to the terminal that started it: our lines in place of all of Dagster's events and their stack traces.

The UI has all of them. `churn` asks for its own variant of the same logger.
"""

from typing import Any

IN_PLAIN_LINES: dict[str, Any] = {"loggers": {"progress": {"config": {"alone": True}}}}
"""The default run config of our jobs."""
