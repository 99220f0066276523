"""Which class an image belongs to: what labels.csv says, else the first folder below data/raw.

Archives are seen through: `cat/1.png`, `cat/old.zip!/1.png` and `more.zip!/cat/1.png` are all of class `cat`.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from fnmatch import translate
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple, Self
from unicodedata import category, normalize

from pipeline import paths
from pipeline.errors import ImagesError

LABELS = "labels.csv"
# Between an archive's path and the name of a member, as in JAR addresses.
MEMBER = "!/"
SYSTEM_FILES = {".DS_Store", "Icon\r", "Thumbs.db", "desktop.ini", ".gitignore", ".gitkeep", ".dvcignore"}


# What slices.csv and metrics.json call their own.
TAKEN = ("id", "generation", "new", "old")


class LabelLine(NamedTuple):
    """What labels.csv says of an image."""

    label: str | None
    attributes: str
    """Its further columns as a JSON object, in the same bytes for the same content; empty where they are."""


class Labels:
    """The class of each place in data/raw.

    A line of labels.csv names a source, `cat/1.png` or `more.zip!/dog/b.jpg`, or is a glob over sources in which `*`
    stands for anything, slashes included. A name is stronger than a glob, and a later line than an earlier one.
    """

    def __init__(self, lines: Iterable[tuple[str, LabelLine]]) -> None:
        """`lines` are pairs of path or glob, and what is said of it."""
        self._names: dict[str, LabelLine] = {}
        globs: dict[str, LabelLine] = {}
        for pattern, line in lines:
            kind = globs if re.search(r"[*?[]", pattern) else self._names
            kind.pop(pattern, None)
            kind[pattern] = line
        self._globs = [(pattern, re.compile(translate(pattern)), line) for pattern, line in reversed(globs.items())]
        self._unused = dict.fromkeys([*self._names, *globs])

    @classmethod
    def read(cls, path: Path = paths.RAW / LABELS) -> Self:
        """What the file `path` says; nothing where there is none.

        Raises:
            ImagesError: it lacks the columns `path` and `label`, a line lacks one of them, or another column has a
                name or a value that cannot be used.
        """
        if not path.exists():
            return cls([])
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                return cls(_lines(path, csv.reader(file)))
        except (UnicodeDecodeError, csv.Error) as error:
            raise ImagesError(path, f"not a CSV file in UTF-8 ({error})", "save it as one") from None

    def of(self, path: str, member: str | None) -> str | None:
        """The class of an image, or None where it lies outside any class folder and labels.csv is silent."""
        return self.find(path, member).label

    def find(self, path: str, member: str | None) -> LabelLine:
        """The same, and what else the line says that says the class."""
        if self._names or self._globs:
            line = self._listed(source_of(path, member))
            if line is not None:
                return line
        return LabelLine(label_of(path, member), "")

    @property
    def unused(self) -> list[str]:
        """The lines that no place has matched so far."""
        return list(self._unused)

    def _listed(self, source: str) -> LabelLine | None:
        if source in self._names:
            self._unused.pop(source, None)
            return self._names[source]
        for pattern, expression, line in self._globs:
            if expression.match(source):
                self._unused.pop(pattern, None)
                return line
        return None


def _lines(where: Path, rows: Iterator[list[str]]) -> Iterator[tuple[str, LabelLine]]:
    """The lines of labels.csv: path or glob, and what is said of it. The same object stands for the same content."""
    names = [normalize("NFC", name) for name in next(rows, [])]
    _check_names(where, names)
    known: dict[LabelLine, LabelLine] = {}
    for number, row in enumerate(filter(None, rows), start=2):
        cells = dict(zip(names, row, strict=False))
        path, label = cells.pop("path", ""), cells.pop("label", "")
        if not path or not is_class_name(label):
            what = f"line {number} has no path, no label, or a label with a slash or a control character in it"
            raise ImagesError(where, what, "its first line is `path,label`, and every other has both")
        if any(cell.strip() for name, cell in zip_longest(names, row, fillvalue="") if not name.strip()):
            raise ImagesError(where, f"line {number} has a value in a column without a name", "name the column")
        line = LabelLine(normalize("NFC", label), _attributes(where, number, cells))
        yield path, known.setdefault(line, line)


def _check_names(where: Path, names: list[str]) -> None:
    for name, count in Counter(names).items():
        if name.strip() and count > 1:
            raise ImagesError(where, f"{count} columns are called {name!r}", "leave one of them, or rename the others")
        if name in TAKEN:
            raise ImagesError(where, f"a column is called {name!r}, which has a meaning of its own", "rename it")
        if _has_control(name):
            raise ImagesError(where, f"a control character in the name of column {name!r}", "rename it")


def _attributes(where: Path, number: int, cells: dict[str, str]) -> str:
    for name, value in cells.items():
        if _has_control(value):
            what = f"line {number} has a control character in column {name!r}"
            raise ImagesError(where, what, "take it out, a line break perhaps")
    values = {name: normalize("NFC", value) for name, value in cells.items() if value.strip()}
    return json.dumps(values, ensure_ascii=False, sort_keys=True) if values else ""


def source_of(path: str, member: str | None) -> str:
    """How an image is named to people: its file in data/raw, with the member's name if that is an archive."""
    return f"{path}{MEMBER}{member}" if member else path


def label_of(path: str, member: str | None) -> str | None:
    """The class that an image's folder says, or None where it lies outside any class folder."""
    folder, _, _ = path.rpartition("/")
    return _label_of_folder((path if member is None else f"{folder}/{member}").rpartition("/")[0])


@lru_cache(2**16)
def _label_of_folder(folder: str) -> str | None:
    parts = [part for part in folder.split("/") if part not in ("", ".")]
    # The same name comes in two spellings: macOS writes é as two characters.
    return normalize("NFC", parts[0]) if parts and is_class_name(parts[0]) else None


def is_class_name(label: str) -> bool:
    """Whether `label` can stand in a line of a manifest: not blank, no slash, no control character."""
    return bool(label.strip()) and "/" not in label and not _has_control(label)


def _has_control(text: str) -> bool:
    return not text.isprintable() and any(category(char) == "Cc" for char in text)


def is_system_file(name: str) -> bool:
    """Whether an operating system has left the file `name` (of any folder) behind."""
    *folders, last = name.split("/")
    return last in SYSTEM_FILES or last.startswith("._") or "__MACOSX" in folders
