"""Reads an image's path and its further columns of labels.csv from the index."""

import json
from unicodedata import normalize

import pyarrow as pa

from pipeline.ingestion.labelling.class_names import folder_of, parts_of
from pipeline.ingestion.labelling.sources import place_of


def values_of(images: pa.Table, column: str) -> list[str]:
    """Return the cell of each of `images` in the further `column` of labels.csv, stripped; empty without one."""
    known: dict[str, str] = {"": ""}
    values = []
    for text in images["attributes"].to_pylist():
        if text not in known:
            known[text] = json.loads(text).get(column, "").strip()
        values.append(known[text])
    return values


def seen_through(source: str) -> tuple[str, tuple[str, ...], str]:
    """Split `source` into the file in data/raw, the folders of the image (archives count as folders), and its name."""
    path, member = place_of(source)
    name = source.rpartition("/")[2]
    return path, parts_of(normalize("NFC", folder_of(path, member))), normalize("NFC", name)
