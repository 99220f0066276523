"""Find images that ingest has read and no training has seen: compare data/images with the last training's manifests."""

import csv
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline import parquet, paths
from pipeline.files import md5_of_bytes
from pipeline.images import index
from pipeline.ingestion.labelling.mapping import ClassMapping
from pipeline.params import Params
from pipeline.splits.assignment import SPLITS, assign, columns_for, may_move
from pipeline.splits.classes import changes_of_classes
from pipeline.splits.weighting import weights_of, written_weights
from pipeline.versioning import objects
from pipeline.versioning.lock import StageRecord
from pipeline.versioning.repository import repository

COLUMNS = ["id", "label", "md5"]
# Label and MD5, or the other columns after the id, by id.
Rows = dict[str, tuple[str, ...]]


class Pending(NamedTuple):
    """How the images for training differ from those of the last training."""

    new: int
    removed: int
    relabelled: int
    """Number of images whose label or weight changed."""
    classes: str
    """Which classes were renamed, merged, split or dropped since the last training, in half a sentence."""
    total: int
    """Number of images for training now."""
    changes_training: bool
    """Whether the manifests of the next training differ from those of the last one."""
    switched: int = 0
    """Number of images whose split changed since `manifest` last ran."""
    held_out: tuple[str, ...] = ()
    """The ids of images of the last training that will be held out."""

    @property
    def changed(self) -> int:
        """The number of images that are new, removed or relabelled."""
        return self.new + self.removed + self.relabelled


def pending(record: Mapping[str, StageRecord], params: Params) -> Pending | None:
    """Compare the manifests that will be made of data/images with those of the last training in `record` (dvc.lock).

    None if there was no training, or if its manifests are neither in the workspace nor in DVC's cache.
    """
    before = {name: _recorded(record["train"].deps, name) for name in ("train", "val")} if "train" in record else {}
    old, old_val = before.get("train"), before.get("val")
    if old is None or old_val is None or not index.INDEX.exists():
        return None
    now = _now(params)
    # If the training images are the same, so are the images of val that are left out as their near-duplicates.
    left_out = _leaks()
    val = {image_id: row for image_id, row in now["val"].items() if image_id not in left_out}
    new, common, mapping = now["train"], now["train"].keys() & old.keys(), ClassMapping.read()
    return Pending(
        new=len(new) - len(common),
        removed=len(old) - len(common),
        relabelled=sum(_facts(new[image_id], mapping) != _facts(old[image_id], mapping) for image_id in common),
        classes=str(changes_of_classes(mapping, _labels(old), {*filter(None, map(mapping.label, _labels(new)))})),
        total=len(new),
        changes_training=new != old or val != old_val,
        switched=_count_switched(record.get("manifest"), now, params),
        held_out=tuple(sorted(old.keys() & (now["val"].keys() | now["test"].keys()))),
    )


def _now(params: Params) -> dict[str, Rows]:
    """Return what each manifest will list for the current data/images, including near-duplicates."""
    columns = {*COLUMNS, *columns_for(params), "source", "attributes"}
    table = parquet.read_table(index.INDEX, index.SCHEMA, [*columns])
    splits, weights = assign(table, params).splits, weights_of(table)
    now: dict[str, Rows] = {}
    for name in SPLITS:
        chosen = (splits == name) & ((weights > 0) | (name != "train"))
        cells = written_weights(weights[chosen]) if name == "train" else None
        places = parquet.integers(np.flatnonzero(chosen))
        rows = [table[column].take(places).to_pylist() for column in COLUMNS]
        ids, *rest = [*rows, cells] if cells is not None else rows
        now[name] = dict(zip(ids, zip(*rest, strict=True), strict=True))
    return now


def _facts(row: tuple[str, ...], mapping: ClassMapping) -> tuple[str | None, str]:
    """Return what training reads about an image besides its pixels: the current name of its class, and its weight."""
    label, _, *weight = row
    return mapping.label(label), weight[0] if weight else "1"


def _labels(rows: Rows) -> set[str]:
    return {label for label, *_ in rows.values()}


def _count_switched(manifest: StageRecord | None, now: Mapping[str, Rows], params: Params) -> int:
    """Return how many images were in another split when `manifest` last ran, as far as its outputs are available."""
    if manifest is None or not may_move(manifest.params, params.manifest):
        return 0
    splits = {image_id: split for split, rows in now.items() for image_id in rows}
    before: dict[str, str] = {image_id: name for name in SPLITS for image_id in _recorded(manifest.outs, name) or ()}
    before |= {image_id: row[1] for image_id, row in (_recorded(manifest.outs, "leaks") or {}).items()}
    return sum(splits.get(image_id, split) != split for image_id, split in before.items())


def _recorded(hashes: Mapping[str, str], name: str) -> Rows | None:
    """Read the manifest `name` with its hash in `hashes`, as columns by id; None if it is not available locally."""
    path = paths.MANIFEST / f"{name}.csv"
    md5 = hashes.get(path.as_posix())
    for place in _places(path, md5) if md5 else ():
        content = place.read_bytes() if place.is_file() else b""
        if md5_of_bytes(content) == md5:
            return {image_id: tuple(rest) for image_id, *rest in list(_lines(content))[1:]}
    return None


def _lines(content: bytes) -> Iterator[list[str]]:
    return csv.reader(StringIO(content.decode(), newline=""))


def _places(path: Path, md5: str) -> Iterator[Path]:
    """Yield the places where the content of `path` with the hash `md5` may be: the workspace, then DVC's cache."""
    yield path
    yield objects.cached_path(repository(), md5)


def _leaks() -> set[str]:
    """Return the ids of the val and test images that are left out as near-duplicates."""
    return {line[0] for line in _lines(paths.LEAKS.read_bytes())} if paths.LEAKS.exists() else set()
