"""Images for `pipeline try`: a few of the project's, or synthetic ones."""

import hashlib
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.errors import MissingDataError
from pipeline.images import index
from pipeline.images.dataset import Dataset, locate, read_manifest
from pipeline.images.pixel_source import PixelSource
from pipeline.images.pixels import PixelReader
from pipeline.params import Params
from pipeline.training.generation import wanted_spec

# Number of batches of the project's images that are used.
BATCHES = 4


class Samples(NamedTuple):
    """Images for training."""

    dataset: Dataset
    total: int
    """Number of training images of the project; 0 if the images are synthetic."""


def samples_of(params: Params) -> Samples:
    """Return a few batches of the training images, decoded at each access, or synthetic images if there are none."""
    most = BATCHES * params.train.batch_size
    manifest = _manifest()
    if manifest is None:
        return Samples(drawn(params, max(most, 8), classes=3), 0)
    chosen = manifest.iloc[np.linspace(0, len(manifest) - 1, min(most, len(manifest))).astype(int)]
    # `load` is not used, since it keeps decoded images in memory.
    spec = wanted_spec(params, [])
    reader, rows = PixelReader(spec.mode, spec.source, spec.framing), np.full(len(chosen), -1, np.intp)
    found = locate(chosen, params.compute)
    nothing = np.empty((0, *reader.shape), np.uint8)
    images = PixelSource(nothing, rows, found.slots, reader, elsewhere=found.elsewhere)
    ids, labels = (chosen[name].to_numpy(dtype=str) for name in ("id", "label"))
    return Samples(Dataset(ids=ids, labels=labels, images=images), len(manifest))


def drawn(params: Params, count: int, *, classes: int) -> Dataset:
    """Return `count` images of noise; each class has a different brightness."""
    channels, size = 1 if params.ingest.mode == "grey" else 3, wanted_spec(params, []).source
    ids = sorted(hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest() for number in range(count))
    kinds, generator = np.arange(count) % classes, np.random.default_rng(0)
    noise = generator.integers(0, 64, (count, channels, size, size), dtype=np.uint8)
    pixels = noise + (kinds * (192 // classes)).astype(np.uint8)[:, None, None, None]
    labels = np.array([f"class {kind}" for kind in kinds])
    return Dataset(ids=np.array(ids), labels=labels, images=PixelSource.of(pixels))


def decoded(dataset: Dataset) -> Dataset:
    """Return `dataset` with its images decoded in memory."""
    (pixels,) = dataset.images.batches([np.arange(len(dataset))])
    return replace(dataset, images=PixelSource.of(pixels))


def _manifest() -> "pd.DataFrame | None":
    """Return the manifest of training images; None if there are none locally."""
    try:
        manifest = read_manifest("train") if index.INDEX.exists() else None
    except (FileNotFoundError, MissingDataError):
        return None
    return None if manifest is None or not len(manifest) else manifest
