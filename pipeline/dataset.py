"""The images of a split, decoded once into one array."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image, ImageOps
from tqdm import tqdm

from pipeline import index, paths
from pipeline.errors import ImagesError
from pipeline.shards import ShardReader, shard_name

CHUNK = 256
# Below this, starting processes takes longer than decoding.
FEW = 8 * CHUNK


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The images of a split."""

    ids: npt.NDArray[np.str_]
    """Shape (n,), sorted."""
    labels: npt.NDArray[np.str_]
    """Class names, shape (n,)."""
    pixels: npt.NDArray[np.uint8]
    """Shape (n, channels, height, width)."""

    def __len__(self) -> int:
        return len(self.ids)


class Slot(NamedTuple):
    """Where an image's stored bytes lie, and their MD5."""

    shard: int
    offset: int
    length: int
    md5: str


def read_manifest(name: str) -> pd.DataFrame:
    """The columns id, label and md5 of the split `name`, one row an image, all text, sorted by id."""
    # Nothing is a missing value here: a class may well be called "None" or "NA".
    return pd.read_csv(paths.MANIFEST / f"{name}.csv", dtype=str, keep_default_na=False)


def load(manifest: pd.DataFrame, *, mode: str, size: int, workers: int) -> Dataset:
    """Decode the images of `manifest`, `size` pixels high and wide, in colour or grey as `mode` says.

    Raises:
        MissingDataError: the shards are nowhere to be had.
        ImagesError: an image of the manifest is not in them, or was damaged.
    """
    mend = f"run `dvc checkout {paths.IMAGES}` or `dvc repro`"
    index.restore(mend=mend)
    table = index.read_table(index.INDEX, index.SCHEMA, ["id", *Slot._fields]).to_pandas().set_index("id")
    lost = manifest["id"][~manifest["id"].isin(table.index)]
    if len(lost):
        raise ImagesError(index.INDEX, f"lacks image {lost.iloc[0]} and {len(lost) - 1} more of the manifest", mend)
    rows = table.loc[manifest["id"]]
    if not (rows["md5"].to_numpy() == manifest["md5"].to_numpy()).all():
        raise ImagesError(index.INDEX, "holds other bytes than the manifest was made of", mend)
    slots = [Slot(*row) for row in rows[list(Slot._fields)].itertuples(index=False)]
    chunks = [slots[start : start + CHUNK] for start in range(0, len(slots), CHUNK)]
    channels = 1 if mode == "grey" else 3
    pixels = np.empty((len(slots), channels, size, size), np.uint8)
    job = _Decode(mode, size)
    if len(slots) < FEW:
        _fill(pixels, map(job, chunks))
    else:
        from loky import ProcessPoolExecutor

        with ProcessPoolExecutor(workers or os.cpu_count()) as pool:
            _fill(pixels, pool.map(job, chunks))
    return Dataset(ids=manifest["id"].to_numpy(dtype=str), labels=manifest["label"].to_numpy(dtype=str), pixels=pixels)


@dataclass(frozen=True)
class _Decode:
    """Decodes a chunk of slots: shape (len(slots), channels, size, size), uint8."""

    mode: str
    size: int

    def __call__(self, slots: list[Slot]) -> npt.NDArray[np.uint8]:
        with ShardReader(paths.IMAGES) as reader:
            return np.stack([to_pixels(self._read(reader, slot), mode=self.mode, size=self.size) for slot in slots])

    def _read(self, reader: ShardReader, slot: Slot) -> Image.Image:
        data = reader.read(slot.shard, slot.offset, slot.length)
        if hashlib.md5(data).hexdigest() != slot.md5:
            what = f"the image at byte {slot.offset} is damaged"
            raise ImagesError(paths.IMAGES / shard_name(slot.shard), what, "run `dvc repro`, to decode it again")
        return Image.open(BytesIO(data))


def to_pixels(image: Image.Image, *, mode: str, size: int) -> npt.NDArray[np.uint8]:
    """`image` as the network sees it: scaled to fill a square, the middle kept; shape (channels, size, size)."""
    fitted = ImageOps.fit(image.convert("L" if mode == "grey" else "RGB"), (size, size), Image.Resampling.BILINEAR)
    return np.asarray(fitted).reshape(size, size, -1).transpose(2, 0, 1)


def _fill(pixels: npt.NDArray[np.uint8], chunks: Iterable[npt.NDArray[np.uint8]]) -> None:
    filled = 0
    with tqdm(total=len(pixels), desc="reading", unit=" images", disable=None) as bar:
        for chunk in chunks:
            pixels[filled : filled + len(chunk)] = chunk
            filled += len(chunk)
            bar.update(len(chunk))
