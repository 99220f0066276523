"""Checks and normalises class names, and derives the class of an image from its folder.

Archives are treated like folders without a name: `cat/1.png`, `cat/old.zip!/1.png` and `more.zip!/cat/1.png` are all of
class `cat`.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from unicodedata import category, normalize

# Invisible characters at the ends of a name; `str.strip` removes whitespace only.
INVISIBLE = "\ufeff\u200b\u2060\u200e\u200f"
ACCENTS = frozenset(map(chr, range(0x300, 0x370)))

# Encodings in which UTF-8 is often read by mistake. Box-drawing characters often result; no class name has them.
CODE_PAGES = ("cp437", "cp1252")
DRAWN = re.compile(r"[\u2500-\u259f]")


def class_name(text: str) -> str | None:
    """Return `text` as a class name: composed (NFC) and stripped; None if it cannot be one.

    A class name is not empty and contains no slash and no control character.
    """
    if "/" in text or has_control(text):
        return None
    # The same name has two spellings in Unicode: macOS writes é as two characters.
    name = normalize("NFC", text)
    while (bare := name.strip().strip(INVISIBLE)) != name:
        name = bare
    return name or None


def has_control(text: str) -> bool:
    """Whether `text` contains a control character, such as a line break."""
    return not text.isprintable() and any(category(char) == "Cc" for char in text)


def label_of(path: str, member: str | None, strip: int = 0) -> str | None:
    """Return the class that the folders of an image name, or None if it lies outside any class folder.

    The class folder is the outermost one, after `strip` others.
    """
    return _label_of_folder(folder_of(path, member), strip)


def folder_of(path: str, member: str | None) -> str:
    """Return the path of an image's folder, without the name of its archive."""
    folder, _, _ = path.rpartition("/")
    return (path if member is None else f"{folder}/{member}").rpartition("/")[0]


@lru_cache(2**16)
def parts_of(folder: str) -> tuple[str, ...]:
    """Return the names of the folders in the path `folder`, the outermost first."""
    return tuple(part for part in folder.split("/") if part not in ("", "."))


@lru_cache(2**16)
def _label_of_folder(folder: str, strip: int) -> str | None:
    parts = parts_of(folder)
    return class_name(parts[strip]) if len(parts) > strip else None


def alike(labels: Iterable[str]) -> list[list[str]]:
    """Group those `labels` that look like the same class: they differ only in case, accents, spaces or Unicode form."""
    groups: dict[str, list[str]] = {}
    for label in sorted(set(labels)):
        groups.setdefault(_bare(label), []).append(label)
    return [group for group in groups.values() if len(group) > 1]


def _bare(label: str) -> str:
    """Return `label` without case and without combining accents; marks of other scripts stay, as they change words."""
    letters = "".join(char for char in normalize("NFKD", label) if char not in ACCENTS)
    return " ".join(normalize("NFKC", letters).casefold().split())


def ungarbled(label: str) -> str | None:
    """Return the original name of a class whose UTF-8 was decoded in a wrong code page.

    Empty if the original name cannot be recovered; None if the name does not look garbled.
    """
    if label.isascii():
        return None
    for page in CODE_PAGES:
        with suppress(UnicodeError):
            return label.encode(page).decode()
    return "" if DRAWN.search(label) else None
