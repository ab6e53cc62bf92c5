"""Content types of requests and answers, and which of them a client accepts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from churn_model.column_types.memory import remember

JSON = "application/json"
JSON_LINES = "application/jsonlines"
CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"
NAMES = (JSON, JSON_LINES, CSV, PARQUET)
_ALIASES = {
    "application/jsonl": JSON_LINES,
    "application/x-ndjson": JSON_LINES,
    "application/x-jsonlines": JSON_LINES,
    "application/x-parquet": PARQUET,
    "application/parquet": PARQUET,
    "application/csv": CSV,
}


@dataclass(frozen=True)
class MediaType:
    """A content type under its usual name, with its parameters."""

    name: str
    parameters: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def text(self) -> str:
        """The type as a header has it."""
        return "".join([self.name, *(f"; {key}={value}" for key, value in self.parameters.items())])


@remember
def parse_media(text: str) -> MediaType:
    """Return a content type, which need not be one of `NAMES`."""
    name, *rest = text.split(";")
    parameters = {}
    for part in rest:
        key, _, value = part.partition("=")
        parameters[key.strip().lower()] = value.strip().strip('"').lower()
    name = name.strip().lower()
    return MediaType(_ALIASES.get(name, name), parameters)


@remember
def choose_media(accept: str, preferred: MediaType) -> MediaType | None:
    """Return the type to answer in: `preferred` if it is accepted as much as any other, else the one accepted most; None if there is none."""
    best: tuple[float, int, MediaType] | None = None
    for media in map(parse_media, filter(str.strip, (accept or "*/*")[:1000].split(","))):
        try:
            weight = float(media.parameters.get("q", "1"))
        except ValueError:
            weight = 0.0
        pattern = "*/*" if media.name == "*" else media.name
        options = [name for name in (preferred.name, *NAMES) if fnmatchcase(name, pattern)]
        for name in options:
            own = {key: value for key, value in media.parameters.items() if key == "header"}
            found = preferred if name == preferred.name and not own else MediaType(name, own)
            rank = (weight, int(name == preferred.name))
            if weight > 0 and (best is None or rank > best[:2]):
                best = (*rank, found)
    return best[2] if best else None
