"""Names of columns: which two are the same, and which are taken.

Names that differ only in case or in blanks around them are one column: a catalogue such as Glue writes all names lower case.
"""

# The columns that ingest adds to each row.
AS_OF = "_as_of"
"""The day of a row's snapshot."""
RESERVED = ("_id", AS_OF, "_hash", "_label")
NOT_READ = "not_read"
"""The key under which the schema of canonical rows names landed columns that hold no plain values, and what they hold."""


def name_key(name: str) -> str:
    """Return what equal names have in common: the text by which to look a column up."""
    return name.strip().lower()


def same_name(a: str, b: str) -> bool:
    """Return whether two names are the same column."""
    return name_key(a) == name_key(b)
