"""Reading stored images as the network's input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image, ImageOps

from pipeline import paths
from pipeline.errors import ImagesError
from pipeline.files import md5_of_bytes
from pipeline.images.array_cache import Digests, digests
from pipeline.images.shards import ShardReader, shard_name

Pixels = npt.NDArray[np.uint8]
# Part of the key of the cache of decoded images. Raise it whenever this module makes different pixels.
VERSION = 1


class Slot(NamedTuple):
    """The place of an image's stored bytes, and their MD5."""

    shard: int
    offset: int
    length: int
    md5: str


@dataclass(frozen=True, eq=False)
class Slots(Sequence[Slot]):
    """The slots of many images, in 32 bytes each."""

    shards: npt.NDArray[np.integer[Any]]
    offsets: npt.NDArray[np.integer[Any]]
    lengths: npt.NDArray[np.integer[Any]]
    md5s: Digests

    @classmethod
    def none(cls) -> Slots:
        """Return empty slots."""
        nothing = np.empty(0, np.int64)
        return cls(nothing, nothing, nothing, digests([]))

    def __len__(self) -> int:
        return len(self.md5s)

    @overload
    def __getitem__(self, place: int) -> Slot: ...
    @overload
    def __getitem__(self, place: slice) -> Slots: ...
    def __getitem__(self, place: int | slice) -> Slot | Slots:
        if isinstance(place, slice):
            return self.take(place)
        shard, offset, length = (int(column[place]) for column in (self.shards, self.offsets, self.lengths))
        return Slot(shard, offset, length, self.md5s[place, None].tobytes().hex())

    def take(self, places: slice | npt.NDArray[np.integer[Any]]) -> Slots:
        """Return the slots at the positions `places`."""
        return Slots(self.shards[places], self.offsets[places], self.lengths[places], self.md5s[places])


# A stored image: its bytes, already checked, or their place.
Stored = Slot | bytes


@dataclass(frozen=True)
class PixelReader:
    """Decodes images to one colour mode, size and framing."""

    mode: str
    size: int
    framing: str = "fill"
    # Absolute, since reused worker processes may have another working directory.
    folder: Path = field(default_factory=paths.SHARDS.absolute)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of one image: channels, height, width."""
        return (1 if self.mode == "grey" else 3, self.size, self.size)

    @property
    def recipe(self) -> str:
        """A name for all that determines the pixels: the version of this code, Pillow's version, and the parameters."""
        framed = "" if self.framing == "fill" else f"-{self.framing}"  # Earlier releases had no other framing.
        return f"{VERSION}-pillow-{PIL.__version__}-{self.mode}-{self.size}{framed}"

    def __call__(self, stored: Sequence[Stored]) -> Pixels:
        """Decode the images `stored`, shape (len(stored), channels, size, size).

        Raises:
            ImagesError: the bytes of an image cannot be read, or do not match its MD5.
        """
        framed = FRAMINGS[self.framing]
        with ShardReader(self.folder) as reader:
            images = [framed(open_image(reader, one), mode=self.mode, size=self.size) for one in stored]
        # `np.stack` keeps Pillow's memory layout, channels last; checksums and files need a contiguous array.
        return np.ascontiguousarray(np.stack(images)) if images else np.empty((0, *self.shape), np.uint8)


def open_image(reader: ShardReader, stored: Stored) -> Image.Image:
    """Open the image `stored` after checking its bytes, without decoding it.

    Raises:
        ImagesError: its bytes cannot be read, or do not match its MD5.
    """
    data = stored if isinstance(stored, bytes) else _checked_bytes(reader, stored)
    return Image.open(BytesIO(data))


def _checked_bytes(reader: ShardReader, slot: Slot) -> bytes:
    where = paths.SHARDS / shard_name(slot.shard)
    try:
        data = reader.read(slot.shard, slot.offset, slot.length)
    except OSError as error:
        raise ImagesError(where, error.strerror or "cannot be read", f"run `dvc checkout {paths.SHARDS_DVC}`") from None
    if md5_of_bytes(data) != slot.md5:
        what = f"the image at byte {slot.offset} is damaged"
        raise ImagesError(where, what, "run `dvc repro`, to replace it or to decode it again")
    return data


def to_pixels(image: Image.Image, *, mode: str, size: int) -> Pixels:
    """`image` as the network sees it: scaled to fill a square, the middle kept; shape (channels, size, size)."""
    fitted = ImageOps.fit(image.convert("L" if mode == "grey" else "RGB"), (size, size), Image.Resampling.BILINEAR)
    return np.asarray(fitted).reshape(size, size, -1).transpose(2, 0, 1)


def to_squashed_pixels(image: Image.Image, *, mode: str, size: int) -> Pixels:
    """Scale the width and the height of the whole `image` to `size`, each by itself; shape (channels, size, size)."""
    squashed = image.convert("L" if mode == "grey" else "RGB").resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(squashed).reshape(size, size, -1).transpose(2, 0, 1)


# The function that makes an image square, by the value of `train.framing`.
FRAMINGS = {"fill": to_pixels, "squash": to_squashed_pixels}
