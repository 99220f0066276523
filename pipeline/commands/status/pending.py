"""Images that ingest has taken in and no training has seen: data/images against the manifests that `train` had."""

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
# Label and MD5 by id, or what else follows the id.
Rows = dict[str, tuple[str, ...]]


class Pending(NamedTuple):
    """How the images for training differ from those of the last training."""

    new: int
    removed: int
    relabelled: int
    """Or of another weight."""
    classes: str
    """Which classes were renamed, merged, split or dropped since then, in half a sentence."""
    total: int
    """How many there are for training now."""
    changes_training: bool
    """Whether the next training is on other manifests than the last one."""
    switched: int = 0
    """Images that belong to another split than when `manifest` last ran."""
    held_out: tuple[str, ...] = ()
    """The ids of the images of the last training that are to be held out."""

    @property
    def changed(self) -> int:
        """How many are new, gone or relabelled."""
        return self.new + self.removed + self.relabelled


def pending(record: Mapping[str, StageRecord], params: Params) -> Pending | None:
    """What `manifest` will make of data/images as it is, against the last training in `record`, which is dvc.lock.

    None where there was none, or its manifests are neither here nor in DVC's cache.
    """
    before = {name: _recorded(record["train"].deps, name) for name in ("train", "val")} if "train" in record else {}
    old, old_val = before.get("train"), before.get("val")
    if old is None or old_val is None or not index.INDEX.exists():
        return None
    now = _now(params)
    # With the same images for training the same ones of val are left out as their near-duplicates.
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
    """What the manifests will list of data/images as it is, near-duplicates included."""
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
    """What training is told of an image, besides its bytes: the class, as it is called now, and the weight."""
    label, _, *weight = row
    return mapping.label(label), weight[0] if weight else "1"


def _labels(rows: Rows) -> set[str]:
    return {label for label, *_ in rows.values()}


def _count_switched(manifest: StageRecord | None, now: Mapping[str, Rows], params: Params) -> int:
    """How many images were in another split than `now` when the stage last ran, as far as that is at hand."""
    if manifest is None or not may_move(manifest.params, params.manifest):
        return 0
    splits = {image_id: split for split, rows in now.items() for image_id in rows}
    before: dict[str, str] = {image_id: name for name in SPLITS for image_id in _recorded(manifest.outs, name) or ()}
    before |= {image_id: row[1] for image_id, row in (_recorded(manifest.outs, "leaks") or {}).items()}
    return sum(splits.get(image_id, split) != split for image_id, split in before.items())


def _recorded(hashes: Mapping[str, str], name: str) -> Rows | None:
    """What follows the id in each line, in the file `name` of the recorded `hashes`."""
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
    """Where the file `path` of the hash `md5` may be."""
    yield path
    yield objects.cached_path(repository(), md5)


def _leaks() -> set[str]:
    """The ids of the val and test images that are left out."""
    return {line[0] for line in _lines(paths.LEAKS.read_bytes())} if paths.LEAKS.exists() else set()
