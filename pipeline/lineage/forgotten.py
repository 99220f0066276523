"""data/forgotten.csv: the images that are to leave nothing behind, and what was deleted for it. Git holds it.

So no clone takes such an image in again, or starts from a model that has seen one, and history says what is gone.
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
    """What it lists."""

    rows: frozenset[tuple[str, str]] = frozenset()
    """Pairs of what something was (an image, an archive, a model) and its hash."""

    @classmethod
    def read(cls, path: Path = paths.FORGOTTEN) -> Self:
        """Nothing where there is no such file.

        Raises:
            RecordError: it holds something else, so that it is not known what it means.
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
        """The ids of images."""
        return self._of(IMAGE)

    @property
    def models(self) -> frozenset[str]:
        """The hashes of models that have seen one of them."""
        return self._of(MODEL)

    @property
    def hashes(self) -> frozenset[str]:
        """All hashes."""
        return frozenset(oid for _, oid in self.rows)

    def note(self, rows: Iterable[tuple[str, str]], path: Path = paths.FORGOTTEN) -> Self:
        """Add `rows` to it, a line each, so that Git can merge the lines of both sides."""
        both = self._replace(rows=self.rows | frozenset(rows))
        write_text(path, csv_text([HEADER, *sorted(both.rows)]))
        return both

    def _of(self, kind: str) -> frozenset[str]:
        return frozenset(oid for what, oid in self.rows if what == kind)
