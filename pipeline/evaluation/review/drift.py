"""Whether new images look like those that are known: tests by permutation, with how much it comes to next to chance.

Images are compared as vectors: what a network makes of them, or a few figures of each (traits.py). The energy distance
(Székely and Rizzo 2013, "Energy statistics", JSPI 143, 1249) is 0 where two samples come from the same source. Labels
are permuted within each class, so another mixture of classes is no difference here; `shares_differ` is about that.
docs/suspects.md has the rates of false alarms and of alarms that were missed.
"""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.intp]
Labels = npt.NDArray[Any]  # texts

# Images on each side at least, and at most; permutations.
FEWEST, MOST, PERMUTATIONS = 20, 500, 199
# The chance of an alarm without a reason, of each test; and what is too little to speak of, however sure it is: as a
# share of the distance between two images, and of all images.
ALPHA, LEAST, LEAST_SHARE = 0.01, 0.005, 0.15
# Standard deviations beyond which an outlier counts no more.
FAR = 5.0


class Pairs(NamedTuple):
    """Positions of new and of known images to compare, as many of each class on both sides, class by class."""

    new: Positions
    known: Positions
    classes: npt.NDArray[np.intp]
    """The number of the class of each pair."""

    @property
    def are_enough(self) -> bool:
        """Whether so few can say anything."""
        return len(self.new) >= FEWEST


def pairs_of(new: Labels, known: Labels) -> Pairs:
    """Which images to compare by their labels; the first ones, so both should be in the order of their ids."""
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
    """Vectors in standard deviations of the known ones, so that each coordinate counts as much."""
    mean, deviation = known.mean(0), known.std(0) + 1e-9
    scaled = [((rows - mean) / deviation).clip(-FAR, FAR) for rows in (new, known)]
    return scaled[0], scaled[1]


def images_differ(new: Floats, known: Floats, classes: npt.NDArray[np.intp]) -> bool:
    """Whether the vectors of pairs, shape (n, coordinates) each, come from two sources; `classes` are the pairs'."""
    together = np.concatenate([new, known])
    squared = (together**2).sum(1)
    apart = np.sqrt(np.maximum(squared[:, None] + squared - 2 * together @ together.T, 0))
    ones = _permuted(classes)
    between, energy = _energy(apart, ones / len(new))
    p_value = (energy >= energy[0] * (1 - 1e-9)).mean()
    return bool(p_value <= ALPHA and energy[0] - energy.mean() >= LEAST * 2 * between[0])


def _permuted(classes: npt.NDArray[np.intp]) -> Floats:
    """Which of the images, new ones before known ones, count as new: as they are first, then as permuted in classes."""
    count = len(classes)
    both = np.concatenate([classes, classes])
    order = np.argsort(np.random.default_rng(0).random((PERMUTATIONS, 2 * count)) + both, axis=1)
    # In the order of their classes, those of a class come first half as new ones and then as known ones.
    sizes = np.bincount(classes)
    pattern = np.concatenate([np.repeat([1.0, 0.0], size) for size in sizes])
    ones = np.zeros((1 + PERMUTATIONS, 2 * count))
    ones[0, :count] = 1
    np.put_along_axis(ones[1:], order, np.broadcast_to(pattern, order.shape), axis=1)
    return ones


def _energy(apart: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """The mean distance between the sides, and the energy distance, for each row of `weights` of the new side."""
    rest = (weights == 0) * weights.max(1, keepdims=True)
    to_new, to_rest = weights @ apart, rest @ apart
    between = (to_new * rest).sum(1)
    return between, 2 * between - (to_new * weights).sum(1) - (to_rest * rest).sum(1)


def shares_differ(new: Counter[str], known: Counter[str]) -> str:
    """What is to be said of the shares that classes have of new and of known images; empty where they are alike.

    The distance is half the sum of the differences (total variation), its chance that of drawing so many images from
    all of both.
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
