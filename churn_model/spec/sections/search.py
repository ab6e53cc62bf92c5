"""The section `search`: how the model is tuned."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from churn_model.spec.sections.base import FORBID_UNKNOWN, about, require, require_durations

Family = Literal["boosted_trees", "random_forest", "linear"]
Metric = Literal["log_loss", "auc", "brier", "cost", "f1"]
Engine = Literal["job", "tuner"]


@dataclass(frozen=True, kw_only=True)
class Search:
    """How the model is tuned."""

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN
    families: tuple[Family, ...] = field(default=("boosted_trees",), metadata=about("Model families to try."))
    metric: Metric = field(default="log_loss", metadata=about("What the leaderboard is ordered by, on validation."))
    trials: int = field(default=20, metadata=about("Trials, shared by the families."))
    parallel: int = field(
        default=2, metadata=about("Trials asked for at once. Part of what makes a search repeatable.")
    )
    time: str | None = field(
        default=None,
        metadata=about(
            "No trial but the first of each family is begun after this long, such as 10m. The same model on another machine is then not promised.",
        ),
    )
    engine: Engine = field(
        default="job",
        metadata=about(
            "job: one job runs all trials. tuner: on AWS, SageMaker's tuner runs each trial as a training job of its own; elsewhere as job.",
        ),
    )

    def __post_init__(self) -> None:
        families = "write for example families: [boosted_trees]"
        require_durations(**({"time": self.time} if self.time else {}))
        repeated = next((name for name in self.families if self.families.count(name) > 1), "")
        require(
            (bool(self.families), "families", "at least one family", "none", families),
            (not repeated, "families", "each family once", f"{repeated} twice", families),
            (1 <= self.trials <= 1000, "trials", "1 to 1000", str(self.trials), "write for example 20"),
            (1 <= self.parallel <= 64, "parallel", "1 to 64", str(self.parallel), "write for example 2"),
            (
                self.engine == "job" or self.time is None,
                "time",
                "none with engine: tuner, whose jobs it cannot bound",
                str(self.time),
                "remove it and limit the trials, or write engine: job",
            ),
        )
