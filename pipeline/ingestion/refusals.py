"""Why a file cannot be used: the reasons that refused.csv lists."""

import csv
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from pipeline import paths
from pipeline.errors import one_line

# The reasons that lie in an image's own bytes, so that the same bytes need not be inspected again.
UNUSABLE = {
    "empty",
    "not an image",
    "unsupported format",
    "unsupported archive",
    "unsupported pixels",
    "truncated",
    "broken",
    "animation",
    "absurd dimensions",
    "too large",
}
# What names a package that is not installed.
MISSING = re.compile(r"`pip install ([\w-]+)`")
# What releases said that did not read formats of today; of a TGA file without a mark they knew nothing.
UNREAD = ("HEIC", "TGA", "ICO", "DDS", "Photoshop (PSD)", "DICOM")
EARLIER = {("not an image", "no known format")} | {
    ("unsupported format", f"{kind}; convert it to PNG or JPEG") for kind in UNREAD
}
# Why images are left out whose class was dropped.
DROPPED = "dropped class"


class Refusal(NamedTuple):
    """Why something is not usable: one of a few phrases that one can count, and what else is known."""

    reason: str
    detail: str

    @property
    def is_passing(self) -> bool:
        """Whether it speaks of the place at that moment, not of the bytes, so that the next run looks again."""
        return self.reason in ("vanished", "unreadable", "changed")

    @property
    def is_outdated(self) -> bool:
        """Whether the same bytes may be read now: by this release, or by a package that has been installed since."""
        if self.reason != "unsupported format":
            return self in EARLIER
        missing = MISSING.search(self.detail)
        return self in EARLIER or (missing is not None and _is_installed(missing[1]))

    @staticmethod
    def is_of_place(error: Exception) -> bool:
        """Whether `error` speaks of the disk or the machine, and not of the bytes in a file."""
        return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None)

    @classmethod
    def of_place(cls, error: Exception) -> "Refusal":
        """Why a file of data/raw cannot be read now."""
        return cls("vanished" if isinstance(error, FileNotFoundError) else "unreadable", one_line(error))


# Of an image that somebody has put back.
FORGOTTEN = Refusal("forgotten", f"{paths.FORGOTTEN} lists it; `pipeline forget` deletes it again")


@cache
def _is_installed(package: str) -> bool:
    return find_spec(package.replace("-", "_")) is not None


def read_dropped(path: Path = paths.REFUSED) -> set[str]:
    """The ids of the images that refused.csv lists as of a class that was dropped: they are in data/raw still."""
    if not path.exists():
        return set()
    with path.open(newline="", encoding="utf-8") as file:
        return {line["id"] for line in csv.DictReader(file) if line["reason"] == DROPPED}
