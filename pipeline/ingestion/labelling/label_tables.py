"""Parses a label file row by row, as spreadsheets and programs write it; the only parser of label files.

The header names the columns, in upper or lower case, possibly with spaces around them. `ingest.columns` says which of
them contain the path and the label.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple
from unicodedata import normalize

from pipeline import paths
from pipeline.errors import ImagesError
from pipeline.ingestion.labelling.class_names import class_name, has_control
from pipeline.ingestion.labelling.dialects import Dialect, dialect_of
from pipeline.ingestion.labelling.image_weights import COLUMN as WEIGHT
from pipeline.ingestion.labelling.image_weights import NEEDED as NEEDED_WEIGHT
from pipeline.ingestion.labelling.image_weights import weight_of

# Column names that slices.csv and metrics.json use for themselves.
TAKEN = ("id", "generation", "new", "old")
NEEDED = "give each line a path and a label"


class Columns(NamedTuple):
    """`ingest.columns`: the names of the columns that contain the image's path and its class."""

    path: str = "path"
    label: str = "label"


class LabelLine(NamedTuple):
    """What a label file contains for an image."""

    label: str | None
    attributes: str = ""
    """The further columns as a JSON object, serialised deterministically; empty if they have no values."""
    conflict: str = ""
    """Why the label is uncertain; empty if it is certain."""


class LabelRow(NamedTuple):
    """A row of a label file."""

    number: int
    """The number of its line in the file."""
    path: str
    """A source or a glob, as written in the file."""
    line: LabelLine


class LabelTable:
    """An open label file."""

    def __init__(self, where: object, file: BinaryIO, columns: Columns, *, shift: int = 0) -> None:
        """Read the header of `file`.

        `where` names the file in messages; `shift` is subtracted from line numbers in messages.

        Raises:
            ImagesError: the file is not CSV in a known encoding, or its columns cannot be used.
        """
        self._where, self._file, self._shift = where, file, shift
        self.dialect, self.names = Dialect(), list[str]()
        with self._readable():
            self.dialect = dialect_of(file, [name.strip().lower() for name in columns])
            self._rows = self.dialect.rows(file)
            _, header = next(self._rows, (0, []))
        self.names = [normalize("NFC", name).strip() for name in header]
        self.path, self.label = self._find(columns) if header else (0, 1)
        self._check_names()

    def rows(self) -> Iterator[LabelRow]:
        """Yield the rows below the header, checked; equal lines share one object.

        Raises:
            ImagesError: a row lacks its path or its label, or has a value that cannot be used.
        """
        lines: dict[LabelLine, LabelLine] = {}
        known: dict[tuple[str, ...], LabelLine] = {}
        for number, cells in self.cells():
            path = cells.pop(self.path)
            line = known.get(content := tuple(cells))
            if line is None:
                line = self._line(number, cells)
                line = known[content] = lines.setdefault(line, line)
            if not path or path.isspace():
                raise ImagesError(self._where, f"line {number} has no path", NEEDED)
            yield LabelRow(number, path, line)

    def cells(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the non-empty rows below the header as written, padded to the header's length, with line numbers."""
        width = len(self.names)
        with self._readable():
            for number, row in self._rows:
                if len(row) < width:
                    row.extend([""] * (width - len(row)))
                if (not row[self.path].isspace() and row[self.path]) or any(map(str.strip, row)):
                    yield number - self._shift, row

    def _find(self, columns: Columns) -> list[int]:
        """Return the positions of `columns`; an exact match is preferred to one in a different case."""
        lower = [name.lower() for name in self.names]
        wanted = [name.strip() for name in columns]
        if not {name.lower() for name in wanted} <= set(lower):
            found = ", ".join(name or "(no name)" for name in self.names)
            hint = f"give it a first line with these names, or set ingest.columns in {paths.PARAMS} to its names"
            raise ImagesError(self._where, f"columns found: {found}; needed: {', '.join(wanted)}", hint)
        return [
            self.names.index(name) if name in self.names else self._only(lower, name.lower(), name) for name in wanted
        ]

    def _only(self, names: list[str], lower: str, name: str) -> int:
        if (count := names.count(lower)) > 1:
            raise ImagesError(self._where, f"{count} columns are called {name!r}", "leave one of them")
        return names.index(lower)

    def _check_names(self) -> None:
        further = [name for at, name in enumerate(self.names) if at not in (self.path, self.label)]
        for name, count in Counter(self.names).items():
            if name and count > 1:
                hint = "leave one of them, or rename the others"
                raise ImagesError(self._where, f"{count} columns are called {name!r}", hint)
        for name in further:
            if name in TAKEN:
                what = f"a column is called {name!r}, which is a reserved name"
                raise ImagesError(self._where, what, "rename it")
            if has_control(name):
                raise ImagesError(self._where, f"a control character in the name of column {name!r}", "rename it")

    def _line(self, number: int, cells: list[str]) -> LabelLine:
        """Return the content of the line `number`, whose `cells` are all but the path."""
        names = [*self.names[: self.path], *self.names[self.path + 1 :]]
        text = cells[self.label - (self.label > self.path)]
        label = class_name(text)
        if label is None:
            wrong = f"a slash or a control character in its label {text!r}" if text.strip() else "no label"
            raise ImagesError(self._where, f"line {number} has {wrong}", NEEDED)
        names[self.label - (self.label > self.path)] = "label"
        if any(cell.strip() for at, cell in enumerate(cells) if at >= len(names) or not names[at]):
            hint = "name the column, or put quotes around a cell that holds the delimiter"
            raise ImagesError(self._where, f"line {number} has a value in a column without a name", hint)
        further = dict(zip(names, cells, strict=False))
        del further["label"]
        return LabelLine(label, self._attributes(number, further))

    def _attributes(self, number: int, cells: dict[str, str]) -> str:
        for name, value in cells.items():
            if has_control(value):
                what = f"line {number} has a control character in column {name!r}"
                raise ImagesError(self._where, what, "remove it; it may be a line break")
        values = {name: normalize("NFC", value).strip() for name, value in cells.items() if value.strip()}
        try:
            weight_of(values.get(WEIGHT, ""))
        except ValueError as error:
            what = f"line {number} has the {WEIGHT} {str(error)!r}"
            raise ImagesError(self._where, what, NEEDED_WEIGHT) from None
        return json.dumps(values, ensure_ascii=False, sort_keys=True) if values else ""

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except UnicodeDecodeError as error:
            what = self._undecodable(error.encoding) if self.dialect.encoding == "utf-8" else f"not {error.encoding}"
            raise ImagesError(self._where, what, "save it as CSV in UTF-8") from None
        except csv.Error as error:
            raise ImagesError(self._where, f"not a CSV file ({error})", "save it as one, in UTF-8") from None

    def _undecodable(self, encoding: str) -> str:
        """Return a message with the first line that is not UTF-8, and its text in Windows-1252."""
        self._file.seek(0)
        content = self._file.read()
        try:
            content.decode(encoding)
        except UnicodeDecodeError as error:
            start = content.rfind(b"\n", 0, error.start) + 1
            word = content[start : error.start + 20].splitlines()[0].decode("cp1252", "replace")[-40:]
            number = content.count(b"\n", 0, start) + 1
            return f"line {number} is not UTF-8; in Windows-1252 it would read {word!r}"
        return "not UTF-8"
