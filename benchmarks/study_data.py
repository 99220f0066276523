"""Data sets for the study of accuracy: real images from packages, in the order in which they arrive."""

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
# `make bench` installs it there with npm.
EMOJI = ROOT / ".venv/node_modules/emoji-datasource-google"
GROWTH = 1.1**10

Pixels = npt.NDArray[np.uint8]


class Data(NamedTuple):
    """Training images in the order in which they arrive, and test images."""

    train: Dataset
    test: Dataset
    first: int
    """Number of images of the first model."""
    last: int
    """Number of images of the last model."""
    in_equal_steps: bool = False
    """Whether each generation adds the same number of images, instead of the same share."""

    def sizes(self, generations: int) -> list[int]:
        """Return the number of images of the first model, and of each of the `generations` after it."""
        if self.in_equal_steps:
            return [round(size) for size in np.linspace(self.first, self.last, generations + 1)]
        return [round(size) for size in np.geomspace(self.first, self.last, generations + 1)]

    def until(self, size: int) -> Dataset:
        """Return the first `size` images, sorted by id as in a manifest."""
        order = np.argsort(self.train.ids[:size])
        pixels = PixelSource.of(self.train.images.pixels[order])
        return Dataset(ids=self.train.ids[order], labels=self.train.labels[order], images=pixels)


def digits() -> Data:
    """Return scikit-learn's 1,797 grey digits of 8 × 8 pixels."""
    read = load_digits()
    pixels = (read.images * 255 / 16).astype(np.uint8)[:, None]
    order = np.random.default_rng(0).permutation(len(pixels))
    images, labels = np.ascontiguousarray(pixels[order]), read.target[order]
    train, test = _dataset(images[:-360], labels[:-360]), _dataset(images[-360:], labels[-360:])
    return Data(train, test, 550, round(550 * GROWTH))


def emoji(side: int = 32, how: Image.Resampling = Image.Resampling.BOX) -> Data:
    """Return the 3,781 colour pictures of npm's emoji-datasource-google at `side` × `side`, in nine categories."""
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
    """Return Debian's dataset-fashion-mnist, grey, 28 × 28; all generations have the same distribution."""
    train, test = (_dataset(*_fashion(part)) for part in ("train", "t10k"))
    return Data(train, test, 5_000, round(5_000 * GROWTH))


def fashion_others() -> Data:
    """Return images of Fashion-MNIST on which settings are chosen, and for which no results are reported."""
    pixels, labels = _fashion("train")
    return Data(
        _dataset(pixels[30_000:45_000], labels[30_000:45_000]),
        _dataset(pixels[45_000:], labels[45_000:]),
        5_000,
        round(5_000 * GROWTH),
    )


def fashion_long() -> Data:
    """Return Fashion-MNIST growing to twenty times the first images: 300 generations of +1 %."""
    train, test = (_dataset(*_fashion(part)) for part in ("train", "t10k"))
    return Data(train, test, 3_000, round(3_000 * 1.01**300))


def fashion_one() -> Data:
    """Return Fashion-MNIST with one new image in each of 50 generations."""
    train, test = (_dataset(*_fashion(part)) for part in ("train", "t10k"))
    return Data(train, test, 5_000, 5_050, in_equal_steps=True)


def fashion_classes() -> Data:
    """Return Fashion-MNIST with classes of 500 images each: five at first, then the others one after the other."""
    pixels, labels = _fashion("train")
    chosen = np.concatenate([np.flatnonzero(labels == label)[:500] for label in range(10)])
    chance = np.random.default_rng(0)
    order = np.concatenate([chance.permutation(chosen[:2_500]), chosen[2_500:]])
    return Data(_dataset(pixels[order], labels[order]), _dataset(*_fashion("t10k")), 2_500, 5_000, in_equal_steps=True)


def fashion_bright() -> Data:
    """Return Fashion-MNIST that gets brighter with each generation, up to three times; tested at all brightnesses."""
    return _shifted(lambda image, degree: ImageEnhance.Brightness(image).enhance(1 + 2 * degree))


def fashion_rotated() -> Data:
    """Return Fashion-MNIST that is rotated further with each generation, up to 60°; tested at all angles."""
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
    """Return Fashion-MNIST with `change` applied, by a degree that grows from 0 to 1 over the training images.

    The degrees of the test images are spread evenly.
    """
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
    """Return the picture on a white background, shape (side, side, 3)."""
    with Image.open(path) as image:
        shown = Image.new("RGBA", image.size, "white")
        shown.alpha_composite(image.convert("RGBA"))
        return np.asarray(shown.convert("RGB").resize((side, side), how))


def _dataset(pixels: Pixels, labels: npt.NDArray[Any]) -> Dataset:
    """Return images with random ids in the format of ingest."""
    chance = np.random.default_rng(1)
    ids = np.array([chance.bytes(16).hex() for _ in labels])
    return Dataset(ids=ids, labels=np.array([f"class {label}" for label in labels]), images=PixelSource.of(pixels))
