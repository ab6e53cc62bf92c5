"""Different spellings of one value: flags (yes, TRUE, 1), whole numbers with a final `.0`, upper and lower case."""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

_PAIRS = (
    *(("yes", "no"), ("true", "false"), ("1", "0"), ("y", "n"), ("t", "f")),
    *(("ja", "nein"), ("ja", "nee"), ("wahr", "falsch"), ("oui", "non"), ("vrai", "faux"), ("sí", "no"), ("si", "no")),
    *(("verdadero", "falso"), ("vero", "falso"), ("sim", "não"), ("verdadeiro", "falso")),
)
YES = tuple(dict.fromkeys(yes for yes, _ in _PAIRS))
NO = tuple(dict.fromkeys(no for _, no in _PAIRS))
"""The words for yes and for no, in lower case."""
_ENGLISH = frozenset({"yes", "true", "no", "false"})
_WORDS = frozenset(word for word in YES + NO if len(word) > 1)
_FINAL_ZEROS = r"^([+-]?[0-9]+)\.0*$"


@dataclass(frozen=True)
class Spelling:
    """Which texts are one value. `408.0` is always `408`.

    flags     the words of `YES` are one value, and so are those of `NO`
    any_case  case does not matter
    """

    flags: bool = False
    any_case: bool = False

    def normalize(self, text: pa.Array) -> pa.Array:
        """Return one text per value: equal if and only if the values are."""
        plain = drop_final_zeros(text)
        lower = pc.utf8_lower(plain) if self.flags or self.any_case else plain
        normal = lower if self.any_case else plain
        for words in (YES, NO) if self.flags else ():
            normal = pc.if_else(pc.is_in(lower, value_set=pa.array(words)), words[0], normal)
        return normal


def drop_final_zeros(text: pa.Array) -> pa.Array:
    """Return the text with whole numbers without a point: `408` for `408.0` and `408.`."""
    return pc.replace_substring_regex(text, _FINAL_ZEROS, r"\1")


def are_flags(texts: Iterable[str]) -> bool:
    """Return whether these different texts, or those among them that say yes or no, are flags.

    Letters and digits count with no other text beside them: F and M, or F, N and S are codes, and so are 0, 1 and 2. Whatever is not English
    counts in pairs: ja beside no is a language.
    """
    plain = drop_final_zeros(pa.array(list(texts), pa.string()))
    words = {word for word in pc.utf8_lower(plain).to_pylist() if word is not None}
    yes, no = words & set(YES), words & set(NO)
    if words == yes | no and len(words) == 1:
        return True
    if not yes or not no:
        return False
    are_pairs = all(_find_partners(word) & words for word in (yes | no) - _ENGLISH)
    return are_pairs and (words == yes | no or yes | no <= _WORDS)


def _find_partners(word: str) -> set[str]:
    """Return the words that mean the opposite in the word's own language."""
    return {other for pair in _PAIRS if word in pair for other in pair if other != word}
