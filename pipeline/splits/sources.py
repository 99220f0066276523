"""What the index says of where an image is, and what labels.csv says of it."""

import json
from unicodedata import normalize

import pyarrow as pa

from pipeline.ingestion.labelling.class_names import folder_of, parts_of
from pipeline.ingestion.labelling.sources import place_of


def values_of(images: pa.Table, column: str) -> list[str]:
    """What labels.csv says in its further `column` of each of `images`, without blanks around; empty where nothing."""
    known: dict[str, str] = {"": ""}
    values = []
    for text in images["attributes"].to_pylist():
        if text not in known:
            known[text] = json.loads(text).get(column, "").strip()
        values.append(known[text])
    return values


def seen_through(source: str) -> tuple[str, tuple[str, ...], str]:
    """The file in data/raw that holds an image, the folders that it lies in, archives seen through, and its name."""
    path, member = place_of(source)
    name = source.rpartition("/")[2]
    return path, parts_of(normalize("NFC", folder_of(path, member))), normalize("NFC", name)
