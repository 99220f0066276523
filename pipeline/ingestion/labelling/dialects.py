"""Detects the dialect of a CSV file: programs write CSV with different encodings, delimiters and line endings."""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple

# Byte-order marks, UTF-32 first: its mark begins like that of UTF-16.
MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
DELIMITERS = (",", ";", "\t", "|")
# A line above the header that declares the delimiter, as Excel writes and reads it.
DECLARED = re.compile(r'"?sep=(?P<delimiter>[^"\r\n])"?(\r\n|\r|\n)', re.IGNORECASE)
LINE_END = re.compile(r"\r\n|\r|\n")
# The longest header, in bytes.
HEADER = 2**16


class Dialect(NamedTuple):
    """The dialect of a CSV file."""

    mark: bytes = b""
    """The byte-order mark at the start of the file; empty if there is none."""
    encoding: str = "utf-8"
    delimiter: str = ","
    newline: str = "\n"
    declared: str = ""
    """The line above the header that declares the delimiter, with its line ending; usually empty."""
    spaced: bool = False
    """Whether a space follows each delimiter."""

    def rows(self, file: BinaryIO) -> Iterator[tuple[int, list[str]]]:
        """Yield each non-empty row of `file`, the header first, with the number of its first line."""
        file.seek(len(self.mark))
        text = io.TextIOWrapper(file, self.encoding, newline="")
        try:
            rows = csv.reader(text, delimiter=self.delimiter, skipinitialspace=self.spaced)
            for _ in range(bool(self.declared)):
                next(rows)
            number = rows.line_num + 1
            for row in rows:
                if row:
                    yield number, row
                number = rows.line_num + 1
        finally:
            if not file.closed:
                text.detach()

    def written(self, rows: Iterable[Iterable[object]]) -> bytes:
        """Return `rows` as the content of a file in this dialect, without spaces after delimiters."""
        return self.mark + "".join([self.declared, *map(self._line, rows)]).encode(self.encoding)

    def _line(self, row: Iterable[object]) -> str:
        line = io.StringIO()
        # Some versions of Python quote only the characters of the line terminator; with "\r\n" both are quoted.
        csv.writer(line, delimiter=self.delimiter, lineterminator="\r\n").writerow(row)
        return line.getvalue().removesuffix("\r\n") + self.newline


def dialect_of(file: BinaryIO, needed: Iterable[str]) -> Dialect:
    """Return the dialect of `file`, whose header should have the columns `needed`, given in lower case.

    It is detected from the file's bytes alone. The delimiter is the one that separates the needed columns; other
    delimiters may be part of a column's name.

    Raises:
        UnicodeDecodeError: the header is not valid in the detected encoding.
    """
    file.seek(0)
    start = file.read(HEADER)
    mark = next((mark for mark in MARKS if start.startswith(mark)), b"")
    encoding = MARKS.get(mark) or _unmarked(start)
    text = codecs.getincrementaldecoder(encoding)().decode(start[len(mark) :])
    declared = DECLARED.match(text)
    header = text[declared.end() if declared else 0 :]
    delimiters = (declared["delimiter"],) if declared else DELIMITERS
    wanted, names = set(needed), {one: _names(header, one) for one in delimiters}
    found = {one: len(wanted & {name.strip().lower() for name in names[one]}) for one in delimiters}
    delimiter = max(delimiters, key=lambda one: (found[one], len(names[one])))
    spaced = all(name.startswith(" ") for name in names[delimiter][1:]) and len(names[delimiter]) > 1
    end = LINE_END.search(text)
    return Dialect(mark, encoding, delimiter, end[0] if end else "\n", declared[0] if declared else "", spaced)


def _names(header: str, delimiter: str) -> list[str]:
    """Return the cells of the first non-empty row in `header`."""
    rows: Any = csv.reader(io.StringIO(header, newline=""), delimiter=delimiter)
    try:
        return next(filter(None, rows), [])
    except csv.Error:
        return []


def _unmarked(start: bytes) -> str:
    """Return the encoding of a file without a mark; every other byte of an ASCII header is NUL only in UTF-16."""
    even, odd = start[:64:2], start[1:64:2]
    if odd and not any(odd):
        return "utf-16-le"
    return "utf-16-be" if odd and not any(even) else "utf-8"
