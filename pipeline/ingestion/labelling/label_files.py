"""Recognises and reads label files: labels.csv, and the metadata files of Hugging Face's ImageFolder."""

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any, BinaryIO

from pipeline import paths
from pipeline.errors import ImagesError
from pipeline.ingestion.labelling.dialects import Dialect
from pipeline.ingestion.labelling.label_tables import Columns, LabelRow, LabelTable

LABELS = paths.LABELS.name
# Read only if `ingest.columns` is set.
JSON_LINES = "metadata.jsonl"
METADATA = ("metadata.csv", JSON_LINES)
USUAL = Columns()


def is_label_file(path: str, columns: Columns) -> bool:
    """Whether the file `path` is a label file, given `columns`."""
    name = path.rpartition("/")[2]
    return name == LABELS or (name in METADATA and columns != USUAL)


def label_rows(where: object, file: BinaryIO, columns: Columns) -> Iterator[LabelRow]:
    """Return the rows of `file`, called `where` in messages; raises what `LabelTable` and its `rows` raise."""
    if str(where).endswith(JSON_LINES):
        return LabelTable(where, _as_csv(where, file), columns, shift=1).rows()
    return LabelTable(where, file, columns).rows()


def _as_csv(where: object, file: BinaryIO) -> BinaryIO:
    """Convert a file of JSON objects, one per line, to CSV."""
    entries = [_entry(where, number, line) for number, line in enumerate(file.read().splitlines(), 1)]
    names = list(dict.fromkeys(name for entry in entries for name in entry))
    return BytesIO(Dialect().written([names, *([entry.get(name, "") for name in names] for entry in entries)]))


def _entry(where: object, number: int, line: bytes) -> dict[str, str]:
    """Return the strings and numbers of a line's JSON object; nested values and nulls are ignored."""
    try:
        entry: Any = json.loads(line.decode("utf-8-sig")) if line.strip() else {}
    except ValueError:
        entry = None
    if not isinstance(entry, dict):
        raise ImagesError(where, f"line {number} is not a JSON object", "write one object per line, in UTF-8")
    plain = {name: value for name, value in entry.items() if not isinstance(value, dict | list | None)}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in plain.items()}
