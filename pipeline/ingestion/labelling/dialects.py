"""How a CSV file is written: what programs call CSV differs in its encoding, its delimiter and its ends of lines."""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple

# The longer marks first: that of UTF-32 begins like that of UTF-16.
MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
DELIMITERS = (",", ";", "\t", "|")
# A line above the header that names the delimiter, as Excel reads it.
DECLARED = re.compile(r'"?sep=(?P<delimiter>[^"\r\n])"?(\r\n|\r|\n)', re.IGNORECASE)
LINE_END = re.compile(r"\r\n|\r|\n")
# As much of a file as its header may take.
HEADER = 2**16


class Dialect(NamedTuple):
    """How a CSV file is written."""

    mark: bytes = b""
    """The byte-order mark that it begins with, if it has one."""
    encoding: str = "utf-8"
    delimiter: str = ","
    newline: str = "\n"
    declared: str = ""
    """The line above the header that names the delimiter, with its end; mostly there is none."""
    spaced: bool = False
    """Whether a blank follows each delimiter."""

    def rows(self, file: BinaryIO) -> Iterator[tuple[int, list[str]]]:
        """Each row of `file` that is not empty, the header first, and the number of the line that it begins in."""
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
        """`rows` as a file of this dialect; a blank after a delimiter is left out."""
        return self.mark + "".join([self.declared, *map(self._line, rows)]).encode(self.encoding)

    def _line(self, row: Iterable[object]) -> str:
        line = io.StringIO()
        # Some versions of Python quote in a line only what ends it, so that a name could hold the other character.
        csv.writer(line, delimiter=self.delimiter, lineterminator="\r\n").writerow(row)
        return line.getvalue().removesuffix("\r\n") + self.newline


def dialect_of(file: BinaryIO, needed: Iterable[str]) -> Dialect:
    """The dialect of `file`, whose header should have the columns `needed`, which are in lower case.

    Its bytes alone decide. The delimiter is the one between those columns, so others may be part of a name.

    Raises:
        UnicodeDecodeError: the header is not in the encoding that the file seems to have.
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
    """The cells of the first row in `header` that is not empty."""
    rows: Any = csv.reader(io.StringIO(header, newline=""), delimiter=delimiter)
    try:
        return next(filter(None, rows), [])
    except csv.Error:
        return []


def _unmarked(start: bytes) -> str:
    """The encoding of a file without a mark: a header has no NUL, so every other byte is one in UTF-16 alone."""
    even, odd = start[:64:2], start[1:64:2]
    if odd and not any(odd):
        return "utf-16-le"
    return "utf-16-be" if odd and not any(even) else "utf-8"
