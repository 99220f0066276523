"""Images for the study of accuracy: real ones that a package ships, in the order in which they come."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance
from scratch import ROOT
from sklearn.datasets import load_digits

from pipeline.images.dataset import Dataset
from pipeline.images.pixel_source import PixelSource

FASHION = Path("/usr/share/datasets/fashion-mnist")
# Where `make bench` has npm put it.
EMOJI = ROOT / ".venv/node_modules/emoji-datasource-google"
GROWTH = 1.1**10

Pixels = npt.NDArray[np.uint8]


class Data(NamedTuple):
    """Images to train on, in the order in which they come, and to measure on."""

    train: Dataset
    test: Dataset
    first: int
    """How many the first model is trained on."""
    last: int
    """How many the last one is trained on."""
    in_equal_steps: bool = False
    """Whether each generation adds as many images, and not as large a share."""

    def sizes(self, generations: int) -> list[int]:
        """How many images the first model is trained on, and each of so many generations after it."""
        if self.in_equal_steps:
            return [round(size) for size in np.linspace(self.first, self.last, generations + 1)]
        return [round(size) for size in np.geomspace(self.first, self.last, generations + 1)]

    def until(self, size: int) -> Dataset:
        """The first images, sorted by id, as a manifest lists them."""
        order = np.argsort(self.train.ids[:size])
        pixels = PixelSource.of(self.train.images.pixels[order])
        return Dataset(ids=self.train.ids[order], labels=self.train.labels[order], images=pixels)


def digits() -> Data:
    """scikit-learn's 1,797 digits of 8 × 8, grey."""
    read = load_digits()
    pixels = (read.images * 255 / 16).astype(np.uint8)[:, None]
    order = np.random.default_rng(0).permutation(len(pixels))
    images, labels = np.ascontiguousarray(pixels[order]), read.target[order]
    train, test = _dataset(images[:-360], labels[:-360]), _dataset(images[-360:], labels[-360:])
    return Data(train, test, 550, round(550 * GROWTH))


def emoji(side: int = 32, how: Image.Resampling = Image.Resampling.BOX) -> Data:
    """The 3,781 pictures of npm's emoji-datasource-google, in colour, scaled to `side` × `side`, of nine categories."""
    files = [
        (one["image"], emoji["category"])
        for emoji in json.loads((EMOJI / "emoji.json").read_text())
        for one in (emoji, *emoji.get("skin_variations", {}).values())
        if emoji["category"] != "Component" and (EMOJI / "img/google/64" / one["image"]).exists()
    ]
    pixels = np.stack([_emoji(EMOJI / "img/google/64" / name, side, how) for name, _ in files]).transpose(0, 3, 1, 2)
    order = np.random.default_rng(0).permutation(len(pixels))
    images, labels = np.ascontiguousarray(pixels[order]), np.array([category for _, category in files])[order]
    train, test = _dataset(images[:-600], labels[:-600]), _dataset(images[-600:], labels[-600:])
    return Data(train, test, round(len(images[:-600]) / GROWTH), len(images[:-600]))


def fashion() -> Data:
    """Debian's dataset-fashion-mnist, 28 × 28, grey: growth as if each image were drawn from the same source."""
    train, test = (_dataset(*_fashion(part)) for part in ("train", "t10k"))
    return Data(train, test, 5_000, round(5_000 * GROWTH))


def fashion_others() -> Data:
    """Images of Fashion-MNIST that no figure is reported of; settings are chosen on them."""
    pixels, labels = _fashion("train")
    return Data(
        _dataset(pixels[30_000:45_000], labels[30_000:45_000]),
        _dataset(pixels[45_000:], labels[45_000:]),
        5_000,
        round(5_000 * GROWTH),
    )


def fashion_long() -> Data:
    """Growth to twenty times the first images: 300 generations of +1 %."""
    train, test = (_dataset(*_fashion(part)) for part in ("train", "t10k"))
    return Data(train, test, 3_000, round(3_000 * 1.01**300))


def fashion_one() -> Data:
    """One new image a generation, 50 times."""
    train, test = (_dataset(*_fashion(part)) for part in ("train", "t10k"))
    return Data(train, test, 5_000, 5_050, in_equal_steps=True)


def fashion_classes() -> Data:
    """Classes that come one after the other: five of them first, of 500 images each."""
    pixels, labels = _fashion("train")
    chosen = np.concatenate([np.flatnonzero(labels == label)[:500] for label in range(10)])
    chance = np.random.default_rng(0)
    order = np.concatenate([chance.permutation(chosen[:2_500]), chosen[2_500:]])
    return Data(_dataset(pixels[order], labels[order]), _dataset(*_fashion("t10k")), 2_500, 5_000, in_equal_steps=True)


def fashion_bright() -> Data:
    """Images that become brighter from generation to generation, up to three times; tested on all degrees of it."""
    return _shifted(lambda image, degree: ImageEnhance.Brightness(image).enhance(1 + 2 * degree))


def fashion_rotated() -> Data:
    """Images that are turned further from generation to generation, up to 60°; tested on all angles."""
    return _shifted(lambda image, degree: image.rotate(60 * degree, Image.Resampling.BILINEAR))


DATA: dict[str, Callable[[], Data]] = {
    "digits": digits,
    "emoji": emoji,
    "fashion": fashion,
    "fashion-others": fashion_others,
    "fashion-long": fashion_long,
    "fashion-one": fashion_one,
    "fashion-classes": fashion_classes,
    "fashion-bright": fashion_bright,
    "fashion-rotated": fashion_rotated,
}


def _shifted(change: Callable[[Image.Image, float], Image.Image]) -> Data:
    """Fashion-MNIST with `change`, by a degree from 0 to 1 that grows with the images; evenly on those of the test."""
    first, last = 2_500, round(2_500 * GROWTH)
    pixels, labels = _fashion("train")
    degrees = np.concatenate([np.zeros(first), np.linspace(0, 1, last - first)])
    test_pixels, test_labels = _fashion("t10k")
    test_degrees = np.random.default_rng(0).permutation(np.linspace(0, 1, len(test_labels)))
    train = _dataset(_changed(pixels[:last], degrees, change), labels[:last])
    return Data(train, _dataset(_changed(test_pixels, test_degrees, change), test_labels), first, last)


def _changed(
    pixels: Pixels, degrees: npt.NDArray[np.float64], change: Callable[[Image.Image, float], Image.Image]
) -> Pixels:
    return np.stack(
        [np.asarray(change(Image.fromarray(one[0]), degree)) for one, degree in zip(pixels, degrees, strict=True)]
    )[:, None]


def _fashion(part: str) -> tuple[Pixels, npt.NDArray[np.uint8]]:
    pixels, labels = (
        np.frombuffer(gzip.decompress((FASHION / f"{part}-{kind}-ubyte.gz").read_bytes()), np.uint8)[skip:]
        for kind, skip in (("images-idx3", 16), ("labels-idx1", 8))
    )
    return pixels.reshape(-1, 1, 28, 28), labels


def _emoji(path: Path, side: int, how: Image.Resampling) -> Pixels:
    """On white, shape (side, side, 3)."""
    with Image.open(path) as image:
        shown = Image.new("RGBA", image.size, "white")
        shown.alpha_composite(image.convert("RGBA"))
        return np.asarray(shown.convert("RGB").resize((side, side), how))


def _dataset(pixels: Pixels, labels: npt.NDArray[Any]) -> Dataset:
    """Images with ids as ingest would give them."""
    chance = np.random.default_rng(1)
    ids = np.array([chance.bytes(16).hex() for _ in labels])
    return Dataset(ids=ids, labels=np.array([f"class {label}" for label in labels]), images=PixelSource.of(pixels))
