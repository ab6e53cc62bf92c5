"""Which encodings a text file may have, by the names of Python's codecs."""

import codecs

UTF8 = "utf-8"
ENCODINGS = (
    UTF8,
    *("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"),
    *(f"cp{page}" for page in (1250, 1251, 1252, 1253, 1254, 1255, 1256, 1257, 1258, 437, 850, 852, 858, 866, 874)),
    *(f"iso8859-{part}" for part in (*range(1, 12), *range(13, 17))),
    *("koi8-r", "koi8-u", "mac-roman", "tis-620"),
    *("cp932", "shift_jis", "euc_jp", "cp949", "euc_kr", "gb18030", "gbk", "big5", "big5hkscs", "kz1048"),
)
_KNOWN = frozenset(codecs.lookup(name).name for name in ENCODINGS)


def normal_encoding(name: str) -> str:
    """Return the codec's own name of an encoding, such as iso8859-1 for latin-1; "" if none of `ENCODINGS` is called that."""
    try:
        found = codecs.lookup(name.strip()).name.removesuffix("-sig")
    except (LookupError, ValueError):
        return ""
    return found if found in _KNOWN else ""
