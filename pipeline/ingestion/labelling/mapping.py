"""data/classes.csv: what became of classes that were renamed, merged, split or dropped. Git holds it.

One row `old,new` gives every label `old` the name `new`; where that is a class too, or several rows have the same
`new`, they become one. An empty `new` drops the class. Several rows for one `old` split it: labels come from labels.csv
and folders as ever, and the rows say only which class the new ones come of.
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
    """The rows of data/classes.csv, and what follows from them."""

    def __init__(self, rows: Iterable[Row] = (), path: Path = paths.CLASSES) -> None:
        """`rows` are pairs of an old class and a new one; `path` is what an error names.

        Raises:
            RecordError: rows go round in a circle, or drop a class that others keep.
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
        """What the file `path` says; nothing where there is none.

        Raises:
            RecordError: it cannot be understood.
        """
        return cls(read_rows(path.read_bytes(), path), path) if path.exists() else cls()

    @property
    def rows(self) -> list[Row]:
        """All of them, sorted."""
        return [(old, new) for old, heirs in self._heirs.items() for new in heirs]

    @property
    def heirs(self) -> Mapping[str, list[str]]:
        """The new classes of each old one, `DROPPED` among them."""
        return self._heirs

    def label(self, name: str) -> str | None:
        """What images labelled `name` are called now; None where that class is dropped."""
        return self._labels.get(name, name)

    def is_split(self, name: str) -> bool:
        """Whether other classes come of `name`, while its own images stay what they are."""
        return len(self._heirs.get(name, ())) > 1

    def descendants(self, name: str) -> list[str]:
        """All classes that may come of `name`, itself included where it is not renamed; splits are followed, too."""
        found: dict[str, None] = {}
        waiting = [name]
        while waiting:
            label = self.label(waiting.pop())
            if label is not None and label not in found:
                found[label] = None
                waiting += self._heirs.get(label, ())
        return [one for one in found if one != DROPPED]

    def write(self, path: Path = paths.CLASSES) -> None:
        """Write the rows into the file `path`, in one step."""
        write_text(path, to_text(self.rows))

    def _follow(self, old: str, path: Path) -> str | None:
        """What the chain of rows that begins at `old` ends in."""
        passed, name = [old], old
        while len(heirs := self._heirs.get(name, [])) == 1 and heirs[0] != name:
            name = heirs[0]
            if name == DROPPED:
                return None
            if name in passed:
                circle = " → ".join(map(shown, [*passed[passed.index(name) :], name]))
                raise RecordError(path, f"{circle} goes round in a circle", "take one of these rows out")
            passed.append(name)
        return name


def read_rows(content: bytes, path: Path) -> list[Row]:
    """The rows of a version of the file `path`.

    Raises:
        RecordError: it is no CSV file of two columns, or a name cannot be that of a class.
    """
    try:
        lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise RecordError(path, f"not a CSV file in UTF-8 ({error})", checkout_hint(path)) from None
    if not lines or tuple(cell.strip() for cell in lines[0]) != HEADER:
        raise RecordError(path, f"its first line is not `{','.join(HEADER)}`", checkout_hint(path))
    return list(_rows(lines[1:], path))


def to_text(rows: Iterable[Row]) -> str:
    """The content of a file with these `rows`."""
    return csv_text([HEADER, *sorted(set(rows))])


def _rows(lines: Iterable[list[str]], path: Path) -> Iterator[Row]:
    for number, cells in enumerate(lines, 2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(HEADER):
            raise RecordError(path, f"line {number} has not two cells", "write `old,new`, or `old,` to drop a class")
        old, new = (class_name(cell) for cell in cells)
        if old is None or (new is None and cells[1].strip()):
            wrong = cells[0] if old is None else cells[1]
            raise RecordError(path, f"line {number}: {wrong!r} cannot be the name of a class", "correct it")
        yield old, new or DROPPED
