"""The section `scoring`: how a batch is scored on AWS."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from churn_model.spec.sections.base import FORBID_UNKNOWN, about

Engine = Literal["job", "transform"]


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """How a batch is scored on AWS. A laptop scores it in a process either way, and the predictions are the same."""

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN
    engine: Engine = field(
        default="job",
        metadata=about(
            "On AWS: job: one SageMaker processing job. transform: SageMaker Batch Transform, part by part."
        ),
    )
