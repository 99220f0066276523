"""Drift: permutation tests, with a minimum effect size, for whether new images differ from the known ones.

Images are compared as vectors: a network's features, or a few simple properties of each image (traits.py). The energy
distance (Székely and Rizzo 2013, "Energy statistics", JSPI 143, 1249) is 0 if two samples come from the same
distribution. The permutations stay within each class, so a change of the class mix is not counted as a difference;
`shares_differ` tests for that. docs/suspects.md has the rates of false alarms and of missed alarms.
"""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.intp]
Labels = npt.NDArray[Any]  # texts

# Fewest and most images on each side, and the number of permutations.
FEWEST, MOST, PERMUTATIONS = 20, 500, 199
# The false alarm rate of each test. Differences below `LEAST` (a share of the distance between two images) or
# `LEAST_SHARE` (a share of all images) are not reported, however significant they are.
ALPHA, LEAST, LEAST_SHARE = 0.01, 0.005, 0.15
# Outliers are clipped to this many standard deviations.
FAR = 5.0


class Pairs(NamedTuple):
    """Positions of new and known images to compare, sorted by class, with equally many of each class on both sides."""

    new: Positions
    known: Positions
    classes: npt.NDArray[np.intp]
    """The class number of each pair."""

    @property
    def are_enough(self) -> bool:
        """Whether there are enough pairs for a test."""
        return len(self.new) >= FEWEST


def pairs_of(new: Labels, known: Labels) -> Pairs:
    """Choose pairs of images by their labels. It takes the first images, so both sides should be sorted by id."""
    new = new[:MOST]
    names, codes = np.unique(new, return_inverse=True)
    sides: tuple[list[Positions], list[Positions]] = ([], [])
    counts = []
    for number, name in enumerate(names):
        places = np.flatnonzero(codes == number), np.flatnonzero(known == name)
        counts.append(min(map(len, places)))
        for side, some in zip(sides, places, strict=True):
            side.append(some[: counts[-1]])
    nothing = np.empty(0, np.intp)
    ones, others = (np.concatenate([nothing, *side]) for side in sides)
    return Pairs(ones, others, np.repeat(np.arange(len(names)), counts))


def standardised(new: Floats, known: Floats) -> tuple[Floats, Floats]:
    """Scale all vectors by the mean and standard deviation of `known`, so that all coordinates have equal weight."""
    mean, deviation = known.mean(0), known.std(0) + 1e-9
    scaled = [((rows - mean) / deviation).clip(-FAR, FAR) for rows in (new, known)]
    return scaled[0], scaled[1]


def images_differ(new: Floats, known: Floats, classes: npt.NDArray[np.intp]) -> bool:
    """Whether new and known vectors, shape (n, coordinates) each, differ; `classes` has the class of each pair."""
    together = np.concatenate([new, known])
    squared = (together**2).sum(1)
    apart = np.sqrt(np.maximum(squared[:, None] + squared - 2 * together @ together.T, 0))
    ones = _permuted(classes)
    between, energy = _energy(apart, ones / len(new))
    p_value = (energy >= energy[0] * (1 - 1e-9)).mean()
    return bool(p_value <= ALPHA and energy[0] - energy.mean() >= LEAST * 2 * between[0])


def _permuted(classes: npt.NDArray[np.intp]) -> Floats:
    """Return masks of the images (new, then known) that count as new: the actual one, then permutations in classes."""
    count = len(classes)
    both = np.concatenate([classes, classes])
    order = np.argsort(np.random.default_rng(0).random((PERMUTATIONS, 2 * count)) + both, axis=1)
    # `order` sorts the images by class. In each class, the first half counts as new, the other half as known.
    sizes = np.bincount(classes)
    pattern = np.concatenate([np.repeat([1.0, 0.0], size) for size in sizes])
    ones = np.zeros((1 + PERMUTATIONS, 2 * count))
    ones[0, :count] = 1
    np.put_along_axis(ones[1:], order, np.broadcast_to(pattern, order.shape), axis=1)
    return ones


def _energy(apart: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return the mean distance between the sides, and the energy distance; `weights` has rows of the new side's."""
    rest = (weights == 0) * weights.max(1, keepdims=True)
    to_new, to_rest = weights @ apart, rest @ apart
    between = (to_new * rest).sum(1)
    return between, 2 * between - (to_new * weights).sum(1) - (to_rest * rest).sum(1)


def shares_differ(new: Counter[str], known: Counter[str]) -> str:
    """Return a sentence if the class shares of new and known images differ; an empty text if they do not.

    The distance is the total variation: half the sum of the absolute differences. The p-value comes from random draws
    of equally many images from new and known images together.
    """
    if min(sizes := (new.total(), known.total())) < FEWEST:
        return ""
    names = sorted({*new, *known})
    now, then = (np.array([counts[name] for name in names]) for counts in (new, known))
    drawn = np.random.default_rng(0).multivariate_hypergeometric(now + then, sizes[0], PERMUTATIONS, method="marginals")
    ones = np.concatenate([now[None], drawn])
    distance = np.abs(ones / sizes[0] - (now + then - ones) / sizes[1]).sum(1) / 2
    if (distance >= distance[0] - 1e-9).mean() > ALPHA or distance[0] - distance.mean() < LEAST_SHARE:
        return ""
    share, before = now / sizes[0], then / sizes[1]
    most = int(np.argmax(np.maximum(share - before, 0)))
    new_share, known_share = (f"{100 * shares[most]:.0f} %" for shares in (share, before))
    return f"class {names[most]!r} is {new_share} of the new images, and {known_share} of the known ones"
