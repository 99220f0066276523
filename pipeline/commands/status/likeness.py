"""Detect whether new images look different from known ones, by figures in the index, without a network or pixels.

Half of the weight is on a few familiar figures, such as brightness; the other half is on the terms of the image's
descriptor (perceptual_hash.py), which describe its content coarsely.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import parquet
from pipeline.evaluation.review.drift import FEWEST, images_differ, pairs_of, shares_differ, standardised
from pipeline.evaluation.review.traits import BRIGHTNESS, CONTRAST, Trait, difference
from pipeline.images import index
from pipeline.ingestion.labelling.mapping import ClassMapping
from pipeline.ingestion.perceptual_hash import STEPS
from pipeline.ingestion.standardising import Picture

Floats = npt.NDArray[np.float64]

# Maximum number of images of the index that are compared, the first by id.
KNOWN = 5_000
# Number of leading descriptor terms that describe coarse structure; the others describe fine structure.
COARSE = 24
FINENESS = Trait("share of fine structure in percent", "less sharp", "sharper or noisier")
DETAIL = Trait("bytes a pixel as stored", "of less detail", "of more detail, or noisier", 2)
SIZE = Trait("size in pixels", "smaller", "larger")
TRAITS = (BRIGHTNESS, CONTRAST, FINENESS, DETAIL, SIZE)


class StoredFigures(NamedTuple):
    """The figures that the index contains for a standardised image."""

    length: int
    width: int
    height: int
    descriptor: bytes

    @classmethod
    def of(cls, picture: Picture) -> Self:
        """Build the figures of an image that is not in the index yet."""
        return cls(len(picture.data), picture.width, picture.height, picture.shows.descriptor)


def unlike(
    labels: Iterable[str | None], inspected: Mapping[str, tuple[str, StoredFigures]], mapping: ClassMapping
) -> list[str]:
    """Return how new images differ from those in the index, a sentence per difference.

    `inspected` are the labels and figures of the inspected new images, by id; `labels` are the labels of the others.
    """
    new = Counter(filter(None, (*labels, *(label for label, _ in inspected.values()))))
    if new.total() < FEWEST:
        return []
    table = parquet.read_table(index.INDEX, index.SCHEMA, ["id", "label", *StoredFigures._fields])
    known = Counter[str]()
    for counted in pc.value_counts(table["label"]).to_pylist():
        known[mapping.label(counted["values"]) or ""] += counted["counts"]
    del known[""]  # Images of dropped classes.
    shares = shares_differ(new, known)
    images = _images_unlike(table, inspected, mapping, new.total()) if min(len(table), len(inspected)) >= FEWEST else ""
    return [*filter(None, [shares, images])]


def _images_unlike(
    table: pa.Table, inspected: Mapping[str, tuple[str, StoredFigures]], mapping: ClassMapping, count: int
) -> str:
    """Return how the inspected images differ from those of their classes in `table`; empty if they do not.

    `count` is the number of all new images.
    """
    first = pc.select_k_unstable(table, min(KNOWN, len(table)), [("id", "ascending")])
    table = table.take(first)
    new = [inspected[image_id] for image_id in sorted(inspected)]
    before = [mapping.label(label) or "" for label in table["label"].to_pylist()]
    pairs = pairs_of(np.array([label for label, _ in new]), np.array(before))
    if not pairs.are_enough:
        return ""
    rows = zip(*(table[name].to_pylist() for name in StoredFigures._fields), strict=True)
    known = [StoredFigures(*row) for row in rows]
    ones, others = _measured([new[place][1] for place in pairs.new]), _measured([known[place] for place in pairs.known])
    if not images_differ(*_weighed(ones, others), pairs.classes):
        return ""
    return difference(ones[:, : len(TRAITS)], others[:, : len(TRAITS)], TRAITS, count)


def _measured(images: Sequence[StoredFigures]) -> Floats:
    """Return a row per image: its `TRAITS`, then the terms of its descriptor divided by its contrast."""
    descriptors = np.frombuffer(b"".join(image.descriptor for image in images), np.int8).reshape(-1, 64).astype(float)
    terms = descriptors[:, 2:] * 2.0 ** descriptors[:, :1] / STEPS
    contrast = np.sqrt((terms**2).sum(1))
    terms /= np.maximum(contrast, 1)[:, None]
    pixels = np.array([image.width * image.height for image in images], float)
    detail = np.array([image.length for image in images]) / pixels
    fineness = 100 * (terms[:, COARSE:] ** 2).sum(1)
    traits = descriptors[:, 1] + 128, contrast, fineness, detail, np.sqrt(pixels)
    return np.column_stack([*traits, terms])


def _weighed(new: Floats, known: Floats) -> tuple[Floats, Floats]:
    """Scale both by the standard deviations of `known`; all terms together have the weight of all traits."""
    weights = np.ones(new.shape[1])
    weights[len(TRAITS) :] = np.sqrt(len(TRAITS) / (len(weights) - len(TRAITS)))
    ones, others = standardised(new, known)
    return ones * weights, others * weights
