"""data/erased.csv: the images that leave nothing behind once they are gone from data/raw.

Git holds it, and ingest depends on it, so that what one person erases no other person's shards bring back.
"""

import csv
import re
from collections.abc import Iterable
from pathlib import Path

from pipeline import paths
from pipeline.errors import RecordError
from pipeline.files import write_text
from pipeline.text import csv_text
from pipeline.versioning.lock import checkout_hint

COLUMN = "id"


def read_erased(path: Path = paths.ERASED) -> frozenset[str]:
    """The ids in it; none where there is no such file.

    Raises:
        RecordError: it holds something else, so that it is not known what it means.
    """
    if not path.exists():
        return frozenset()
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        ids = {row[0] for row in csv.reader(file) if row} - {COLUMN}
    for one in ids:
        if not re.fullmatch("[0-9a-f]{32}", one):
            raise RecordError(path, f"{one!r} is no id of an image", checkout_hint(path))
    return frozenset(ids)


def note_erased(ids: Iterable[str], path: Path = paths.ERASED) -> None:
    """Add `ids` to it, a line each, so that Git can merge the lines of both sides."""
    write_text(path, csv_text([[COLUMN], *([one] for one in sorted(read_erased(path) | set(ids)))]))
