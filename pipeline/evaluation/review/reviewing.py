"""The review of a generation: which labels to check, and whether what is new looks like what is known.

Test images are judged by the model, which has never seen them. So are new training images by its base. Where there is
none, the labels of the nearest other images judge each of them, by the model's features.
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

# Images that may be neighbours: of labels, and where only the distance counts, at most and at least; the first by id.
KNOWN, USUAL, FEWEST = 10_000, 2_000, 50
# Height and width of pictures that are compared as such.
SIDE = 8


class Review(NamedTuple):
    """What people should look at."""

    suspects: pd.DataFrame
    """What suspects.csv holds."""
    drift: list[str]
    """How new images differ from the known ones, a sentence each."""


def review(
    lines: pd.DataFrame, test: pd.DataFrame, seen: tuple[Looked, Looked], is_known: npt.NDArray[np.bool_] | None
) -> Review:
    """The review of `lines`, those of review.csv, test images first.

    `test` are the probabilities that the model gives the test images; `seen` is what the base makes of these and of the
    training images among `lines`. `is_known` says which test images came before this generation; it is None where there
    is no base, and `seen` the model's.
    """
    parts = [lines[lines["split"] == split] for split in ("test", "train")]
    by_model = Judged(parts[0], test, _least(parts[0], test), _far(seen[0], seen[0]))
    by_other = by_neighbours(parts[1], seen[1]) if is_known is None else _by_base(parts, seen)
    unseen = lines[~lines["split"].isin(["test", "train"])]
    drift = [] if is_known is None else list(drift_of(parts, is_known, seen))
    return Review(list_suspects([by_model, by_other], unseen), drift)


def drift_of(parts: list[pd.DataFrame], is_known: npt.NDArray[np.bool_], seen: tuple[Looked, Looked]) -> Iterator[str]:
    """How the new training images differ from the test images that are known, in sentences.

    `parts` are the lines of the test images and of the new ones. The base has seen neither, so it would make the
    same of both if nothing had changed.
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
    """The images of `lines`, of which `seen` is what a model makes, judged by those nearest to each.

    The share that a label has of the neighbours stands for a probability. A model that was trained on an image gives
    its label a high one; its features have not moved as far, but some way. The picture itself, scaled down, knows
    nothing of labels, so its neighbours are asked as well: what counts is the geometric mean of both.
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
    """Each of `images` at `SIDE` pixels, without what they have in common: shape (n, channels · SIDE²)."""
    batches = images.batches(in_batches(np.arange(len(images)), BLOCK))
    scaled = [adaptive_avg_pool2d(torch.from_numpy(batch).float(), SIDE).flatten(1).numpy() for batch in batches]
    vectors = np.concatenate(scaled) if scaled else np.empty((0, 1), np.float32)
    return vectors - vectors.mean(0) if len(vectors) else vectors


def _by_base(parts: list[pd.DataFrame], seen: tuple[Looked, Looked]) -> Judged:
    """The new images; what probability is usual follows from the test images, too, since new ones may be few."""
    answers = [looked.probabilities for looked in seen]
    least = _least(pd.concat(parts), pd.concat(answers))
    return Judged(parts[1], answers[1], least, _far(seen[1], seen[0]))


def _least(lines: pd.DataFrame, probabilities: pd.DataFrame) -> Floats:
    return thresholds(probabilities.columns.get_indexer(pd.Index(lines["label"])), probabilities.to_numpy())


def _far(images: Looked, known: Looked) -> Floats:
    """How far each of `images` is from those that are known, which say what is usual."""
    some, no_codes = known.features[:USUAL], np.empty(0, np.intp)
    near = neighbours(images.features, some, no_codes, 0, are_known=images is known)
    usual = near if images is known else neighbours(some, some, no_codes, 0, are_known=True)
    return _beyond(near.distance, usual.distance)


def _beyond(distance: Floats, usual: Floats) -> Floats:
    return how_far(distance, usual) if len(usual) >= FEWEST else np.full(len(distance), np.nan)
