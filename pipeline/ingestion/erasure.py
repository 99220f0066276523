"""data/erased.csv: the ids of images whose data is erased completely once they are gone from data/raw.

Git tracks it and ingest depends on it, so that an erased image does not come back from another person's shards.
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
    """Return the ids in the file `path`; an empty set if it does not exist.

    Raises:
        RecordError: the file contains something other than ids.
    """
    if not path.exists():
        return frozenset()
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        ids = {row[0] for row in csv.reader(file) if row} - {COLUMN}
    for one in ids:
        if not re.fullmatch("[0-9a-f]{32}", one):
            raise RecordError(path, f"{one!r} is not the id of an image", checkout_hint(path))
    return frozenset(ids)


def note_erased(ids: Iterable[str], path: Path = paths.ERASED) -> None:
    """Add `ids` to the file `path`, one per line, so that Git can merge two versions line by line."""
    write_text(path, csv_text([[COLUMN], *([one] for one in sorted(read_erased(path) | set(ids)))]))
