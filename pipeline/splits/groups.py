"""Which images belong together, by `manifest.split.group`: those of one patient, site or burst go to one split.

A group lies in where an image is and in what labels.csv says of it, so nothing is decoded to know it. Of an image in
several places the first one by name counts, and the columns of the first one that has any, as everywhere.
"""

import json
import re
from collections.abc import Iterable
from unicodedata import normalize

import pyarrow as pa

from pipeline.ingestion.labelling.class_names import folder_of, parts_of
from pipeline.ingestion.labelling.labels import MEMBER
from pipeline.ingestion.labelling.strips import Strips
from pipeline.ingestion.unpacking.archives import is_archive
from pipeline.params import EXPRESSION, Params

COLUMN = "group"


def groups_of(images: pa.Table, params: Params) -> list[str]:
    """The group of each of `images`, which has the columns source and attributes; empty where it has none."""
    rule = params.manifest.split.group
    if rule is None:
        return [""] * len(images)
    if rule == "labels":
        return values_of(images["attributes"].to_pylist(), COLUMN)
    folders = map(_seen_through, images["source"].to_pylist())
    if rule == "folder":
        strips = Strips(params.ingest.strip)
        return ["/".join(parts[(strips.of(path) or 0) + 1 :]) for path, parts, _ in folders]
    pattern = re.compile(rule.removeprefix(EXPRESSION))
    return [_match(pattern, parts, name) for _, parts, name in folders]


def values_of(attributes: Iterable[str], column: str) -> list[str]:
    """What each of `attributes`, JSON objects of the further columns of labels.csv, says in `column`; else empty."""
    known: dict[str, str] = {"": ""}
    values = []
    for text in attributes:
        if text not in known:
            known[text] = json.loads(text).get(column, "").strip()
        values.append(known[text])
    return values


def _match(pattern: re.Pattern[str], parts: tuple[str, ...], name: str) -> str:
    """What `pattern` finds in the file's name, else in its path: its brackets, or all of it where it has none."""
    found = pattern.search(name) or pattern.search("/".join((*parts, name)))
    if found is None:
        return ""
    return "/".join(filter(None, found.groups())) if pattern.groups else found[0]


def _seen_through(source: str) -> tuple[str, tuple[str, ...], str]:
    """The file in data/raw that holds an image, the folders that it lies in, archives seen through, and its name."""
    path, member = _place(source)
    name = source.rpartition("/")[2]
    return path, parts_of(normalize("NFC", folder_of(path, member))), normalize("NFC", name)


def _place(source: str) -> tuple[str, str | None]:
    """The file that an image called `source` lies in, and its name there where that is an archive."""
    parts = source.split(MEMBER)
    for count in range(1, len(parts)):
        archive, member = MEMBER.join(parts[:count]), MEMBER.join(parts[count:])
        if is_archive(archive):
            return archive, member
    return source, None
