"""Finds near-duplicates by descriptors (perceptual_hash.py), without comparing every pair of images.

Two images are near-duplicates if the distance of their descriptors, in grey levels, is at most 7 % of the lower
contrast of the two, or at most 1.5 if both contrasts are low. docs/benchmarks.md lists what that finds and misses.

The search is exact. A grid cuts the space into cells (grid.py). For each image, only the cells and contrasts that its
near-duplicates can have are looked up. This is multi-probe hashing (Lv et al., VLDB 2007) with a probe for every cell
in reach.
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

# Pairs per block, which bounds memory; candidates of the first round, since a copy is usually found early.
PAIRS, FEW = 2**18, 8
# From this number of candidates, the images of one cell are compared by a matrix product; images per product.
MANY, TILE = 512, 128
# A product pays off from this number of pairs, and if it computes at most this multiple of the pairs needed.
WORTH, WASTE = 2**12, 8
# Pairs that are collected before they are checked together.
WAITING, NONE = 2**13, np.empty(0, np.int64)
# Maximum rounding error of a squared distance in such a product, as a share of the squared lengths.
ROUNDED = 1e-5


def near_duplicates(found: Sorted, images: Positions, others: Positions, kind: Kinds) -> Positions:
    """Return for each of `images` a near-duplicate of another kind among `others`, or -1; shape (len(images),).

    `images`, `others` and the result are positions in `found`; `kind` holds a number per position, shape (n,).
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
    """Whether each of `images` has a near-duplicate of another kind among the few `others`; shape (len(images),).

    Of several equal descriptors of one kind, possibly only one is reported.
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
    """Whether each of `images` and its counterpart in `others` are near-duplicates; shape (n,).

    Computed in hundredths of a step, where all numbers are integers below 2⁵³: no machine rounds any of them.
    """
    terms, other_terms = (rows[:, 2:] * np.ldexp(1.0, rows[:, :1].astype(np.int32)) for rows in (images, others))
    means = images[:, 1].astype(np.float64) - others[:, 1]
    distance = 100**2 * squared(terms - other_terms) + (MEAN_WEIGHT * STEPS * means) ** 2
    contrast = np.minimum(squared(terms), squared(other_terms))
    near: npt.NDArray[np.bool_] = distance <= np.maximum((ABSOLUTE * STEPS) ** 2, RELATIVE**2 * contrast)
    return near


class Asked(NamedTuple):
    """Images for which near-duplicates are searched."""

    rows: Rows
    kind: Kinds
    points: Points

    @classmethod
    def of(cls, found: Sorted, at: Positions, kind: Kinds) -> Asked:
        """Select the images at the positions `at`; `kind` holds the kinds of all descriptors."""
        return cls(rows := found.rows[at], kind[at], Points.of(rows))


def _search(asked: Asked, grid: Grid) -> Positions:
    """Return for each image the position of a near-duplicate in the grid, or -1.

    Each round compares more candidates per cell, until a near-duplicate is found. If a round finds several, the last
    one of the last cell counts.
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
    """Yield near-duplicates of different kinds as pairs: an index into `spans`, and a place in the grid.

    `many` selects the comparison for long spans.
    """
    (rows, kind, points), compare = asked, _compare_many if many else _compare
    for span, other in _together(compare(points, grid, spans)):
        one, before = spans.image[span], grid.order[other]
        close = np.flatnonzero(_are_close(rows[one], grid.rows[before], points.contrast[one]))
        one, before = one[close], before[close]
        is_near = are_near(rows[one], grid.rows[before]) & (kind[one] != grid.kind[before])
        yield span[close[is_near]], other[close[is_near]]


class Spans(NamedTuple):
    """Images, and the first and last (exclusive) place in the grid to compare each with; several per image possible."""

    image: Positions
    begin: Positions
    end: Positions


def _compare(points: Points, grid: Grid, spans: Spans) -> Iterator[tuple[Positions, Positions]]:
    """Yield pairs whose first coordinates are close: an index into `spans`, and a place in the grid."""
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
    """As `_compare`, for long spans: overlapping ones by a matrix product, which may yield a few pairs more."""
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
    """Group spans that overlap, with at most `TILE` spans per group."""
    order = np.argsort(begin, kind="stable")
    apart = np.append(True, begin[order[1:]] >= np.maximum.accumulate(end[order])[:-1])
    start = np.flatnonzero(apart)
    place = np.arange(len(order)) - np.repeat(start, np.diff(np.append(start, len(order))))
    return np.split(order, np.flatnonzero(place % TILE == 0)[1:])


def _together(pairs: Iterable[tuple[Positions, Positions]]) -> Iterator[tuple[Positions, Positions]]:
    """Join small parts of `pairs` into larger ones, at least one, since each part has a fixed cost."""
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
    """Whether pairs can be near-duplicates, judged by twice as many coordinates as the grid cuts."""
    distance = sum(squared(part(images) - part(others)) for part in (cut, following))
    close: npt.NDArray[np.bool_] = distance <= _limit(contrast)
    return close


def _limit(contrast: Floats) -> Floats:
    """Return the largest squared distance of a near-duplicate of an image of `contrast`, plus a tolerance."""
    limit: Floats = radius_of(contrast) ** 2 * np.float32(SLACK)
    return limit
