"""Which class an image belongs to: what labels.csv says, else the first folder below data/raw.

Archives are seen through: `cat/1.png`, `cat/old.zip!/1.png` and `more.zip!/cat/1.png` are all of class `cat`.
"""

import csv
import re
from fnmatch import translate
from functools import lru_cache
from pathlib import Path
from typing import Self
from unicodedata import category, normalize

from pipeline import paths
from pipeline.errors import ImagesError

LABELS = "labels.csv"
# Between an archive's path and the name of a member, as in JAR addresses.
MEMBER = "!/"
SYSTEM_FILES = {".DS_Store", "Thumbs.db", "desktop.ini", ".gitignore", ".gitkeep", ".dvcignore"}


class Labels:
    """The class of each place in data/raw.

    A line of labels.csv names a source, `cat/1.png` or `more.zip!/dog/b.jpg`, or is a glob over sources in which `*`
    stands for anything, slashes included. A name is stronger than a glob, and a later line than an earlier one.
    """

    def __init__(self, lines: list[tuple[str, str]]) -> None:
        """`lines` are pairs of path or glob, and label."""
        is_glob = [bool(re.search(r"[*?[]", pattern)) for pattern, _ in lines]
        self._names = {pattern: label for (pattern, label), glob in zip(lines, is_glob, strict=True) if not glob}
        globs = [line for line, glob in zip(lines, is_glob, strict=True) if glob]
        self._globs = [(pattern, re.compile(translate(pattern)), label) for pattern, label in reversed(globs)]
        self._unused = dict.fromkeys(pattern for pattern, _ in lines)

    @classmethod
    def read(cls, path: Path = paths.RAW / LABELS) -> Self:
        """What the file `path` says; nothing where there is none.

        Raises:
            ImagesError: it lacks the columns `path` and `label`, or a line lacks one of them.
        """
        if not path.exists():
            return cls([])
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                rows = list(csv.DictReader(file))
        except (UnicodeDecodeError, csv.Error) as error:
            raise ImagesError(path, f"not a CSV file in UTF-8 ({error})", "save it as one") from None
        for number, row in enumerate(rows, start=2):
            if not row.get("path") or not is_class_name(row.get("label") or ""):
                what = f"line {number} has no path, no label, or a label with a slash or a control character in it"
                raise ImagesError(path, what, "its first line is `path,label`, and every other has both")
        return cls([(row["path"], row["label"]) for row in rows])

    def of(self, path: str, member: str | None) -> str | None:
        """The class of an image, or None where it lies outside any class folder and labels.csv is silent."""
        if self._names or self._globs:
            label = self._listed(source_of(path, member))
            if label is not None:
                return normalize("NFC", label)
        return label_of(path, member)

    @property
    def unused(self) -> list[str]:
        """The lines that no place has matched so far."""
        return list(self._unused)

    def _listed(self, source: str) -> str | None:
        if source in self._names:
            self._unused.pop(source, None)
            return self._names[source]
        for pattern, expression, label in self._globs:
            if expression.match(source):
                self._unused.pop(pattern, None)
                return label
        return None


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
    return bool(label.strip()) and "/" not in label and not any(category(char) == "Cc" for char in label)


def is_system_file(name: str) -> bool:
    """Whether an operating system has left the file `name` (of any folder) behind."""
    *folders, last = name.split("/")
    return last in SYSTEM_FILES or last.startswith("._") or "__MACOSX" in folders
