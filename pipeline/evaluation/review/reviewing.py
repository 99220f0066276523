"""The review of a generation: which labels to check, and whether new images differ from the known ones.

The model judges test images, since it was not trained on them. Its base judges new training images for the same reason.
If there is no base, each new training image is judged by the labels of its nearest neighbours in the model's features.
"""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch.nn.functional import adaptive_avg_pool2d

from pipeline.evaluation.inference import Looked
from pipeline.evaluation.review.confident import thresholds
from pipeline.evaluation.review.drift import images_differ, pairs_of, shares_differ, standardised
from pipeline.evaluation.review.neighbours import BLOCK, Features, how_far, neighbours
from pipeline.evaluation.review.suspects import Judged, list_suspects
from pipeline.evaluation.review.traits import OF_PIXELS, difference, traits_of_pixels
from pipeline.images.pixel_source import PixelSource, in_batches

Floats = npt.NDArray[np.float64]

# Most images that may be neighbours for labels, and most and fewest for distances; the first ones by id are taken.
KNOWN, USUAL, FEWEST = 10_000, 2_000, 50
# Height and width of images whose pixels are compared.
SIDE = 8


class Review(NamedTuple):
    """Images and differences that people should look at."""

    suspects: pd.DataFrame
    """The rows of suspects.csv."""
    drift: list[str]
    """Differences between new and known images, one sentence each."""


def review(
    lines: pd.DataFrame, test: pd.DataFrame, seen: tuple[Looked, Looked], is_known: npt.NDArray[np.bool_] | None
) -> Review:
    """Review `lines`, the lines of review.csv with test images first.

    `test` has the model's probabilities for the test images. `seen` has the base's outputs for the test images and for
    the training images among `lines`. `is_known` marks the test images that arrived before this generation. If there is
    no base, `is_known` is None, and `seen` has the model's outputs.
    """
    parts = [lines[lines["split"] == split] for split in ("test", "train")]
    by_model = Judged(parts[0], test, _least(parts[0], test), _far(seen[0], seen[0]))
    by_other = by_neighbours(parts[1], seen[1]) if is_known is None else _by_base(parts, seen)
    unseen = lines[~lines["split"].isin(["test", "train"])]
    drift = [] if is_known is None else list(drift_of(parts, is_known, seen))
    return Review(list_suspects([by_model, by_other], unseen), drift)


def drift_of(parts: list[pd.DataFrame], is_known: npt.NDArray[np.bool_], seen: tuple[Looked, Looked]) -> Iterator[str]:
    """Yield a sentence for each difference between the new training images and the known test images.

    `parts` has the lines of the test images and of the new training images. The base was trained on neither, so its
    outputs for both are alike if nothing has changed.
    """
    known_rows = np.flatnonzero(is_known)
    labels = [lines["label"].to_numpy(dtype=str) for lines in parts]
    known, new = labels[0][is_known], labels[1]
    if shares := shares_differ(Counter(new.tolist()), Counter(known.tolist())):
        yield shares
    pairs = pairs_of(new, known)
    rows = known_rows[pairs.known], pairs.new
    if not pairs.are_enough:
        return
    old, now = (looked.features[some].astype(float) for looked, some in zip(seen, rows, strict=True))
    if images_differ(*standardised(now, old), pairs.classes):
        before, after = (
            traits_of_pixels(next(one.images.batches([some]))) for one, some in zip(seen, rows, strict=True)
        )
        yield difference(after, before, OF_PIXELS, len(new))


def by_neighbours(lines: pd.DataFrame, seen: Looked) -> Judged:
    """Judge the images of `lines` by the labels of their nearest neighbours; `seen` has a model's outputs for them.

    The share of a label among the neighbours serves as its probability. A model gives a high probability to the label
    of an image that it was trained on; this biases its features, too, but less. The pixels of the scaled-down image are
    not biased by labels, so their neighbours count as well: the result is the geometric mean of both shares.
    """
    classes = seen.probabilities.columns
    codes = classes.get_indexer(pd.Index(lines["label"]))
    near, alike = (
        neighbours(vectors, vectors[:KNOWN], codes[:KNOWN], len(classes), are_known=True)
        for vectors in (seen.features, _small(seen.images))
    )
    shares = np.sqrt(near.shares * alike.shares)
    shares /= np.maximum(shares.sum(1, keepdims=True), 1e-9)
    answers = pd.DataFrame(shares, columns=classes)
    return Judged(lines, answers, _least(lines, answers), _beyond(near.distance, near.distance))


def _small(images: PixelSource) -> Features:
    """Return `images` scaled down to `SIDE` pixels, minus their mean: shape (n, channels · SIDE²)."""
    batches = images.batches(in_batches(np.arange(len(images)), BLOCK))
    scaled = [adaptive_avg_pool2d(torch.from_numpy(batch).float(), SIDE).flatten(1).numpy() for batch in batches]
    vectors = np.concatenate(scaled) if scaled else np.empty((0, 1), np.float32)
    return vectors - vectors.mean(0) if len(vectors) else vectors


def _by_base(parts: list[pd.DataFrame], seen: tuple[Looked, Looked]) -> Judged:
    """Judge the new images by the base. The thresholds use the test images, too, since there may be few new images."""
    answers = [looked.probabilities for looked in seen]
    least = _least(pd.concat(parts), pd.concat(answers))
    return Judged(parts[1], answers[1], least, _far(seen[1], seen[0]))


def _least(lines: pd.DataFrame, probabilities: pd.DataFrame) -> Floats:
    return thresholds(probabilities.columns.get_indexer(pd.Index(lines["label"])), probabilities.to_numpy())


def _far(images: Looked, known: Looked) -> Floats:
    """Return how far each of `images` is from its neighbours in `known`, relative to distances within `known`."""
    some, no_codes = known.features[:USUAL], np.empty(0, np.intp)
    near = neighbours(images.features, some, no_codes, 0, are_known=images is known)
    usual = near if images is known else neighbours(some, some, no_codes, 0, are_known=True)
    return _beyond(near.distance, usual.distance)


def _beyond(distance: Floats, usual: Floats) -> Floats:
    return how_far(distance, usual) if len(usual) >= FEWEST else np.full(len(distance), np.nan)
