"""Which images belong together, by `manifest.split.group`: those of one patient, site or burst go to one split.

A group lies in where an image is and in what labels.csv says of it, so nothing is decoded to know it. Of an image in
several places the first one by name counts, and the columns of the first one that has any, as everywhere.
"""

import re

import pyarrow as pa

from pipeline.ingestion.labelling.strips import Strips
from pipeline.params import EXPRESSION, Params
from pipeline.splits.sources import seen_through, values_of

COLUMN, PATIENT = "group", "patient"


def groups_of(images: pa.Table, params: Params) -> list[str]:
    """The group of each of `images`, which has the columns of `columns_for`; empty where it has none."""
    rule = params.manifest.split.group
    none = [""] * len(images)
    if rule is None:
        return none
    if rule == "labels":
        return values_of(images, COLUMN)
    if rule == PATIENT:  # Where no image is of a DICOM file there is no such column.
        return [name or "" for name in images[PATIENT].to_pylist()] if PATIENT in images.column_names else none
    folders = map(seen_through, images["source"].to_pylist())
    if rule == "folder":
        strips = Strips(params.ingest.strip)
        return ["/".join(parts[(strips.of(path) or 0) + 1 :]) for path, parts, _ in folders]
    pattern = re.compile(rule.removeprefix(EXPRESSION))
    return [_match(pattern, parts, name) for _, parts, name in folders]


def _match(pattern: re.Pattern[str], parts: tuple[str, ...], name: str) -> str:
    """What `pattern` finds in the file's name, else in its path: its brackets, or all of it where it has none."""
    found = pattern.search(name) or pattern.search("/".join((*parts, name)))
    if found is None:
        return ""
    return "/".join(filter(None, found.groups())) if pattern.groups else found[0]
