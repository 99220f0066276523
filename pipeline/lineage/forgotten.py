"""data/forgotten.csv: the images that must leave no trace, and what was deleted for that purpose. Git tracks the file.

Because of it no clone ingests such an image again, or trains from a model that has seen one; and `pipeline log`
shows which models were deleted.
"""

import csv
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Self

from pipeline import paths
from pipeline.errors import RecordError
from pipeline.files import write_text
from pipeline.text import csv_text
from pipeline.versioning.lock import checkout_hint

HEADER = ("what", "hash")
IMAGE, MODEL = "image", "model"
HASH = re.compile(r"[0-9a-f]{32}(\.dir)?")


class Forgotten(NamedTuple):
    """The content of data/forgotten.csv."""

    rows: frozenset[tuple[str, str]] = frozenset()
    """Pairs of a kind (an image, an archive, a model) and a hash."""

    @classmethod
    def read(cls, path: Path = paths.FORGOTTEN) -> Self:
        """Read `path`; the result is empty where there is no such file.

        Raises:
            RecordError: a line does not have the expected form, so its meaning is unknown.
        """
        if not path.exists():
            return cls()
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            lines = [tuple(row) for row in csv.reader(file) if row and tuple(row) != HEADER]
        for line in lines:
            if len(line) != len(HEADER) or not HASH.fullmatch(line[1]):
                raise RecordError(path, f"a line is {','.join(line)!r}, and not what,hash", checkout_hint(path))
        return cls(frozenset((what, oid) for what, oid in lines))

    @property
    def images(self) -> frozenset[str]:
        """The ids of the forgotten images."""
        return self._of(IMAGE)

    @property
    def models(self) -> frozenset[str]:
        """The hashes of the models that have seen a forgotten image."""
        return self._of(MODEL)

    @property
    def hashes(self) -> frozenset[str]:
        """The hashes of all rows."""
        return frozenset(oid for _, oid in self.rows)

    def note(self, rows: Iterable[tuple[str, str]], path: Path = paths.FORGOTTEN) -> Self:
        """Add `rows` to the file, one per line so that Git can merge both sides; return its new content."""
        both = self._replace(rows=self.rows | frozenset(rows))
        write_text(path, csv_text([HEADER, *sorted(both.rows)]))
        return both

    def _of(self, kind: str) -> frozenset[str]:
        return frozenset(oid for what, oid in self.rows if what == kind)
