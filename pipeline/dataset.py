"""The images of a split."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline import index, paths
from pipeline.errors import ImagesError
from pipeline.params import Compute
from pipeline.reading import Reader, Slot
from pipeline.stack import Stack, stack


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The images of a split."""

    ids: npt.NDArray[np.str_]
    """Shape (n,), sorted."""
    labels: npt.NDArray[np.str_]
    """Class names, shape (n,)."""
    images: Stack

    def __len__(self) -> int:
        return len(self.ids)


def read_manifest(name: str) -> pd.DataFrame:
    """The columns id, label and md5 of the split `name`, one row an image, all text, sorted by id."""
    # Nothing is a missing value here: a class may well be called "None" or "NA".
    return pd.read_csv(paths.MANIFEST / f"{name}.csv", dtype=str, keep_default_na=False)


def load(manifest: pd.DataFrame, *, mode: str, size: int, compute: Compute) -> Dataset:
    """The images of `manifest`, `size` pixels high and wide, in colour or grey as `mode` says.

    Raises:
        MissingDataError: the shards are nowhere to be had.
        ImagesError: an image of the manifest is not in them, or was damaged.
    """
    slots, stored = locate(manifest)
    images = stack(slots, Reader(mode, size), stored, limit=compute.decoded * 2**20, workers=compute.processes)
    return Dataset(ids=manifest["id"].to_numpy(dtype=str), labels=manifest["label"].to_numpy(dtype=str), images=images)


def locate(manifest: pd.DataFrame) -> tuple[list[Slot], list[str]]:
    """Where the images of `manifest` lie, in its order; and the MD5 of every stored image.

    Raises:
        MissingDataError: the shards are nowhere to be had.
        ImagesError: an image of the manifest is not in them.
    """
    mend = f"run `dvc checkout {paths.IMAGES}` or `dvc repro`"
    index.restore(mend=mend)
    table = index.read_table(index.INDEX, index.SCHEMA, ["id", *Slot._fields]).to_pandas().set_index("id")
    where = table.index.get_indexer(pd.Index(manifest["id"]))
    lost = manifest["id"][where < 0]
    if len(lost):
        raise ImagesError(index.INDEX, f"lacks image {lost.iloc[0]} and {len(lost) - 1} more of the manifest", mend)
    rows = table.iloc[where]
    if not (rows["md5"].to_numpy() == manifest["md5"].to_numpy()).all():
        raise ImagesError(index.INDEX, "holds other bytes than the manifest was made of", mend)
    return [Slot(*row) for row in rows[list(Slot._fields)].itertuples(index=False)], list(table["md5"])
