"""The nearest neighbours of images in a feature space: their labels, and their distances."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Features = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

# Most and fewest neighbours whose labels count (small classes have fewer), and neighbours whose distances count.
MOST, FEWEST, NEAR = 50, 5, 10
# Images at a time, to bound memory.
BLOCK = 512
# The distance from the median to the upper quartile of a normal distribution, in standard deviations.
NORMAL = 0.6745


class Neighbours(NamedTuple):
    """The neighbourhood of each image."""

    shares: Floats
    """The share of each label among the neighbours with the smallest angle, shape (n, classes)."""
    distance: Floats
    """The mean distance to the nearest neighbours, shape (n,)."""


def neighbours(images: Features, known: Features, codes: Codes, classes: int, *, are_known: bool) -> Neighbours:
    """Return the neighbours of each of `images` among `known`, whose labels are `codes`, numbers of `classes` classes.

    With `are_known`, the first of `images` are the known images in the same order, and no image is its own neighbour.
    """
    count = min(max(len(known) // (2 * max(classes, 1)), FEWEST), MOST, len(known) - 1)
    shares, distance = np.zeros((len(images), classes)), np.full(len(images), np.nan)
    for start in range(0, len(images) if count > 0 else 0, BLOCK):
        rows = slice(start, start + BLOCK)
        angle, apart = _apart(images[rows], known)
        if are_known:
            itself = np.arange(start, min(start + len(apart), len(known)))
            angle[itself - start, itself] = apart[itself - start, itself] = np.inf
        nearest = np.argpartition(angle, count - 1, axis=1)[:, :count]
        for label in range(classes):
            shares[rows, label] = (codes[nearest] == label).mean(1)
        near = min(NEAR, count)
        distance[rows] = np.sqrt(np.partition(apart, near - 1, axis=1)[:, :near]).mean(1)
    return Neighbours(shares, distance)


def how_far(distance: Floats, usual: Floats) -> Floats:
    """Return how many standard deviations the logarithms of `distance` lie above those of the `usual` distances.

    The standard deviation is estimated from the upper half of the usual distances, since near-copies, which are common,
    make the lower half unreliable.
    """
    logs, usual_logs = (np.log(np.maximum(values, 1e-6)) for values in (distance, usual))
    middle, upper = np.quantile(usual_logs, [0.5, 0.75])
    far: Floats = (logs - middle) / max(float(upper - middle) / NORMAL, 1e-3)
    return far


def _apart(images: Features, known: Features) -> tuple[Features, Features]:
    """Return 1 − cosine, and the squared distance, between each of `images` and each of `known`."""
    lengths, known_lengths = (np.linalg.norm(rows, axis=1) for rows in (images, known))
    products = images @ known.T
    cosine = products / np.maximum(lengths[:, None] * known_lengths, 1e-12)
    squared = np.maximum(lengths[:, None] ** 2 + known_lengths**2 - 2 * products, 0)
    return 1 - cosine, squared
