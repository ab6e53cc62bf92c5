"""Match the columns of landed files with the spec and the champion: which are used, under which name, as which type.

What the spec says about columns that ingest does not read is checked in `features.named_columns`.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from churn_model.column_types.category import CATEGORY
from churn_model.column_types.landed import quote_value
from churn_model.column_types.number import NUMBER
from churn_model.column_types.registry import column_type, type_that_accepts
from churn_model.errors import InputError, listed, problem
from churn_model.ingest.formats.base import COLUMN_LIMIT, Part
from churn_model.spec.column_names import RESERVED, name_key
from churn_model.spec.dataset import Dataset, Kind

_NAMED_AT_MOST = 10


@dataclass(frozen=True)
class Columns:
    """The columns that ingest reads, under the names it writes.

    kinds      the type of each plain column, as far as it is known before any value is read
    undecided  the columns whose values decide: on the type, or on the format of the type that is known
    nested     the columns that hold no plain values and are not read, and what they hold
    """

    id: str | None
    as_of: str | None
    label: str | None
    kinds: dict[str, Kind | None]
    ignored: tuple[str, ...]
    undecided: frozenset[str]
    nested: Mapping[str, str] = field(default_factory=dict)

    @property
    def keys(self) -> tuple[str, ...]:
        """Those that are not plain columns: id, date and label, as far as there are any."""
        return tuple(name for name in (self.id, self.as_of, self.label) if name)

    def positions(self, part: Part, names: Iterable[str]) -> list[int]:
        """Return the positions of `names` in a file."""
        at = {name_key(name): n for n, name in enumerate(part.names)}
        return [at[name_key(name)] for name in names]


def resolve_columns(parts: Sequence[Part], dataset: Dataset, expected: Mapping[str, Kind] | None) -> Columns:
    """Return the columns to read: for training (`expected` None) all that landed, for scoring those expected and those the spec names.

    Raise InputError with every file's problems at once.
    """
    problems = [text for part in parts for text in _own_problems(part)]
    if problems:
        raise InputError(listed(problems))
    return _for_training(parts, dataset) if expected is None else _for_scoring(parts, dataset, expected)


def file_problems(part: Part) -> list[str]:
    """Return what is wrong with the columns of a file whatever the spec says of them, a sentence each."""
    return _own_problems(part)


def nested_columns(part: Part) -> dict[str, str]:
    """Return the columns of a file that have no plain text, by their keys, and what they hold."""
    return {
        name_key(name): str(stored)[:80]
        for name, stored in zip(part.names, part.stored, strict=True)
        if stored is not None and not _is_plain(stored)
    }


def _own_problems(part: Part) -> list[str]:
    key, names = part.file.key, part.names
    if len(names) > COLUMN_LIMIT:
        return [
            f"{key}: {problem(expected=f'at most {COLUMN_LIMIT:,} columns', found=f'{len(names):,}', todo='land fewer columns')}"
        ]
    if len(part.passed_over) == len(names):
        text = problem(expected="the names of columns", found="none", todo="land the file with a header")
        return [f"{key}: {text}"]
    found = []
    unnamed = [n for n, name in enumerate(names, 1) if not name and n - 1 not in part.passed_over]
    if unnamed:
        which = ", ".join(str(n) for n in unnamed[:_NAMED_AT_MOST])
        text = problem(
            expected="a name for every column", found=f"none for column {which}", todo="name it, or remove it"
        )
        found.append(f"{key}: {text}")
    first: dict[str, str] = {}
    twice: list[tuple[str, str]] = []
    for name in filter(None, names):
        if name_key(name) in first:
            twice.append((first[name_key(name)], name))
        first.setdefault(name_key(name), name)
    for one, other in twice[:_NAMED_AT_MOST]:
        same = "the same name twice" if one == other else "names that differ by case alone"
        found.append(
            f"{key}: {problem(expected='each column once', found=f'{same}: {quote_value(one)}, {quote_value(other)}', todo='rename one')}"
        )
    taken = [name for name in names if name_key(name) in RESERVED]
    if taken:
        found.append(
            f"{key}: {problem(expected='names other than ' + ', '.join(RESERVED), found=_some(taken), todo='rename the column')}"
        )
    return found


def _for_training(parts: Sequence[Part], dataset: Dataset) -> Columns:
    written = _spec_spelling(dataset)
    names = {name_key(name): written.get(name_key(name), name) for name in filter(None, parts[0].names)}
    required = [
        dataset.label.column,
        dataset.id_column,
        dataset.as_of,
        dataset.split.column,
        dataset.list.opt_out,
        dataset.costs.value_column,
        *dataset.types,
    ]
    problems = [text for part in parts for text in _missing(part, required, "that the spec names")]
    of_spec = {name_key(name) for name in required if name}
    for part in parts[1:]:
        problems += _differences(part, parts[0], of_spec)
    keys = {name_key(name): name for name in (dataset.id_column, dataset.as_of, dataset.label.column) if name}
    nested = {key: what for part in parts for key, what in nested_columns(part).items()}
    plain = {key: name for key, name in names.items() if key not in keys and key not in nested}
    problems += [text for part in parts for text in _nested(part, {*keys, *of_spec})]
    if not set(plain) - dataset.not_features:
        problems.append(
            problem(
                expected="at least one column to learn from",
                found="none beside those the spec sets apart",
                todo="land more columns",
            )
        )
    known, stored = _spec_kinds(dataset), _stored_types(parts)
    kinds: dict[str, Kind | None] = {}
    for key, name in plain.items():
        kinds[name] = known.get(key)
        if kinds[name] is None:
            kinds[name], text = _stored_kind(name, stored.get(key, {}))
            problems += text
    if problems:
        raise InputError(listed(problems))
    not_read = {names[key]: what for key, what in nested.items() if key in names}
    undecided = _undecided(kinds, parts)
    return Columns(dataset.id_column, dataset.as_of, dataset.label.column, kinds, (), undecided, not_read)


def _for_scoring(parts: Sequence[Part], dataset: Dataset, expected: Mapping[str, Kind]) -> Columns:
    keys = {name_key(name) for name in (dataset.id_column, dataset.as_of, dataset.label.column) if name}
    kinds: dict[str, Kind | None] = {name: kind for name, kind in expected.items() if name_key(name) not in keys}
    named = {name_key(name) for name in kinds}
    known = _spec_kinds(dataset)
    for name in (dataset.list.opt_out, dataset.costs.value_column):
        if name and name_key(name) not in named:
            kinds[name] = known[name_key(name)]
            named.add(name_key(name))
    required = [name for name in (dataset.id_column, dataset.as_of, *kinds) if name]
    problems = [text for part in parts for text in _missing(part, required, "that the champion was trained with")]
    problems += [text for part in parts for text in _nested(part, {name_key(name) for name in required})]
    if problems:
        raise InputError(listed(problems))
    ignored = {
        name_key(name): name
        for part in reversed(parts)
        for name in part.names
        if name and name_key(name) not in named | keys
    }
    return Columns(
        dataset.id_column,
        dataset.as_of,
        None,
        kinds,
        tuple(ignored[key] for key in sorted(ignored)),
        _undecided(kinds, parts),
    )


def _undecided(kinds: Mapping[str, Kind | None], parts: Sequence[Part]) -> frozenset[str]:
    """Return the columns without a kind, and those of a type that recognises its format among text, unless no file has them as text."""
    stored = _stored_types(parts)

    def is_native(name: str, kind: Kind) -> bool:
        types = stored.get(name_key(name), {})
        return len(types) == len(parts) and all(column_type(kind).accepts(one) for one in types.values())

    return frozenset(
        name
        for name, kind in kinds.items()
        if kind is None or (column_type(kind).is_open and not is_native(name, kind))
    )


def _spec_spelling(dataset: Dataset) -> dict[str, str]:
    """Return the columns that the spec names, as it writes them."""
    single = (dataset.split.column, dataset.list.opt_out, dataset.costs.value_column)
    grouped = (name for group in dataset.groups.values() for name in group)
    names = [
        *(name for name in single if name),
        *dataset.ignore,
        *dataset.known,
        *dataset.types,
        *dataset.words,
        *grouped,
    ]
    return {name_key(name): name for name in reversed(names)}


def _spec_kinds(dataset: Dataset) -> dict[str, Kind]:
    """Return the types that no value changes: a split and an opt-out are text, worth is a number, and those under `types`."""
    kinds: dict[str, Kind] = {
        name_key(name): CATEGORY.name for name in (dataset.split.column, dataset.list.opt_out) if name
    }
    kinds |= {name_key(name): kind for name, kind in dataset.types.items()}
    if dataset.costs.value_column:
        kinds[name_key(dataset.costs.value_column)] = NUMBER.name
    return kinds


def _stored_types(parts: Sequence[Part]) -> dict[str, dict[str, pa.DataType]]:
    """Return the types that files themselves give to columns, by column and file."""
    types: dict[str, dict[str, pa.DataType]] = {}
    for part in parts:
        for name, stored in zip(part.names, part.stored, strict=True):
            if stored is not None and not pa.types.is_null(stored):
                types.setdefault(name_key(name), {})[part.file.key] = stored
    return types


def _stored_kind(name: str, types: Mapping[str, pa.DataType]) -> tuple[Kind | None, list[str]]:
    """Return the type that files give a column, and a problem if they disagree. `types`: by file."""
    first: dict[Kind, str] = {}
    for file, stored in types.items():
        first.setdefault(type_that_accepts(stored).name, file)
    if len(first) > 1:
        text = problem(
            expected=f"{quote_value(name)} of one type in all files",
            found=" and ".join(f"{column_type(kind).noun} in {file}" for kind, file in first.items()),
            todo="land it as one type, or name its type under types in the spec",
        )
        return None, [text]
    return next(iter(first), None), []


def _nested(part: Part, used: set[str]) -> list[str]:
    """Return the columns whose type has no plain text."""
    found, nested = [], nested_columns(part)
    for name in part.names:
        if name_key(name) in used and name_key(name) in nested:
            text = problem(
                expected=f"plain values in {quote_value(name)}",
                found=nested[name_key(name)],
                todo="land it as numbers, text or dates",
            )
            found.append(f"{part.file.key}: {text}")
    return found


def _is_plain(stored: pa.DataType) -> bool:
    if pa.types.is_nested(stored):
        return False
    try:  # a time zone is looked up for a value alone
        pa.array([0] if pa.types.is_timestamp(stored) else [], stored).cast(pa.string())
    except pa.ArrowException:
        return False
    return True


def _missing(part: Part, required: Iterable[str | None], which: str) -> list[str]:
    """Return one problem for all columns that a file lacks, with the most similar names."""
    remarks = f" ({'; '.join(part.remarks)})" if part.remarks else ""
    return [f"{part.file.key}: {text}" for text in lacking(part.names, required, which, remarks)]


def lacking(names: Iterable[str], required: Iterable[str | None], which: str, remarks: str = "") -> list[str]:
    """Return one problem for all required columns that `names` lacks; `remarks`: how they were found."""
    there = {name_key(name): name for name in names}
    lacking = list(dict.fromkeys(name for name in required if name and name_key(name) not in there))
    if not lacking:
        return []
    closest = {
        name: [there[key] for key in difflib.get_close_matches(name_key(name), list(there), n=2)]
        for name in lacking[:_NAMED_AT_MOST]
    }
    hints = "; ".join(f"close to {quote_value(name)}: {_some(close)}" for name, close in closest.items() if close)
    todo = "land the file with it, or correct the name" + (f" ({hints})" if hints else "")
    return [problem(expected=f"the columns {which}", found=f"no {_some(lacking)}{remarks}", todo=todo)]


def _differences(part: Part, first: Part, reported: set[str]) -> list[str]:
    """Return how a file's columns differ from the first one's, apart from what is reported already."""
    here, there = {name_key(name) for name in part.names if name}, {name_key(name) for name in first.names if name}
    extra = [name for name in part.names if name and name_key(name) not in there | reported]
    found = _missing(
        part, [name for name in first.names if name and name_key(name) not in reported], f"of {first.file.key}"
    )
    if extra:
        text = problem(
            expected=f"the columns of {first.file.key} alone",
            found=f"{_some(extra)} as well",
            todo="land all files with the same columns",
        )
        found.append(f"{part.file.key}: {text}")
    return found if here != there else []


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
    return ", ".join(quote_value(name) for name in names[:_NAMED_AT_MOST]) + more
