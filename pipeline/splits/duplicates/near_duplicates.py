"""Near-duplicates among images, found by their descriptors (perceptual_hash.py) without comparing all with all.

Two images are near-duplicates if the distance between what they show, in grey levels, is at most 7 % of the lower
contrast of the two, or 1.5 where both have little. docs/benchmarks.md says what that finds and what it does not.

The search is exact. Space is cut into a grid (grid.py). For each image only those cells are looked up that its
near-duplicates can lie in, and only the contrasts that these can have. This is multi-probe hashing (Lv et al., VLDB
2007), with a probe for every cell in reach.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.ingestion.perceptual_hash import STEPS
from pipeline.splits.duplicates.grid import ABSOLUTE, RELATIVE, SLACK, Grid, Kinds, Sorted, in_threads, radius_of
from pipeline.splits.duplicates.points import (
    MEAN_WEIGHT,
    Floats,
    Points,
    Positions,
    Rows,
    blocks,
    cut,
    following,
    squared,
)

# Pairs at a time, which bounds memory; candidates to begin with, since a copy is found soon.
PAIRS, FEW = 2**18, 8
# Of so many candidates on, images of one cell are compared with all of them by a product of matrices; images at a time.
MANY, TILE = 512, 128
# Such a product is worth it from so many pairs on, and where not more than so many times those that are needed.
WORTH, WASTE = 2**12, 8
# So many pairs wait for each other.
WAITING, NONE = 2**13, np.empty(0, np.int64)
# What a squared distance may be off in such a product, as a share of the squared lengths.
ROUNDED = 1e-5


def near_duplicates(found: Sorted, images: Positions, others: Positions, kind: Kinds) -> Positions:
    """For each of `images` one of `others` that is a near-duplicate of another kind, or −1; shape (len(images),).

    All are places in what is `found`; `kind` is a number for each place in it, shape (n,).
    """
    if not len(images) or not len(others):
        return np.full(len(images), -1)
    near = np.full(len(found.rows), -1)
    order, _, firsts = found.among(images, kind)
    distinct = np.flatnonzero(firsts == np.arange(len(firsts)))
    grid = Grid.of(found, others, kind, searches=len(distinct))

    def search(block: slice) -> None:
        at = order[distinct[block]]
        near[at] = _search(Asked.of(found, at, kind), grid)

    in_threads(search, len(distinct))
    near[order] = near[order[firsts]]
    return near[images]


def resembled(found: Sorted, images: Positions, others: Positions, kind: Kinds) -> npt.NDArray[np.bool_]:
    """Whether each of `images` has a near-duplicate of another kind among `others`, which are few; as above.

    Of descriptors that are equal, and of one kind, it may say so of one alone.
    """
    near = np.zeros(len(found.rows), np.bool_)
    if not len(images) or not len(others):
        return near[images]
    grid = Grid.of(found, images, kind, searches=len(others))

    def search(block: slice) -> None:
        asked = Asked.of(found, others[block], kind)
        image, begin, end = grid.look_up(asked.points)
        while len(image):
            until = np.minimum(end, begin + PAIRS)
            for _, other in _near_ones(asked, grid, Spans(image, begin, until), many=True):
                near[grid.order[other]] = True
            image, begin, end = (part[until < end] for part in (image, until, end))

    in_threads(search, len(others))
    return near[images]


def are_near(images: Rows, others: Rows) -> npt.NDArray[np.bool_]:
    """Whether each of `images` and the one of `others` in the same place are near-duplicates.

    In hundredths of a step, all numbers are whole and below 2⁵³: nothing is rounded, on no machine.
    """
    terms, other_terms = (rows[:, 2:] * np.ldexp(1.0, rows[:, :1].astype(np.int32)) for rows in (images, others))
    means = images[:, 1].astype(np.float64) - others[:, 1]
    distance = 100**2 * squared(terms - other_terms) + (MEAN_WEIGHT * STEPS * means) ** 2
    contrast = np.minimum(squared(terms), squared(other_terms))
    near: npt.NDArray[np.bool_] = distance <= np.maximum((ABSOLUTE * STEPS) ** 2, RELATIVE**2 * contrast)
    return near


class Asked(NamedTuple):
    """Images whose near-duplicates are searched for."""

    rows: Rows
    kind: Kinds
    points: Points

    @classmethod
    def of(cls, found: Sorted, at: Positions, kind: Kinds) -> Asked:
        """Those at the places `at`; `kind` is that of all."""
        return cls(rows := found.rows[at], kind[at], Points.of(rows))


def _search(asked: Asked, grid: Grid) -> Positions:
    """For each image the place of a near-duplicate that is in the grid, or −1.

    Of each cell ever more candidates are compared until there is one. Of several it is the last in the last cell.
    """
    found, more = np.full(len(asked.rows), -1), FEW
    image, begin, end = grid.look_up(asked.points)
    while len(image):
        until = np.minimum(end, begin + more)
        span, other = _joined([*_near_ones(asked, grid, Spans(image, begin, until), many=more >= MANY)])
        order = np.lexsort((other, span))
        found[image[span[order]]] = grid.order[other[order]]
        rest = (until < end) & (found[image] < 0)
        image, begin, end = image[rest], until[rest], end[rest]
        more *= FEW
    return found


def _near_ones(asked: Asked, grid: Grid, spans: Spans, *, many: bool) -> Iterator[tuple[Positions, Positions]]:
    """The pairs that are near-duplicates of two kinds: which of `spans`, and where in the grid the other one is.

    Whether there may be `many` in a span.
    """
    (rows, kind, points), compare = asked, _compare_many if many else _compare
    for span, other in _together(compare(points, grid, spans)):
        one, before = spans.image[span], grid.order[other]
        close = np.flatnonzero(_are_close(rows[one], grid.rows[before], points.contrast[one]))
        one, before = one[close], before[close]
        is_near = are_near(rows[one], grid.rows[before]) & (kind[one] != grid.kind[before])
        yield span[close[is_near]], other[close[is_near]]


class Spans(NamedTuple):
    """Images, and from where to where in the grid each is to be compared; an image may have several."""

    image: Positions
    begin: Positions
    end: Positions


def _compare(points: Points, grid: Grid, spans: Spans) -> Iterator[tuple[Positions, Positions]]:
    """The pairs whose first coordinates are close: which of `spans`, and where in the grid the other one is."""
    image, begin, end = spans
    for block in blocks(len(image), max(1, PAIRS // int((end - begin).max()))):
        count = end[block] - begin[block]
        past = np.cumsum(count)
        span = np.repeat(np.arange(block.start, block.stop), count)
        other = np.arange(past[-1]) + np.repeat(end[block] - past, count)
        one = image[span]
        distance = squared(points.first.take(one, 0) - grid.coordinates(other))
        close = distance <= _limit(points.contrast.take(one))
        yield span[close], other[close]


def _compare_many(points: Points, grid: Grid, spans: Spans) -> Iterator[tuple[Positions, Positions]]:
    """The same for long spans: those that overlap by a product of matrices, with a little more that is close."""
    image, begin, end = spans
    length, limit = squared(points.first), _limit(points.contrast)
    least = (length - limit - np.float32(ROUNDED) * (length + limit)) / 2
    alone = []
    for span in _overlapping(begin, end):
        low, high = int(begin[span[0]]), int(end[span].max())
        if not WORTH < (high - low) * len(span) < WASTE * int((end[span] - begin[span]).sum()):
            alone.append(span)
            continue
        one = image[span]
        first, bound = points.first[one], least[one, None]
        for start in range(low, high, PAIRS // TILE):
            stop = min(start + PAIRS // TILE, high)
            there = grid.coordinates(np.arange(start, stop))
            product = first @ there.T
            product -= squared(there) / 2
            row, column = np.divmod((product >= bound).ravel().nonzero()[0], stop - start)
            some, other = span[row], column + start
            inside = (begin[some] <= other) & (other < end[some])
            yield some[inside], other[inside]
    if alone:
        span = np.concatenate(alone)
        for one, other in _compare(points, grid, Spans(*(part[span] for part in spans))):
            yield span[one], other


def _overlapping(begin: Positions, end: Positions) -> list[Positions]:
    """The spans from `begin` to `end`, at most `TILE` in one go, of which each overlaps one before."""
    order = np.argsort(begin, kind="stable")
    apart = np.append(True, begin[order[1:]] >= np.maximum.accumulate(end[order])[:-1])
    start = np.flatnonzero(apart)
    place = np.arange(len(order)) - np.repeat(start, np.diff(np.append(start, len(order))))
    return np.split(order, np.flatnonzero(place % TILE == 0)[1:])


def _together(pairs: Iterable[tuple[Positions, Positions]]) -> Iterator[tuple[Positions, Positions]]:
    """The same in fewer parts, at least one, since each that is handled has a cost of its own."""
    waiting, count = [(NONE, NONE)], 0
    for part in pairs:
        waiting.append(part)
        count += len(part[0])
        if count > WAITING:
            yield _joined(waiting)
            waiting, count = [(NONE, NONE)], 0
    yield _joined(waiting)


def _joined(parts: list[tuple[Positions, Positions]]) -> tuple[Positions, Positions]:
    first, second = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return first, second


def _are_close(images: Rows, others: Rows, contrast: Floats) -> npt.NDArray[np.bool_]:
    """Whether pairs can be near-duplicates by twice as many coordinates as the grid cuts."""
    distance = sum(squared(part(images) - part(others)) for part in (cut, following))
    close: npt.NDArray[np.bool_] = distance <= _limit(contrast)
    return close


def _limit(contrast: Floats) -> Floats:
    """The largest squared distance of a near-duplicate of an image of `contrast`, and a little more."""
    limit: Floats = radius_of(contrast) ** 2 * np.float32(SLACK)
    return limit
