"""The section `format`: how landed text files are written."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from churn_model.spec.encodings import ENCODINGS, normal_encoding
from churn_model.spec.sections.base import FORBID_UNKNOWN, about, require


@dataclass(frozen=True, kw_only=True)
class FileFormat:
    """How landed text files are written, where they do not say it themselves."""

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN
    encoding: str | None = field(
        default=None,
        metadata=about(
            "The encoding of text files without a byte order mark, such as cp1252. None: UTF-8, or detected."
        ),
    )
    quotes: Literal["doubled", "backslash"] = field(
        default="doubled",
        metadata=about(
            'How a quote inside a quoted CSV value is written. doubled: "". backslash: \\", as MySQL and Spark do.'
        ),
    )

    def __post_init__(self) -> None:
        known = self.encoding is None or bool(normal_encoding(self.encoding))
        todo = f"write one of {', '.join(ENCODINGS)}"
        require((known, "encoding", "an encoding of text files", repr(self.encoding), todo))
