"""Images that ingest has taken in and no training has seen: data/images against the manifests that `train` had."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline import parquet, paths
from pipeline.files import md5_of_bytes
from pipeline.images import index
from pipeline.params import Manifest
from pipeline.splits.assignment import splits_of
from pipeline.versioning import objects
from pipeline.versioning.lock import StageRecord
from pipeline.versioning.repository import repository

COLUMNS = ["id", "label", "md5"]


class Pending(NamedTuple):
    """How the images for training differ from those of the last training."""

    new: int
    removed: int
    relabelled: int
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
    images = parquet.read_table(index.INDEX, index.SCHEMA, [*COLUMNS, "key"]).to_pandas()
    split = np.array(list(splits_of(images["key"].tolist(), params)), dtype=np.str_)
    now = {name: images[split == name].set_index("id")[["label", "md5"]].astype(str).sort_index() for name in before}
    # With the same images for training the same ones of val are left out as their near-duplicates.
    val = now["val"].drop(_leaks(), errors="ignore")
    old, new = before["train"], now["train"]
    assert old is not None
    common = new.index.intersection(old.index)
    relabelled = int((new.loc[common, "label"] != old.loc[common, "label"]).sum())
    return Pending(
        new=len(new) - len(common),
        removed=len(old) - len(common),
        relabelled=relabelled,
        total=len(new),
        changes_training=not (new.equals(old) and val.equals(before["val"])),
    )


def _recorded(train: StageRecord, name: str) -> pd.DataFrame | None:
    """Label and MD5 by id, of the manifest that `train` is recorded with."""
    path = paths.MANIFEST / f"{name}.csv"
    md5 = train.deps.get(path.as_posix())
    for place in _places(path, md5) if md5 else ():
        content = place.read_bytes() if place.is_file() else b""
        if md5_of_bytes(content) == md5:
            return pd.read_csv(BytesIO(content), dtype=str, keep_default_na=False).set_index("id")
    return None


def _places(path: Path, md5: str) -> Iterator[Path]:
    """Where the file `path` of the hash `md5` may be."""
    yield path
    yield objects.cached_path(repository(), md5)


def _leaks() -> list[str]:
    """The ids of the val and test images that are left out."""
    if not paths.LEAKS.exists():
        return []
    return list(pd.read_csv(paths.LEAKS, dtype=str, keep_default_na=False)["id"])
