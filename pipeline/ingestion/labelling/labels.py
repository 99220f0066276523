"""Which class an image belongs to: what labels.csv says, else the first folder below data/raw.

Archives are seen through: `cat/1.png`, `cat/old.zip!/1.png` and `more.zip!/cat/1.png` are all of class `cat`.
"""

import csv
import json
from array import array
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Self
from unicodedata import normalize

from pipeline import paths
from pipeline.errors import ImagesError
from pipeline.ingestion.labelling.class_names import class_name, has_control, label_of
from pipeline.ingestion.labelling.globs import Globs, is_glob
from pipeline.ingestion.labelling.strips import Strips

LABELS = "labels.csv"
# Between an archive's path and the name of a member, as in JAR addresses.
MEMBER = "!/"
SYSTEM_FILES = {".DS_Store", "Icon\r", "Thumbs.db", "desktop.ini", ".gitignore", ".gitkeep", ".dvcignore"}
NOWHERE: Mapping[str, int] = MappingProxyType({})
FORM = "its first line is `path,label`, and every other has both"

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
    stands for anything, slashes included. A name is stronger than a glob, and a later line than an earlier one. What
    looks like a glob and is the name of a source is a name, once `settle` has been told of it.
    """

    def __init__(
        self,
        lines: Iterable[tuple[int, str, LabelLine]],
        *,
        strip: Mapping[str, int] = NOWHERE,
        classes: Container[str] | None = None,
    ) -> None:
        """`lines` are the number of each, path or glob, and what is said of it; `strip` is `ingest.strip`.

        `classes` are those that are known from before; None where a folder's name is taken for a class without a doubt.
        """
        self.classes = classes
        self._strips = Strips(strip)
        self._numbers, self._paths, self._lines = array("L"), list[str](), list[LabelLine]()
        self._at: dict[str, int] = {}
        self._composed: dict[str, int] = {}
        self._clashes: dict[tuple[int, int], str] = {}
        for number, path, line in lines:
            self._numbers.append(number)
            self._paths.append(path)
            self._lines.append(line)
            self._place(path, len(self._paths) - 1)
        self._used = bytearray(len(self._paths))
        self._pending = {_composed(path): at for path, at in self._at.items() if is_glob(path)}
        self._globs = Globs(self._pending.items())

    @classmethod
    def read(
        cls,
        path: Path = paths.RAW / LABELS,
        *,
        strip: Mapping[str, int] = NOWHERE,
        classes: Container[str] | None = None,
    ) -> Self:
        """What the file `path` says; nothing where there is none. The rest is as for `Labels` itself.

        Raises:
            ImagesError: it lacks the columns `path` and `label`, a line lacks one of them, or another column has a
                name or a value that cannot be used.
        """
        if not path.exists():
            return cls([], strip=strip, classes=classes)
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                return cls(_lines(path, csv.reader(file)), strip=strip, classes=classes)
        except (UnicodeDecodeError, csv.Error) as error:
            raise ImagesError(path, f"not a CSV file in UTF-8 ({error})", "save it as one") from None

    def settle(self, sources: Iterable[str]) -> None:
        """Take what looks like a glob and is one of `sources` for that name alone: `cat/img [1].png`, say."""
        if not self._pending:
            return
        names = {name for source in sources if (name := _composed(source)) in self._pending}
        if names:
            self._pending = {path: at for path, at in self._pending.items() if path not in names}
            self._globs = Globs(self._pending.items())

    def of(self, path: str, member: str | None) -> str | None:
        """The class of an image, or None where it lies outside any class folder and labels.csv is silent."""
        return self.find(path, member).label

    def find(self, path: str, member: str | None) -> LabelLine:
        """The same, and what else the line says that says the class."""
        return self.listed(path, member) or LabelLine(label_of(path, member, self._strips.of(path) or 0), "")

    def listed(self, path: str, member: str | None) -> LabelLine | None:
        """What labels.csv says of an image, None where it is silent."""
        if not self._paths:
            return None
        source = source_of(path, member)
        at = self._named(source)
        if at is None:
            at = self._matched(source)
        if at is None:
            return None
        self._used[at] = 1
        return self._lines[at]

    def is_certain(self, path: str, member: str | None) -> bool:
        """Whether labels.csv says the class of an image, or `ingest.strip` which of its folders does."""
        return self._strips.of(path) is not None or self.listed(path, member) is not None

    @property
    def unused(self) -> list[str]:
        """The lines that no place has matched so far."""
        return [path for path, at in self._at.items() if not self._used[at]]

    @property
    def clashes(self) -> list[str]:
        """Which lines gave one image different labels so far, and which of them counts: a sentence each."""
        return [
            f"lines {self._numbers[one]} and {self._numbers[other]} give {source} different labels, "
            f"{self._lines[one].label} and {self._lines[other].label}; the later line counts"
            for (one, other), source in sorted(self._clashes.items())
        ]

    def _place(self, path: str, at: int) -> None:
        """Let the line at `at` be the one that counts for `path`."""
        composed = _composed(path)
        self._note_clash(self._composed.get(composed), at, path)
        self._at.pop(path, None)
        self._at[path] = self._composed[composed] = at

    def _note_clash(self, before: int | None, at: int, source: str) -> None:
        if before is not None and self._lines[before].label != self._lines[at].label:
            self._clashes.setdefault((before, at), source)

    def _named(self, source: str) -> int | None:
        """The line of the name `source`, however its letters are spelt."""
        at = self._at.get(source)
        return self._composed.get(_composed(source)) if at is None and not source.isascii() else at

    def _matched(self, source: str) -> int | None:
        """The last line whose glob matches `source`."""
        matching = self._globs.matching(_composed(source))
        for other in matching[:-1]:
            self._note_clash(other, matching[-1], source)
        return matching[-1] if matching else None


def _composed(path: str) -> str:
    """`path` with its letters spelt in one way: macOS writes é as two characters."""
    return path if path.isascii() else normalize("NFC", path)


def _lines(where: Path, rows: Any) -> Iterator[tuple[int, str, LabelLine]]:
    """The lines of labels.csv: number, path or glob, and what is said. The same object stands for the same content.

    `rows` is a reader of the module csv.
    """
    names = [normalize("NFC", name) for name in next(rows, [])]
    _check_names(where, names)
    known: dict[LabelLine, LabelLine] = {}
    number = rows.line_num + 1
    for row in rows:
        if row:
            cells = dict(zip(names, row, strict=False))
            path, label = cells.pop("path", ""), _label(where, number, cells, names)
            if not path:
                raise ImagesError(where, f"line {number} has no path", FORM)
            if any(cell.strip() for name, cell in zip_longest(names, row, fillvalue="") if not name.strip()):
                raise ImagesError(where, f"line {number} has a value in a column without a name", "name the column")
            line = LabelLine(label, _attributes(where, number, cells))
            yield number, path, known.setdefault(line, line)
        number = rows.line_num + 1


def _label(where: Path, number: int, cells: dict[str, str], names: list[str]) -> str:
    """Take the label out of `cells`."""
    for name in ("path", "label"):
        if name not in names:
            raise ImagesError(where, f"line 1 names no column {name!r}", FORM)
    text = cells.pop("label", "")
    label = class_name(text)
    if label is None:
        wrong = f"a slash or a control character in its label {text!r}" if text.strip() else "no label"
        raise ImagesError(where, f"line {number} has {wrong}", FORM)
    return label


def _check_names(where: Path, names: list[str]) -> None:
    for name, count in Counter(names).items():
        if name.strip() and count > 1:
            raise ImagesError(where, f"{count} columns are called {name!r}", "leave one of them, or rename the others")
        if name in TAKEN:
            raise ImagesError(where, f"a column is called {name!r}, which has a meaning of its own", "rename it")
        if has_control(name):
            raise ImagesError(where, f"a control character in the name of column {name!r}", "rename it")


def _attributes(where: Path, number: int, cells: dict[str, str]) -> str:
    for name, value in cells.items():
        if has_control(value):
            what = f"line {number} has a control character in column {name!r}"
            raise ImagesError(where, what, "take it out, a line break perhaps")
    values = {name: normalize("NFC", value) for name, value in cells.items() if value.strip()}
    return json.dumps(values, ensure_ascii=False, sort_keys=True) if values else ""


def source_of(path: str, member: str | None) -> str:
    """How an image is named to people: its file in data/raw, with the member's name if that is an archive."""
    return f"{path}{MEMBER}{member}" if member else path


def is_system_file(name: str) -> bool:
    """Whether an operating system has left the file `name` (of any folder) behind."""
    *folders, last = name.split("/")
    return last in SYSTEM_FILES or last.startswith("._") or "__MACOSX" in folders
