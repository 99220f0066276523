"""Groups of images by `manifest.split.group`: all images of one patient, site or burst go to one split.

Groups come from paths and labels.csv, so no image is decoded for them. If an image has several copies, the first path
counts, and the columns of the first path that has any, as everywhere.
"""

import re

import pyarrow as pa

from pipeline.ingestion.labelling.strips import Strips
from pipeline.params import EXPRESSION, Params
from pipeline.splits.sources import seen_through, values_of

COLUMN, PATIENT = "group", "patient"


def groups_of(images: pa.Table, params: Params) -> list[str]:
    """Return the group of each of `images`, a table with the columns of `columns_for`; empty without a group."""
    rule = params.manifest.split.group
    none = [""] * len(images)
    if rule is None:
        return none
    if rule == "labels":
        return values_of(images, COLUMN)
    if rule == PATIENT:  # The column exists only if there are DICOM files.
        return [name or "" for name in images[PATIENT].to_pylist()] if PATIENT in images.column_names else none
    folders = map(seen_through, images["source"].to_pylist())
    if rule == "folder":
        strips = Strips(params.ingest.strip)
        return ["/".join(parts[(strips.of(path) or 0) + 1 :]) for path, parts, _ in folders]
    pattern = re.compile(rule.removeprefix(EXPRESSION))
    return [_match(pattern, parts, name) for _, parts, name in folders]


def _match(pattern: re.Pattern[str], parts: tuple[str, ...], name: str) -> str:
    """Match `pattern` in the file's name, else in its path; return its groups, or the whole match if it has none."""
    found = pattern.search(name) or pattern.search("/".join((*parts, name)))
    if found is None:
        return ""
    return "/".join(filter(None, found.groups())) if pattern.groups else found[0]
