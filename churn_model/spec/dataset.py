"""The shape of a spec (`datasets/<name>.yaml`): its keys and its sections, which are in `sections`.

A spec travels to every step as JSON.
"""

import json
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

from churn_model.errors import SpecError
from churn_model.records import from_plain, to_plain
from churn_model.spec.column_names import name_key
from churn_model.spec.sections.base import DURATION_SCHEMA, FORBID_UNKNOWN, about
from churn_model.spec.sections.costs import Costs
from churn_model.spec.sections.endpoint import Endpoint
from churn_model.spec.sections.file_format import FileFormat
from churn_model.spec.sections.gate import Gate
from churn_model.spec.sections.label import Label
from churn_model.spec.sections.retention_list import RetentionList
from churn_model.spec.sections.schedule import Schedule
from churn_model.spec.sections.scoring import Scoring
from churn_model.spec.sections.search import Search
from churn_model.spec.sections.source import Source
from churn_model.spec.sections.split import Split
from churn_model.spec.sections.watch import Watch

Kind: TypeAlias = str
"""The type of a column as a spec writes it: the name of one of the column types."""
NO_ID = "none"
"""What `id` says, in any case, if each row is a customer of its own."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One table of customers, as its spec describes it. Column names are the user's own; they are matched without regard to case."""

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN
    name: str = field(metadata=about("The file's name: [a-z][a-z0-9]{1,11}."))
    label: Label = field(metadata=about("What is predicted."))
    id: str | None = field(
        default=None,
        metadata=about(
            "The column that names a customer, kept as landed; its rows are never divided between splits. "
            "`none`: each row is a customer of its own. Nothing is promoted without one or the other."
        ),
    )
    as_of: str | None = field(
        default=None,
        metadata=about("The snapshot's date, where a customer has several rows. The row key is then (id, as_of)."),
    )
    horizon: str = field(default="30d", metadata=about("How far after as_of the label looks.", **DURATION_SCHEMA))
    ignore: tuple[str, ...] = field(default=(), metadata=about("Columns that are never a feature."))
    known: tuple[str, ...] = field(default=(), metadata=about("Suspected leaks that you vouch for."))
    types: dict[str, Kind] = field(
        default_factory=dict,
        metadata=about(
            "number, category or date, if inference is wrong; a date may have a format, such as `date %d.%m.%Y`, and so may a "
            "number, such as `number 1.234,5 €`; in a `category any case` "
            "upper and lower case are one value."
        ),
    )
    derived: dict[str, str] = field(
        default_factory=dict, metadata=about('New columns as expressions over others: "`Day Charge` + `Eve Charge`".')
    )
    groups: dict[str, tuple[str, ...]] = field(
        default_factory=dict, metadata=about("Columns that count as one reason.")
    )
    words: dict[str, str] = field(
        default_factory=dict, metadata=about('How a column reads in a reason: "{value} calls to customer service".')
    )
    split: Split = field(default_factory=Split, metadata=about("Train, validation, test."))
    costs: Costs = field(default_factory=Costs, metadata=about("What a mistake costs."))
    list: RetentionList = field(default_factory=RetentionList, metadata=about("Whom to contact, at most."))
    search: Search = field(default_factory=Search, metadata=about("How the model is tuned."))
    scoring: Scoring = field(default_factory=Scoring, metadata=about("How a batch is scored on AWS."))
    endpoint: Endpoint | None = field(
        default=None, metadata=about("On AWS: how the champion answers on a SageMaker endpoint. None: there is none.")
    )
    gate: Gate = field(default_factory=Gate, metadata=about("When a candidate replaces the champion."))
    schedule: Schedule = field(default_factory=Schedule, metadata=about("When it is retrained."))
    watch: Watch = field(default_factory=Watch, metadata=about("How landed batches are noticed."))
    source: Source = field(default_factory=Source, metadata=about("Where training rows come from."))

    format: FileFormat = field(default_factory=FileFormat, metadata=about("How landed text files are written."))

    @property
    def id_column(self) -> str | None:
        """The column that names a customer; None if each row is a customer of its own, or if the spec does not say."""
        return None if self.id is None or self.id.strip().lower() == NO_ID else self.id

    @property
    def as_of_format(self) -> str:
        """How the snapshot's date is written, as in `strptime`: what `types` says of its column, else ISO."""
        kinds = {name_key(name): kind for name, kind in self.types.items()}
        return kinds.get(name_key(self.as_of or ""), "").removeprefix("date").strip() or "%Y-%m-%d"

    @property
    def not_features(self) -> frozenset[str]:
        """Lower-case names of the columns that are never a feature: id, date, label, split, opt-out, and what the spec ignores."""
        named = (self.id_column, self.as_of, self.label.column, self.split.column, self.list.opt_out, *self.ignore)
        return frozenset(name_key(name) for name in named if name)

    def to_json(self) -> str:
        """Return the same text for the same dataset, whatever the order in its YAML."""
        return json.dumps(to_plain(self), sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Dataset":
        """Return the dataset that `to_json` wrote. Raise SpecError for any other text."""
        try:
            return from_plain(cls, json.loads(text))
        except ValueError as error:
            raise SpecError(
                f"Expected a resolved dataset as JSON; found something else ({error}). Write it with Dataset.to_json"
            ) from error
