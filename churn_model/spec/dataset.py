"""The shape of a spec (`datasets/<name>.yaml`): its sections, their defaults, and the rules that one section can check by itself.

A spec travels to every step as JSON.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

from churn_model.errors import SpecError, listed, problem
from churn_model.records import from_plain, to_plain
from churn_model.spec.column_names import name_key
from churn_model.spec.durations import DURATION, PATTERN, seconds
from churn_model.spec.encodings import ENCODINGS, normal_encoding

_FORBID_UNKNOWN: dict[str, str] = {"extra": "forbid"}

Kind: TypeAlias = str
"""The type of a column as a spec writes it: the name of one of the column types."""
NO_ID = "none"
"""What `id` says, in any case, if each row is a customer of its own."""
Family = Literal["boosted_trees", "random_forest", "linear"]
Metric = Literal["log_loss", "auc", "brier", "cost", "f1"]


# Additions to the JSON Schema of a field, as pydantic reads them: a duration, and values that YAML may take for numbers or booleans.
_DURATION_SCHEMA = {"json_schema_extra": {"pattern": PATTERN}}
_AS_WRITTEN = {"json_schema_extra": {"items": {"type": ["string", "number", "boolean"]}}}


def _about(description: str, **more: Any) -> dict[str, Any]:
    return {"description": description, **more}


class BrokenRule(NamedTuple):
    """A rule that a section breaks: the key it is about, or "" if it is about several, and the parts of its message."""

    key: str
    expected: str
    found: str
    todo: str


class BrokenRules(ValueError):
    """All the rules that a section breaks."""

    def __init__(self, rules: Sequence[BrokenRule]) -> None:
        self.rules = tuple(rules)
        super().__init__(listed([problem(expected=rule.expected, found=rule.found, todo=rule.todo) for rule in rules]))


def _require(*rules: tuple[bool, str, str, str, str]) -> None:
    """Raise BrokenRules if a rule does not hold. A rule: whether it holds, then the parts of a BrokenRule."""
    broken = [BrokenRule(*parts) for holds, *parts in rules if not holds]
    if broken:
        raise BrokenRules(broken)


def _require_durations(**durations: str) -> None:
    broken = []
    for key, text in durations.items():
        try:
            seconds(text)
        except ValueError:
            broken.append(BrokenRule(key, DURATION, repr(text), "write it like 30d, 12h or 60s"))
    if broken:
        raise BrokenRules(broken)


@dataclass(frozen=True, kw_only=True)
class Label:
    """What is predicted."""

    __pydantic_config__: ClassVar[dict[str, str]] = _FORBID_UNKNOWN
    column: str = field(metadata=_about("The column that says who left, in training data only."))
    positive: tuple[str, ...] = field(
        metadata=_about(
            "The values that mean: left. Case, blanks around it and a final dot do not matter.", **_AS_WRITTEN
        )
    )
    negative: tuple[str, ...] = field(
        default=(), metadata=_about("The values that mean: stayed. Without it: no, false, 0, n, f.", **_AS_WRITTEN)
    )
    means: str = field(
        default="left", metadata=_about("What the label means, in words a manager reads: 'cancelled within 30 days'.")
    )

    def __post_init__(self) -> None:
        _require(
            (bool(self.positive), "positive", "at least one value", "none", 'write for example positive: ["Yes"]'),
        )


@dataclass(frozen=True, kw_only=True)
class Split:
    """How rows are divided into train, validation and test."""

    __pydantic_config__: ClassVar[dict[str, str]] = _FORBID_UNKNOWN
    by: Literal["hash", "column", "time"] = field(
        default="hash",
        metadata=_about("hash: by hashed id. column: a column says it. time: by as_of, later rows are tested."),
    )
    column: str | None = field(
        default=None, metadata=_about("With `by: column`: the column that holds train, validation or test.")
    )
    validation: float | None = field(
        default=None, metadata=_about("Share of customers that helps to choose hyperparameters. Left open: 0.2.")
    )
    test: float | None = field(
        default=None,
        metadata=_about(
            "Share of customers that decides promotion and nothing else. Left open: 0.1, more on a table with few leavers."
        ),
    )
    seed: int = field(default=1729, metadata=_about("Another seed is another split."))

    def __post_init__(self) -> None:
        shares = "write shares such as validation: 0.2 and test: 0.1"
        validation, test = self.validation_share, self.test_share
        total = validation + test
        _require(
            (0 < validation < 1, "validation", "a share between 0 and 1", f"{validation:g}", shares),
            (0 < test < 1, "test", "a share between 0 and 1", f"{test:g}", shares),
            (total < 1, "", "validation and test to add up to less than 1", f"{total:g}", shares),
            (
                self.by != "column" or bool(self.column),
                "",
                "a column beside by: column",
                "none",
                "write `column: <name>`, the column that holds train, validation or test",
            ),
            (
                self.by == "column" or not self.column,
                "",
                "a column only beside by: column",
                f"one beside by: {self.by}",
                "write by: column, or remove the column",
            ),
        )

    @property
    def validation_share(self) -> float:
        """The share of customers in validation; 0.2 if it is left open."""
        return 0.2 if self.validation is None else self.validation

    @property
    def test_share(self) -> float:
        """The share of customers in test; 0.1 if it is left open, until `split_shares.choose_shares` has seen the table."""
        return 0.1 if self.test is None else self.test


@dataclass(frozen=True, kw_only=True)
class ValueColumn:
    """A customer's worth, read from a column."""

    __pydantic_config__: ClassVar[dict[str, str]] = _FORBID_UNKNOWN
    column: str = field(metadata=_about("A numeric column: what is lost when this customer leaves."))


@dataclass(frozen=True, kw_only=True)
class Contact:
    """Costs as a business states them: what a contact costs, how often it works, what a customer is worth."""

    __pydantic_config__: ClassVar[dict[str, str]] = _FORBID_UNKNOWN
    cost: float = field(metadata=_about("Money that one contact costs, offer included."))
    success: float = field(
        default=1.0,
        metadata=_about(
            "Share of contacted leavers who stay. 1.0 is an assumption, and is named wherever money is shown."
        ),
    )
    value: float | ValueColumn = field(
        metadata=_about("Money lost when a customer leaves: a number, or {column: name}.")
    )

    def __post_init__(self) -> None:
        fixed = self.value if isinstance(self.value, float | int) else None
        worth = "correct the cost of a contact, how often it works, or what a customer is worth"
        _require(
            (self.cost > 0, "cost", "more than 0", f"{self.cost:g}", "write what one contact costs, such as 40"),
            (
                0 < self.success <= 1,
                "success",
                "a share above 0, up to 1",
                f"{self.success:g}",
                "write for example 0.3",
            ),
            (
                fixed is None or fixed * self.success > self.cost,
                "",
                "value x success above cost",
                f"{fixed} x {self.success:g} against {self.cost:g}: contacting never pays",
                worth,
            ),
        )


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What each outcome costs, in money per customer; lower is better. Either the four cells or `contact`.

    In the terms of `contact`: TN = 0, FP = cost, FN = value, TP = cost + (1 - success) x value.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = _FORBID_UNKNOWN
    false_negative: float = field(default=500.0, metadata=_about("Left, and was not contacted."))
    false_positive: float = field(default=100.0, metadata=_about("Would have stayed, and was contacted."))
    true_positive: float = field(
        default=100.0, metadata=_about("Would have left, and was contacted. As low as a contact: every contact works.")
    )
    true_negative: float = field(default=0.0, metadata=_about("Stayed, and was not contacted."))
    contact: Contact | None = field(default=None, metadata=_about("Instead of the four cells."))

    def __post_init__(self) -> None:
        _require(
            (
                self.false_positive > self.true_negative,
                "",
                "false_positive above true_negative",
                f"{self.false_positive:g} and {self.true_negative:g}",
                "correct one of them: a contact must cost something",
            ),
            (
                self.false_negative > self.true_positive,
                "",
                "false_negative above true_positive",
                f"{self.false_negative:g} and {self.true_positive:g}",
                "correct one of them: a customer lost must cost more than one contacted",
            ),
        )

    @property
    def value_column(self) -> str | None:
        """The column of customers' worth, if costs differ by row."""
        value = self.contact.value if self.contact else None
        return value.column if isinstance(value, ValueColumn) else None


@dataclass(frozen=True, kw_only=True)
class RetentionList:
    """Whom to contact, and how many at most."""

    __pydantic_config__: ClassVar[dict[str, str]] = _FORBID_UNKNOWN
    budget: float | None = field(default=None, metadata=_about("Money for contacts, for one batch."))
    capacity: int | None = field(default=None, metadata=_about("How many customers can be contacted, for one batch."))
    opt_out: str | None = field(
        default=None,
        metadata=_about(
            "A column of yes and no (or y/n, true/false, t/f, 1/0); who says yes is never listed. A blank is no, other words are refused."
        ),
    )
    cooldown: str = field(
        default="30d",
        metadata=_about("A customer listed within this time before is not listed again.", **_DURATION_SCHEMA),
    )
    holdout: float = field(
        default=0.0, metadata=_about("Share of the list that is not contacted, so that the effect can be measured.")
    )
    columns: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            "Landed columns that whoever makes the calls needs, such as name and phone: as landed, in the list alone. They may be ignored ones."
        ),
    )
    excel: bool = field(
        default=False, metadata=_about("Begin the list with a byte order mark: Excel then reads its letters right.")
    )

    def __post_init__(self) -> None:
        limit = "correct it, or remove the line: without it there is no such limit"
        _require_durations(cooldown=self.cooldown)
        _require(
            (self.budget is None or self.budget > 0, "budget", "more than 0", f"{self.budget}", limit),
            (self.capacity is None or self.capacity > 0, "capacity", "more than 0", f"{self.capacity}", limit),
            (
                0 <= self.holdout < 1,
                "holdout",
                "a share from 0 to below 1",
                f"{self.holdout:g}",
                "write for example 0.1",
            ),
        )


@dataclass(frozen=True, kw_only=True)
class Search:
    """How the model is tuned."""

    __pydantic_config__: ClassVar[dict[str, str]] = _FORBID_UNKNOWN
    families: tuple[Family, ...] = field(default=("boosted_trees",), metadata=_about("Model families to try."))
    metric: Metric = field(default="log_loss", metadata=_about("What the leaderboard is ordered by, on validation."))
    trials: int = field(default=20, metadata=_about("Trials, shared by the families."))
    parallel: int = field(
        default=2, metadata=_about("Trials asked for at once. Part of what makes a search repeatable.")
    )
    time: str | None = field(
        default=None,
        metadata=_about(
            "No trial but the first of each family is begun after this long, such as 10m. The same model on another machine is then not promised.",
        ),
    )
    engine: Literal["job"] = field(default="job", metadata=_about("job: one job runs all trials."))

    def __post_init__(self) -> None:
        families = "write for example families: [boosted_trees]"
        _require_durations(**({"time": self.time} if self.time else {}))
        repeated = next((name for name in self.families if self.families.count(name) > 1), "")
        _require(
            (bool(self.families), "families", "at least one family", "none", families),
            (not repeated, "families", "each family once", f"{repeated} twice", families),
            (1 <= self.trials <= 1000, "trials", "1 to 1000", str(self.trials), "write for example 20"),
            (1 <= self.parallel <= 64, "parallel", "1 to 64", str(self.parallel), "write for example 2"),
        )


@dataclass(frozen=True, kw_only=True)
class Gate:
    """When a candidate replaces the champion."""

    __pydantic_config__: ClassVar[dict[str, str]] = _FORBID_UNKNOWN
    promotion: Literal["better", "not_worse", "manual"] = field(
        default="better",
        metadata=_about(
            "better: it must prove so. not_worse: once the champion is older than max_age, enough not to be worse. "
            "manual: it must prove so, and then waits until a person approves it."
        ),
    )
    max_age: str = field(default="28d", metadata=_about("With `promotion: not_worse`.", **_DURATION_SCHEMA))

    def __post_init__(self) -> None:
        _require_durations(max_age=self.max_age)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When the model is retrained."""

    __pydantic_config__: ClassVar[dict[str, str]] = _FORBID_UNKNOWN
    retrain: str = field(default="0 6 * * 1", metadata=_about("Cron: minute, hour, day, month, weekday."))
    timezone: str = field(default="UTC", metadata=_about("IANA name, such as Europe/Berlin."))


@dataclass(frozen=True, kw_only=True)
class Watch:
    """How landed batches are noticed."""

    __pydantic_config__: ClassVar[dict[str, str]] = _FORBID_UNKNOWN
    settle: str = field(
        default="60s",
        metadata=_about("A batch is scored once nothing in it has changed for this long.", **_DURATION_SCHEMA),
    )
    recent: str = field(
        default="30d", metadata=_about("Batches older than this are looked at less often.", **_DURATION_SCHEMA)
    )
    events: str | None = field(
        default=None,
        metadata=_about(
            "On AWS: the name of an SQS queue of S3's events, which say at which batches to look first. The listing decides."
        ),
    )

    def __post_init__(self) -> None:
        _require_durations(settle=self.settle, recent=self.recent)
        named = self.events is None or re.fullmatch(r"[A-Za-z0-9_-]{1,80}", self.events) is not None
        todo = "write the name of a standard queue, such as churn-landed, and not its address"
        _require((named, "events", "a queue's name of letters, digits, _ and -", repr(self.events)[:90], todo))


_CRAWLER_NAME = 255


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where training rows come from."""

    __pydantic_config__: ClassVar[dict[str, str]] = _FORBID_UNKNOWN
    landing: bool = field(default=True, metadata=_about("Files dropped into landing/<dataset>/train."))
    table: str | None = field(default=None, metadata=_about("Instead: a table you already have, `database.table`."))
    crawler: str | None = field(
        default=None,
        metadata=_about(
            "On AWS, beside `table`: the Glue crawler that is run and waited for before the table is read."
        ),
    )
    sheet: str | None = field(
        default=None,
        metadata=_about("The sheet of landed Excel workbooks that holds the customers. None: the first visible one."),
    )

    def __post_init__(self) -> None:
        named = self.table is None or re.fullmatch(r"[^.`\"]+\.[^.`\"]+", self.table) is not None
        todo = "write table: database.table, or remove the section"
        _require(
            (named, "table", "database.table", repr(self.table), todo),
            (self.landing or self.table is not None, "", "landing: true or table: database.table", "neither", todo),
            (
                self.crawler is None or (self.table is not None and 1 <= len(self.crawler) <= _CRAWLER_NAME),
                "crawler",
                f"a crawler's name of at most {_CRAWLER_NAME} characters, beside a table",
                repr(self.crawler)[:60] if self.table else "no table",
                "write table: database.table beside it, or remove it",
            ),
        )


@dataclass(frozen=True, kw_only=True)
class FileFormat:
    """How landed text files are written, where they do not say it themselves."""

    __pydantic_config__: ClassVar[dict[str, str]] = _FORBID_UNKNOWN
    encoding: str | None = field(
        default=None,
        metadata=_about(
            "The encoding of text files without a byte order mark, such as cp1252. None: UTF-8, or detected."
        ),
    )
    quotes: Literal["doubled", "backslash"] = field(
        default="doubled",
        metadata=_about(
            'How a quote inside a quoted CSV value is written. doubled: "". backslash: \\", as MySQL and Spark do.'
        ),
    )

    def __post_init__(self) -> None:
        known = self.encoding is None or bool(normal_encoding(self.encoding))
        todo = f"write one of {', '.join(ENCODINGS)}"
        _require((known, "encoding", "an encoding of text files", repr(self.encoding), todo))


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One table of customers, as its spec describes it. Column names are the user's own; they are matched without regard to case."""

    __pydantic_config__: ClassVar[dict[str, str]] = _FORBID_UNKNOWN
    name: str = field(metadata=_about("The file's name: [a-z][a-z0-9]{1,11}."))
    label: Label = field(metadata=_about("What is predicted."))
    id: str | None = field(
        default=None,
        metadata=_about(
            "The column that names a customer, kept as landed; its rows are never divided between splits. "
            "`none`: each row is a customer of its own. Nothing is promoted without one or the other."
        ),
    )
    as_of: str | None = field(
        default=None,
        metadata=_about("The snapshot's date, where a customer has several rows. The row key is then (id, as_of)."),
    )
    horizon: str = field(default="30d", metadata=_about("How far after as_of the label looks.", **_DURATION_SCHEMA))
    ignore: tuple[str, ...] = field(default=(), metadata=_about("Columns that are never a feature."))
    known: tuple[str, ...] = field(default=(), metadata=_about("Suspected leaks that you vouch for."))
    types: dict[str, Kind] = field(
        default_factory=dict,
        metadata=_about(
            "number, category or date, if inference is wrong; a date may have a format, such as `date %d.%m.%Y`, and so may a "
            "number, such as `number 1.234,5 €`; in a `category any case` "
            "upper and lower case are one value."
        ),
    )
    derived: dict[str, str] = field(
        default_factory=dict, metadata=_about('New columns as expressions over others: "`Day Charge` + `Eve Charge`".')
    )
    groups: dict[str, tuple[str, ...]] = field(
        default_factory=dict, metadata=_about("Columns that count as one reason.")
    )
    words: dict[str, str] = field(
        default_factory=dict, metadata=_about('How a column reads in a reason: "{value} calls to customer service".')
    )
    split: Split = field(default_factory=Split, metadata=_about("Train, validation, test."))
    costs: Costs = field(default_factory=Costs, metadata=_about("What a mistake costs."))
    list: RetentionList = field(default_factory=RetentionList, metadata=_about("Whom to contact, at most."))
    search: Search = field(default_factory=Search, metadata=_about("How the model is tuned."))
    gate: Gate = field(default_factory=Gate, metadata=_about("When a candidate replaces the champion."))
    schedule: Schedule = field(default_factory=Schedule, metadata=_about("When it is retrained."))
    watch: Watch = field(default_factory=Watch, metadata=_about("How landed batches are noticed."))
    source: Source = field(default_factory=Source, metadata=_about("Where training rows come from."))

    format: FileFormat = field(default_factory=FileFormat, metadata=_about("How landed text files are written."))

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
