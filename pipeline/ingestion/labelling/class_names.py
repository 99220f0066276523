"""What can be the name of a class, and which one an image's folder says.

Archives are seen through: `cat/1.png`, `cat/old.zip!/1.png` and `more.zip!/cat/1.png` are all of class `cat`.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from unicodedata import category, normalize

# What is not seen at the ends of a name; `str.strip` knows blanks only.
INVISIBLE = "\ufeff\u200b\u2060\u200e\u200f"
ACCENTS = frozenset(map(chr, range(0x300, 0x370)))

# In which UTF-8 is read by mistake, and what it often becomes there: lines and blocks, which no class is called.
CODE_PAGES = ("cp437", "cp1252")
DRAWN = re.compile(r"[\u2500-\u259f]")


def class_name(text: str) -> str | None:
    """The class that `text` names: composed, without blanks around; None where it cannot stand in a manifest."""
    if "/" in text or has_control(text):
        return None
    # The same name comes in two spellings: macOS writes é as two characters.
    name = normalize("NFC", text)
    while (bare := name.strip().strip(INVISIBLE)) != name:
        name = bare
    return name or None


def has_control(text: str) -> bool:
    """Whether there is a control character in `text`, a line break say."""
    return not text.isprintable() and any(category(char) == "Cc" for char in text)


def label_of(path: str, member: str | None, strip: int = 0) -> str | None:
    """The class that an image's folder says, or None where it lies outside any class folder.

    The folder is the first one, or the first after `strip` others.
    """
    return _label_of_folder(folder_of(path, member), strip)


def folder_of(path: str, member: str | None) -> str:
    """The folder that an image lies in, its archive being seen through."""
    folder, _, _ = path.rpartition("/")
    return (path if member is None else f"{folder}/{member}").rpartition("/")[0]


@lru_cache(2**16)
def parts_of(folder: str) -> tuple[str, ...]:
    """The names of the folders in the path `folder`, the outermost first."""
    return tuple(part for part in folder.split("/") if part not in ("", "."))


@lru_cache(2**16)
def _label_of_folder(folder: str, strip: int) -> str | None:
    parts = parts_of(folder)
    return class_name(parts[strip]) if len(parts) > strip else None


def alike(labels: Iterable[str]) -> list[list[str]]:
    """Those of `labels` that look like one class: they differ in case, accents, kinds of blanks or in encoding only."""
    groups: dict[str, list[str]] = {}
    for label in sorted(set(labels)):
        groups.setdefault(_bare(label), []).append(label)
    return [group for group in groups.values() if len(group) > 1]


def _bare(label: str) -> str:
    """`label` without case, and without the accents of Latin, Greek and Cyrillic; other scripts' marks make words."""
    letters = "".join(char for char in normalize("NFKD", label) if char not in ACCENTS)
    return " ".join(normalize("NFKC", letters).casefold().split())


def ungarbled(label: str) -> str | None:
    """What a class was called before its UTF-8 was read in a code page, empty where that cannot be told.

    None where its name looks like one.
    """
    if label.isascii():
        return None
    for page in CODE_PAGES:
        with suppress(UnicodeError):
            return label.encode(page).decode()
    return "" if DRAWN.search(label) else None
