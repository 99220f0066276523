"""Which files are files of labels, and what each says: labels.csv, and the metadata of Hugging Face's folders."""

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any, BinaryIO

from pipeline import paths
from pipeline.errors import ImagesError
from pipeline.ingestion.labelling.dialects import Dialect
from pipeline.ingestion.labelling.label_tables import Columns, LabelRow, LabelTable

LABELS = paths.LABELS.name
# They are read once `ingest.columns` says what is in them.
JSON_LINES = "metadata.jsonl"
METADATA = ("metadata.csv", JSON_LINES)
USUAL = Columns()


def is_label_file(path: str, columns: Columns) -> bool:
    """Whether the file `path` says what the labels of images next to it are."""
    name = path.rpartition("/")[2]
    return name == LABELS or (name in METADATA and columns != USUAL)


def label_rows(where: object, file: BinaryIO, columns: Columns) -> Iterator[LabelRow]:
    """The rows of `file`, which is named `where` to people; see `LabelTable` for what is raised, and when."""
    if str(where).endswith(JSON_LINES):
        return LabelTable(where, _as_csv(where, file), columns, shift=1).rows()
    return LabelTable(where, file, columns).rows()


def _as_csv(where: object, file: BinaryIO) -> BinaryIO:
    """What the JSON objects in `file` say, one a line, below a header."""
    entries = [_entry(where, number, line) for number, line in enumerate(file.read().splitlines(), 1)]
    names = list(dict.fromkeys(name for entry in entries for name in entry))
    return BytesIO(Dialect().written([names, *([entry.get(name, "") for name in names] for entry in entries)]))


def _entry(where: object, number: int, line: bytes) -> dict[str, str]:
    """The texts and numbers in a line; what is nested is no label, and no column of one."""
    try:
        entry: Any = json.loads(line.decode("utf-8-sig")) if line.strip() else {}
    except ValueError:
        entry = None
    if not isinstance(entry, dict):
        raise ImagesError(where, f"line {number} is no JSON object", "write one a line, in UTF-8")
    plain = {name: value for name, value in entry.items() if not isinstance(value, dict | list | None)}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in plain.items()}
