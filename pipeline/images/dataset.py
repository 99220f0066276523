"""Reads a manifest and opens the pixels of its images."""

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
    """Weights in the loss, 1 on average, shape (n,); None if all images count equally."""

    def __len__(self) -> int:
        return len(self.ids)


def read_manifest(name: str) -> pd.DataFrame:
    """Read the columns id, label and md5 of the split `name` as text, one row per image, sorted by id.

    The manifest of train also has the column weight if not all weights are 1.
    """
    # No text means a missing value: a class may be called "None" or "NA".
    return pd.read_csv(paths.MANIFEST / f"{name}.csv", dtype=str, keep_default_na=False)


def uneven_weights(manifest: pd.DataFrame) -> "pd.Series[float]":
    """Return the weights other than 1 of the images of `manifest`, by id."""
    if "weight" not in manifest:
        return pd.Series(dtype=float, index=pd.Index([], dtype=str))
    weights = manifest.set_index("id")["weight"].astype(float)
    return weights[weights != 1]


def load(manifest: pd.DataFrame, *, mode: str, size: int, framing: str, compute: Compute) -> Dataset:
    """Open the images of `manifest`: `size` pixels square, framed by `framing`, in colour or grey by `mode`.

    Raises:
        MissingDataError: shards are in neither workspace, cache nor remote.
        ImagesError: an image of the manifest is missing in the shards, or damaged.
    """
    images = pixels_of(locate(manifest, compute), mode=mode, size=size, framing=framing, compute=compute)
    ids, labels = (manifest[name].to_numpy(dtype=str) for name in ("id", "label"))
    return Dataset(ids=ids, labels=labels, images=images, weights=_weights(manifest))


def pixels_of(found: Located, *, mode: str, size: int, framing: str, compute: Compute) -> PixelSource:
    """Open the pixels of images that `locate` found.

    Raises:
        ImagesError: an image is damaged.
    """
    reader, limit = PixelReader(mode, size, framing), compute.decoded * 2**20
    return open_pixels(found, reader, limit=limit, workers=compute.processes)


def locate(manifest: pd.DataFrame, compute: Compute | None = None) -> Located:
    """Locate the images of `manifest`, in its order; without `compute`, only data/shards is searched.

    Raises:
        MissingDataError: shards are in neither workspace, cache nor remote.
        ImagesError: an image of the manifest is missing in the shards.
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
    # With equal weights, training is the same as without weights, bit for bit.
    return None if (weights == weights[0]).all() else np.asarray(weights / weights.mean(), np.float32)
