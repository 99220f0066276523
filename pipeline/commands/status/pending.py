"""Images that ingest has taken in and no training has seen: data/images against the manifests that `train` had."""

import csv
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from pipeline import parquet, paths
from pipeline.files import md5_of_bytes
from pipeline.images import index
from pipeline.ingestion.labelling.mapping import ClassMapping
from pipeline.params import Manifest
from pipeline.splits.assignment import splits_of
from pipeline.splits.classes import changes_of_classes
from pipeline.versioning import objects
from pipeline.versioning.lock import StageRecord
from pipeline.versioning.repository import repository

COLUMNS = ["id", "label", "md5"]
# Label and MD5 by id.
Rows = dict[str, tuple[str, ...]]


class Pending(NamedTuple):
    """How the images for training differ from those of the last training."""

    new: int
    removed: int
    relabelled: int
    classes: str
    """Which classes were renamed, merged, split or dropped since then, in half a sentence."""
    total: int
    """How many there are for training now."""
    changes_training: bool
    """Whether the next training is on other manifests than the last one."""

    @property
    def changed(self) -> int:
        """How many are new, gone or relabelled."""
        return self.new + self.removed + self.relabelled


def pending(train: StageRecord, params: Manifest) -> Pending | None:
    """What `manifest` will make of data/images as it is, against what dvc.lock records as the last training, `train`.

    None where the manifests of that training are neither here nor in DVC's cache.
    """
    before = {name: _recorded(train, name) for name in ("train", "val")}
    if any(rows is None for rows in before.values()) or not index.INDEX.exists():
        return None
    table = parquet.read_table(index.INDEX, index.SCHEMA, [*COLUMNS, "key"])
    rows = zip(*(table[name].to_pylist() for name in COLUMNS), strict=True)
    now: dict[str, Rows] = {name: {} for name in ("train", "val", "test")}
    for (image_id, *rest), split in zip(rows, splits_of(table["key"].to_pylist(), params), strict=True):
        now[split][image_id] = tuple(rest)
    # With the same images for training the same ones of val are left out as their near-duplicates.
    left_out = _leaks()
    val = {image_id: row for image_id, row in now["val"].items() if image_id not in left_out}
    old, new = before["train"] or {}, now["train"]
    common, mapping = new.keys() & old.keys(), ClassMapping.read()
    return Pending(
        new=len(new) - len(common),
        removed=len(old) - len(common),
        relabelled=sum(mapping.label(new[image_id][0]) != mapping.label(old[image_id][0]) for image_id in common),
        classes=str(changes_of_classes(mapping, _labels(old), {*filter(None, map(mapping.label, _labels(new)))})),
        total=len(new),
        changes_training=new != old or val != before["val"],
    )


def _labels(rows: Rows) -> set[str]:
    return {label for label, *_ in rows.values()}


def _recorded(train: StageRecord, name: str) -> Rows | None:
    """Label and MD5 by id, of the manifest that `train` is recorded with."""
    path = paths.MANIFEST / f"{name}.csv"
    md5 = train.deps.get(path.as_posix())
    for place in _places(path, md5) if md5 else ():
        content = place.read_bytes() if place.is_file() else b""
        if md5_of_bytes(content) == md5:
            return {image_id: tuple(rest) for image_id, *rest in list(_lines(content))[1:]}
    return None


def _lines(content: bytes) -> Iterator[list[str]]:
    return csv.reader(StringIO(content.decode(), newline=""))


def _places(path: Path, md5: str) -> Iterator[Path]:
    """Where the file `path` of the hash `md5` may be."""
    yield path
    yield objects.cached_path(repository(), md5)


def _leaks() -> set[str]:
    """The ids of the val and test images that are left out."""
    return {line[0] for line in _lines(paths.LEAKS.read_bytes())} if paths.LEAKS.exists() else set()
