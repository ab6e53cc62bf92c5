r"""The grammar of CSV: RFC 4180 with two widenings.

A line ends with \n, \r\n or \r, and a quote inside a value that does not begin with one is an ordinary character.
"""

import re

import numpy as np

LINE_END = re.compile(rb"\r\n|\r|\n")
QUOTED = re.compile(rb'"[^"]*+(?:""[^"]*+)*+"')


class Grammar:
    """One delimiter's grammar, as patterns and as a table of the bytes that may stand beside a quoted value."""

    def __init__(self, delimiter: str) -> None:
        self.delimiter = delimiter.encode()
        escaped = re.escape(self.delimiter)
        value = rb'(?:"[^"]*+(?:""[^"]*+)*+"(?=[%b\r\n])|(?!")[^%b\r\n]*+)' % (escaped, escaped)
        self.value = re.compile(value)
        self.record = re.compile(rb"%b(?:%b%b)*+" % (value, escaped, value))
        self.beside_quotes = np.zeros(256, dtype=bool)
        self.beside_quotes[[ord(delimiter), ord('"'), ord("\r"), ord("\n")]] = True

    def count(self, data: bytes, at: int, stop: int) -> int:
        """Return how many values a well-formed record has."""
        if data.find(b'"', at, stop) < 0:
            return data.count(self.delimiter, at, stop) + 1
        count = 0
        while found := self.value.match(data, at):
            count += 1
            at = found.end() + 1
            if found.end() >= stop:
                break
        return count

    def split(self, data: bytes, at: int, stop: int) -> tuple[bytes, ...]:
        """Return the values of a well-formed record, without their quotes."""
        values = []
        while found := self.value.match(data, at):
            value = found[0]
            values.append(value[1:-1].replace(b'""', b'"') if value.startswith(b'"') else value)
            at = found.end() + 1
            if found.end() >= stop:
                break
        return tuple(values)
