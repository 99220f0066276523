"""The images of a split."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import parquet, paths
from pipeline.errors import ImagesError
from pipeline.images import index
from pipeline.images.array_cache import DIGEST
from pipeline.images.elsewhere import find_index, find_shards
from pipeline.images.pixel_source import Located, PixelSource, open_pixels
from pipeline.images.pixels import PixelReader, Slot, Slots
from pipeline.params import Compute


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The images of a split."""

    ids: npt.NDArray[np.str_]
    """Shape (n,), sorted."""
    labels: npt.NDArray[np.str_]
    """Class names, shape (n,)."""
    images: PixelSource
    weights: npt.NDArray[np.float32] | None = None
    """How much each counts in the loss, 1 on average, shape (n,); None where all count alike."""

    def __len__(self) -> int:
        return len(self.ids)


def read_manifest(name: str) -> pd.DataFrame:
    """The columns id, label and md5 of the split `name`, one row an image, all text, sorted by id.

    And weight, in train, where not all of them are 1.
    """
    # Nothing is a missing value here: a class may well be called "None" or "NA".
    return pd.read_csv(paths.MANIFEST / f"{name}.csv", dtype=str, keep_default_na=False)


def uneven_weights(manifest: pd.DataFrame) -> "pd.Series[float]":
    """How much the images of `manifest` count in training, by id, but for those that count 1."""
    if "weight" not in manifest:
        return pd.Series(dtype=float, index=pd.Index([], dtype=str))
    weights = manifest.set_index("id")["weight"].astype(float)
    return weights[weights != 1]


def load(manifest: pd.DataFrame, *, mode: str, size: int, framing: str, compute: Compute) -> Dataset:
    """The images of `manifest`, `size` pixels high and wide by `framing`, in colour or grey as `mode` says.

    Raises:
        MissingDataError: the shards are nowhere to be had.
        ImagesError: an image of the manifest is not in them, or was damaged.
    """
    images = pixels_of(locate(manifest, compute), mode=mode, size=size, framing=framing, compute=compute)
    ids, labels = (manifest[name].to_numpy(dtype=str) for name in ("id", "label"))
    return Dataset(ids=ids, labels=labels, images=images, weights=_weights(manifest))


def pixels_of(found: Located, *, mode: str, size: int, framing: str, compute: Compute) -> PixelSource:
    """The same of images that were located before.

    Raises:
        ImagesError: one was damaged.
    """
    reader, limit = PixelReader(mode, size, framing), compute.decoded * 2**20
    return open_pixels(found, reader, limit=limit, workers=compute.processes)


def locate(manifest: pd.DataFrame, compute: Compute | None = None) -> Located:
    """Where the images of `manifest` lie, in its order; without `compute` in data/shards.

    Raises:
        MissingDataError: the shards are nowhere to be had.
        ImagesError: an image of the manifest is not in them.
    """
    hint = f"run `dvc checkout {paths.IMAGES} {paths.SHARDS_DVC}` or `dvc repro`"
    path = find_index(hint=hint)
    table = parquet.read_table(path, index.SCHEMA, ["id", *Slot._fields])
    where = pc.index_in(pa.array(manifest["id"], pa.string()), table["id"]).fill_null(-1).to_numpy()
    lost = manifest["id"][where < 0]
    if len(lost):
        raise ImagesError(index.INDEX, f"lacks image {lost.iloc[0]} and {len(lost) - 1} more of the manifest", hint)
    is_same = pc.equal(table["md5"].take(pa.array(where)), pa.array(manifest["md5"], pa.string()))
    if not pc.all(is_same, min_count=0).as_py():
        raise ImagesError(index.INDEX, "holds other bytes than the manifest was made of", hint)
    stored = np.frombuffer(parquet.packed(table["md5"]), DIGEST)
    shards, offsets, lengths = (parquet.numbers(table, name)[where] for name in ("shard", "offset", "length"))
    slots = Slots(shards, offsets, lengths, stored[where])
    elsewhere = find_shards(path, table, slots, compute, hint=hint)
    return Located(slots, stored, elsewhere)


def _weights(manifest: pd.DataFrame) -> npt.NDArray[np.float32] | None:
    if "weight" not in manifest:
        return None
    weights = manifest["weight"].to_numpy(dtype=np.float64)
    # Where all are equal, training is that without weights, bit for bit.
    return None if (weights == weights[0]).all() else np.asarray(weights / weights.mean(), np.float32)
