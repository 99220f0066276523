"""data/classes.csv: records which classes were renamed, merged, split or dropped. Git tracks it.

A row `old,new` renames the label `old` to `new`. If `new` is also a class, or several rows have the same `new`, the
classes are merged. An empty `new` drops the class. Several rows for one `old` split it: labels still come from
labels.csv and folders, and the rows only record which class the new classes were split from.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Self

from pipeline import paths
from pipeline.errors import RecordError
from pipeline.files import write_text
from pipeline.ingestion.labelling.class_names import class_name
from pipeline.text import csv_text, shown
from pipeline.versioning.lock import checkout_hint

HEADER = ("old", "new")
DROPPED = ""
Row = tuple[str, str]


class ClassMapping:
    """The rows of data/classes.csv, and the renamings that they imply."""

    def __init__(self, rows: Iterable[Row] = (), path: Path = paths.CLASSES) -> None:
        """Create it from `rows`, pairs of an old and a new class; errors name the file `path`.

        Raises:
            RecordError: rows form a cycle, or drop a class that other rows rename or split.
        """
        self._heirs: dict[str, list[str]] = {}
        for old, new in sorted(set(rows)):
            self._heirs.setdefault(old, []).append(new)
        for old, heirs in self._heirs.items():
            if DROPPED in heirs[1:] or (DROPPED in heirs and len(heirs) > 1):
                what = f"one row drops {shown(old)}, another one makes it {shown(heirs[-1])}"
                raise RecordError(path, what, "leave one of them")
        self._labels = {old: self._follow(old, path) for old in self._heirs}

    @classmethod
    def read(cls, path: Path = paths.CLASSES) -> Self:
        """Read the file `path`; without it the mapping is empty.

        Raises:
            RecordError: the file or a row is invalid.
        """
        return cls(read_rows(path.read_bytes(), path), path) if path.exists() else cls()

    @property
    def rows(self) -> list[Row]:
        """All rows, sorted."""
        return [(old, new) for old, heirs in self._heirs.items() for new in heirs]

    @property
    def heirs(self) -> Mapping[str, list[str]]:
        """The new classes of each old one, `DROPPED` among them."""
        return self._heirs

    def label(self, name: str) -> str | None:
        """Return the current class of images labelled `name`; None if that class is dropped."""
        return self._labels.get(name, name)

    def is_split(self, name: str) -> bool:
        """Whether `name` was split into several classes; images still labelled `name` keep it."""
        return len(self._heirs.get(name, ())) > 1

    def descendants(self, name: str) -> list[str]:
        """Return all classes that images of `name` may have now, through renamings and splits.

        `name` itself is included unless it is renamed or dropped.
        """
        found: dict[str, None] = {}
        waiting = [name]
        while waiting:
            label = self.label(waiting.pop())
            if label is not None and label not in found:
                found[label] = None
                waiting += self._heirs.get(label, ())
        return [one for one in found if one != DROPPED]

    def write(self, path: Path = paths.CLASSES) -> None:
        """Write the rows to the file `path` atomically."""
        write_text(path, to_text(self.rows))

    def _follow(self, old: str, path: Path) -> str | None:
        """Return the last class in the chain of renamings from `old`; None if it is dropped."""
        passed, name = [old], old
        while len(heirs := self._heirs.get(name, [])) == 1 and heirs[0] != name:
            name = heirs[0]
            if name == DROPPED:
                return None
            if name in passed:
                circle = " → ".join(map(shown, [*passed[passed.index(name) :], name]))
                raise RecordError(path, f"{circle} is a cycle", "remove one of these rows")
            passed.append(name)
        return name


def read_rows(content: bytes, path: Path) -> list[Row]:
    """Return the rows in `content`, a version of the file `path`.

    Raises:
        RecordError: the content is not CSV with two columns, or contains an invalid class name.
    """
    try:
        lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise RecordError(path, f"not a CSV file in UTF-8 ({error})", checkout_hint(path)) from None
    if not lines or tuple(cell.strip() for cell in lines[0]) != HEADER:
        raise RecordError(path, f"its first line is not `{','.join(HEADER)}`", checkout_hint(path))
    return list(_rows(lines[1:], path))


def to_text(rows: Iterable[Row]) -> str:
    """Return the content of a file with these `rows`."""
    return csv_text([HEADER, *sorted(set(rows))])


def _rows(lines: Iterable[list[str]], path: Path) -> Iterator[Row]:
    for number, cells in enumerate(lines, 2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(HEADER):
            raise RecordError(
                path, f"line {number} does not have two cells", "write `old,new`, or `old,` to drop a class"
            )
        old, new = (class_name(cell) for cell in cells)
        if old is None or (new is None and cells[1].strip()):
            wrong = cells[0] if old is None else cells[1]
            raise RecordError(path, f"line {number}: {wrong!r} cannot be the name of a class", "correct it")
        yield old, new or DROPPED
