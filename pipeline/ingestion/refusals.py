"""The reasons why a file cannot be used, as listed in refused.csv."""

import csv
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from pipeline import paths
from pipeline.errors import one_line

# Reasons that depend on an image's bytes only, so that the same bytes need not be decoded again.
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
# Matches the name of a missing package in a detail.
MISSING = re.compile(r"`pip install ([\w-]+)`")
# Refusals by earlier releases of formats that are supported now; they did not recognise a TGA file without footer.
UNREAD = ("HEIC", "TGA", "ICO", "DDS", "Photoshop (PSD)", "DICOM")
EARLIER = {("not an image", "no known format")} | {
    ("unsupported format", f"{kind}; convert it to PNG or JPEG") for kind in UNREAD
}
# The reason for images whose class was dropped.
DROPPED = "dropped class"


class Refusal(NamedTuple):
    """Why something cannot be used: a reason, one of a few fixed phrases, and details."""

    reason: str
    detail: str

    @property
    def is_passing(self) -> bool:
        """Whether the refusal is temporary: it concerns the place, not the bytes, so the next run tries again."""
        return self.reason in ("vanished", "unreadable", "changed")

    @property
    def is_outdated(self) -> bool:
        """Whether the same bytes may be readable now, by this release or by a package installed since."""
        if self.reason != "unsupported format":
            return self in EARLIER
        missing = MISSING.search(self.detail)
        return self in EARLIER or (missing is not None and _is_installed(missing[1]))

    @staticmethod
    def is_of_place(error: Exception) -> bool:
        """Whether `error` is caused by the disk or the machine, not by the bytes of a file."""
        return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None)

    @classmethod
    def of_place(cls, error: Exception) -> "Refusal":
        """Return the refusal of a file of data/raw that cannot be read now because of `error`."""
        return cls("vanished" if isinstance(error, FileNotFoundError) else "unreadable", one_line(error))


# For a forgotten image that is in data/raw again.
FORGOTTEN = Refusal("forgotten", f"{paths.FORGOTTEN} lists it; `pipeline forget` deletes it again")


@cache
def _is_installed(package: str) -> bool:
    return find_spec(package.replace("-", "_")) is not None


def read_dropped(path: Path = paths.REFUSED) -> set[str]:
    """Return the ids of images whose class was dropped, from refused.csv; they are still in data/raw."""
    if not path.exists():
        return set()
    with path.open(newline="", encoding="utf-8") as file:
        return {line["id"] for line in csv.DictReader(file) if line["reason"] == DROPPED}
